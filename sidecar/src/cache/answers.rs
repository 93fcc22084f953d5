//! Answers of the hospital's server to reads and searches, where a route allows it (`cache_seconds`; off by default).
//!
//! What is kept is the server's answer before any decision: consents, masking, policies, plugins and maps work on it anew for
//! each request, and each request has its audit record. Yet a hit is faster than a question, and that must tell nobody that
//! something hidden exists. So:
//!
//! 1. The key holds the request to the server, the caller with all that decisions know of it ([`super::caller`]) and the
//!    revision of consents: an answer is found again by a caller to whom it was released, and by nobody else; a consent that
//!    is written or revoked makes all of them unreachable.
//! 2. Only what was released whole is kept ([`Kept::may_be_kept`] and the pipeline): an answer of which something was withheld
//!    costs a question each time, as does one for what is not there. One that turns out to hold something hidden is forgotten.
//! 3. Nothing is kept that bears a label above normal, that is about genomics, or that the server forbids to keep.
//! 4. A write through this gateway makes all answers of its type unreachable; a transaction, those of all types. So does one
//!    that the gateway before a reload ([`Answers::following`]) still carries out. While two processes share the work neither
//!    uses nor keeps any (`pipeline::remembered`): each would know of its own writes alone.
//!
//! What changes at the server otherwise, a label included, counts after `cache_seconds` at the latest. Writes, and what decisions
//! look up around a resource, never use what is kept. Bound: `cache.bytes`.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fhir_models::document::{Limits, OwnedDocument, Value, name};
use http::header::{ETAG, HeaderValue};
use http::{HeaderMap, StatusCode};
use metrics::gauge;
use moka::sync::Cache;
use varco_core::access::{Labels, resources};
use varco_core::requester::Requester;

use super::{Counted, caller, freshness};
use crate::upstream::UpstreamAnswer;

/// Counters of writes; types share them by chance, which costs a question too many and nothing else.
const GENERATIONS: usize = 256;
/// For how many lives a stale answer with an entity tag is kept, to be asked about by that tag.
const LIVES: u32 = 4;
/// No answer may take more than this part of the room.
const LARGEST_PART: u64 = 8;
/// What an entry takes beside its body and its path, about.
const OVERHEAD: usize = 1_024;

/// Whose answer to what, as of which writes and consents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    request: Box<str>,
    caller: [u8; 32],
    consents: u64,
    written: (u64, u64),
}

/// An answer that may be kept.
#[derive(Debug, Clone)]
pub struct Kept {
    answer: UpstreamAnswer,
    fresh_until: Instant,
    forget_after: Duration,
}

/// What is at hand for a request.
#[derive(Debug)]
pub enum Found {
    /// An answer that stands for itself.
    Fresh(UpstreamAnswer),
    /// An answer that the server must be asked about by this tag.
    Stale(UpstreamAnswer, HeaderValue),
    /// Nothing.
    Nothing,
}

/// Answers that are kept.
pub struct Answers {
    kept: Counted<Key, Arc<Kept>>,
    most: u64,
    writes: Arc<Writes>,
}

/// How often was written: in all by transactions, and to each type.
struct Writes {
    hash: RandomState,
    all: AtomicU64,
    of_types: [AtomicU64; GENERATIONS],
}

impl Writes {
    fn of_type(&self, resource_type: &str) -> &AtomicU64 {
        let [first, ..] = &self.of_types;
        self.of_types.get((self.hash.hash_one(resource_type) % GENERATIONS as u64) as usize).unwrap_or(first)
    }
}

struct Lives;

impl moka::Expiry<Key, Arc<Kept>> for Lives {
    fn expire_after_create(&self, _: &Key, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.forget_after)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.forget_after)
    }
}

impl Answers {
    /// Room for so many bytes.
    pub fn new(bytes: u64) -> Answers {
        let of_types = std::array::from_fn(|_| AtomicU64::new(0));
        Answers::with(bytes, Arc::new(Writes { hash: RandomState::new(), all: AtomicU64::new(0), of_types }))
    }

    /// Those of the gateway that follows another one: nothing is kept yet, and writes through either count in both.
    pub fn following(old: &Answers, bytes: u64) -> Answers {
        Answers::with(bytes, old.writes.clone())
    }

    fn with(bytes: u64, writes: Arc<Writes>) -> Answers {
        let weight = |key: &Key, kept: &Arc<Kept>| {
            let whole = key.request.len().saturating_add(kept.answer.body.len()).saturating_add(OVERHEAD);
            u32::try_from(whole).unwrap_or(u32::MAX)
        };
        Answers {
            kept: Counted::new(
                "answers",
                Cache::builder().max_capacity(bytes).weigher(weight).expire_after(Lives),
            ),
            most: bytes / LARGEST_PART,
            writes,
        }
    }

    /// The key of a request as of now. Made before the server is asked: what is written meanwhile makes it one that nobody asks for.
    pub fn key(&self, request: &str, resource_type: &str, requester: &Requester, consents: u64) -> Key {
        let own = self.writes.of_type(resource_type).load(Ordering::Acquire);
        Key {
            request: request.into(),
            caller: caller::digest(requester),
            consents,
            written: (self.writes.all.load(Ordering::Acquire), own),
        }
    }

    /// What is at hand.
    pub fn find(&self, key: &Key, now: Instant) -> Found {
        let Some(kept) = self.kept.get(key) else { return Found::Nothing };
        if now < kept.fresh_until {
            return Found::Fresh(kept.answer.clone());
        }
        match kept.answer.headers.get(ETAG) {
            Some(tag) => Found::Stale(kept.answer.clone(), tag.clone()),
            None => Found::Nothing,
        }
    }

    /// Keeps an answer that was released whole.
    pub fn keep(&self, key: Key, kept: Kept) {
        if kept.answer.body.len() as u64 <= self.most {
            self.kept.insert(key, Arc::new(kept));
        }
    }

    /// Forgets an answer.
    pub fn forget(&self, key: &Key) {
        self.kept.forget(key);
    }

    /// A resource of this type was written, or may have been.
    pub fn wrote(&self, resource_type: &str) {
        self.writes.of_type(resource_type).fetch_add(1, Ordering::AcqRel);
    }

    /// Resources of any type were written, or may have been.
    pub fn wrote_any(&self) {
        self.writes.all.fetch_add(1, Ordering::AcqRel);
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.kept.observe();
        gauge!("varco_cache_answers_bytes").set(self.kept.weight() as f64);
    }
}

impl Kept {
    /// The answer as it may be kept for at most `most`; `None` where it must not be.
    pub fn may_be_kept(answer: &UpstreamAnswer, most: Duration, now: Instant) -> Option<Kept> {
        if answer.status != StatusCode::OK {
            return None;
        }
        let fresh = freshness::lifetime(&answer.headers, most)?;
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let document = OwnedDocument::parse_json(answer.body.clone(), &limits).ok()?;
        if is_sensitive(document.root()) || has_next(document.root()) {
            return None;
        }
        let headers: HeaderMap =
            answer.headers.get(ETAG).map(|tag| (ETAG, tag.clone())).into_iter().collect();
        // A stale answer is worth keeping only where it can be asked about.
        let forget_after = if headers.is_empty() { fresh } else { most.saturating_mul(LIVES) };
        let answer = UpstreamAnswer { status: answer.status, headers, body: answer.body.clone() };
        Some(Kept { answer, fresh_until: now + fresh, forget_after })
    }

    /// The same answer, after the server said by 304 that it still holds; `said` are the fields of that.
    pub fn still_holds(
        answer: &UpstreamAnswer,
        said: &HeaderMap,
        most: Duration,
        now: Instant,
    ) -> Option<Kept> {
        let mut headers = said.clone();
        if let (false, Some(tag)) = (headers.contains_key(ETAG), answer.headers.get(ETAG)) {
            headers.insert(ETAG, tag.clone());
        }
        Kept::may_be_kept(&UpstreamAnswer { headers, ..answer.clone() }, most, now)
    }
}

/// True where it bears a label above normal, or is about genomics.
fn is_sensitive(root: Value<'_>) -> bool {
    !Labels::of(root).restricting().codes().is_empty()
        || resources(root).iter().any(|own| is_genomic(own.value))
}

/// By type, by profile, or by category (`GE`, genetics, in v2-0074).
fn is_genomic(resource: Value<'_>) -> bool {
    let text =
        |value: Value<'_>, wanted: &dyn Fn(&str) -> bool| value.as_str().is_some_and(|own| wanted(&own));
    let profiles = resource.get(name::META).and_then(|meta| meta.get_key("profile"));
    let profiled =
        profiles.is_some_and(|own| own.items().any(|own| text(own, &|url| url.contains("genomic"))));
    let categories = resource.get_key("category").into_iter().flat_map(Value::items);
    let codings = categories.flat_map(|own| own.get_key("coding").into_iter().flat_map(Value::items));
    let category = |coding: Value<'_>| {
        let is =
            |key, wanted: &dyn Fn(&str) -> bool| coding.get_key(key).is_some_and(|own| text(own, wanted));
        is("system", &|system| system.ends_with("v2-0074")) && is("code", &|code| code == "GE")
    };
    resource.resource_type().as_deref() == Some("MolecularSequence")
        || profiled
        || codings.into_iter().any(category)
}

/// A page with a next one: that link may not live as long as the answer would.
fn has_next(root: Value<'_>) -> bool {
    let mut links = root.get(name::LINK).into_iter().flat_map(Value::items);
    links.any(|link| link.get(name::RELATION).is_some_and(|relation| relation.is_str("next")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn answer(body: &Json, etag: Option<&'static str>) -> UpstreamAnswer {
        let headers = etag.map(|tag| (ETAG, HeaderValue::from_static(tag))).into_iter().collect();
        UpstreamAnswer { status: StatusCode::OK, headers, body: body.to_string().into() }
    }

    fn kept(body: &Json) -> bool {
        Kept::may_be_kept(&answer(body, None), MINUTE, Instant::now()).is_some()
    }

    #[test]
    fn what_is_sensitive_is_never_kept() {
        let label = |code: &str| json!({ "security": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": code }] });
        let observation = |more: Json| {
            let mut own = json!({ "resourceType": "Observation", "id": "o" });
            own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            own
        };
        assert!(kept(&observation(json!({}))) && kept(&observation(json!({ "meta": label("N") }))));
        for sensitive in [
            observation(json!({ "meta": label("R") })),
            observation(json!({ "meta": label("V") })),
            observation(json!({ "meta": { "security": [{ "system": "urn:other", "code": "HIV" }] } })),
            observation(
                json!({ "meta": { "profile": ["http://hl7.org/fhir/uv/genomics-reporting/StructureDefinition/variant"] } }),
            ),
            observation(
                json!({ "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "GE" }] }] }),
            ),
            observation(
                json!({ "contained": [{ "resourceType": "Patient", "id": "p", "meta": label("R") }] }),
            ),
            json!({ "resourceType": "MolecularSequence", "id": "m" }),
        ] {
            assert!(!kept(&sensitive), "{sensitive}");
            let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [
                { "resource": observation(json!({})) }, { "resource": sensitive }] });
            assert!(!kept(&bundle), "{bundle}");
        }
        let page = json!({ "resourceType": "Bundle", "link": [{ "relation": "next", "url": "http://h/2" }] });
        assert!(!kept(&page) && kept(&json!({ "resourceType": "Bundle" })));
        assert!(!kept(&json!("no FHIR")) || kept(&json!({})), "what can't be read is not kept");
    }

    #[test]
    fn an_answer_is_found_by_its_caller_until_something_changes() {
        let (own, now) = (Answers::new(1 << 20), Instant::now());
        let (ward, lab) = (
            Requester { client_id: "ward".to_owned(), ..Requester::default() },
            Requester { client_id: "lab".to_owned(), ..Requester::default() },
        );
        let patient = json!({ "resourceType": "Patient", "id": "anna" });
        let put = || {
            let key = own.key("/Patient/anna", "Patient", &ward, 1);
            own.keep(key, Kept::may_be_kept(&answer(&patient, None), MINUTE, now).unwrap());
        };
        let fresh = |requester: &Requester, request: &str, consents: u64, at: Instant| {
            matches!(own.find(&own.key(request, "Patient", requester, consents), at), Found::Fresh(_))
        };
        put();
        assert!(fresh(&ward, "/Patient/anna", 1, now));
        assert!(!fresh(&lab, "/Patient/anna", 1, now), "another caller");
        assert!(!fresh(&ward, "/Patient/bruno", 1, now), "another request");
        assert!(!fresh(&ward, "/Patient/anna", 2, now), "a consent was written");
        assert!(!fresh(&ward, "/Patient/anna", 1, now + MINUTE), "its time is over");
        own.wrote("Observation");
        let shared = std::ptr::eq(own.writes.of_type("Observation"), own.writes.of_type("Patient"));
        assert!(shared || fresh(&ward, "/Patient/anna", 1, now));
        own.wrote("Patient");
        assert!(!fresh(&ward, "/Patient/anna", 1, now), "a patient was written");
        put();
        own.wrote_any();
        assert!(!fresh(&ward, "/Patient/anna", 1, now), "a transaction was written");
        put();
        let next = Answers::following(&own, 1 << 20);
        next.wrote("Patient");
        assert!(
            !fresh(&ward, "/Patient/anna", 1, now),
            "a patient was written through the gateway of a reload"
        );
        put();
        own.forget(&own.key("/Patient/anna", "Patient", &ward, 1));
        assert!(!fresh(&ward, "/Patient/anna", 1, now));
    }

    #[test]
    fn a_stale_answer_with_a_tag_is_asked_about() {
        let (own, now) = (Answers::new(1 << 20), Instant::now());
        let ward = Requester::default();
        let patient = answer(&json!({ "resourceType": "Patient", "id": "anna" }), Some("W/\"1\""));
        let key = || own.key("/Patient/anna", "Patient", &ward, 1);
        own.keep(key(), Kept::may_be_kept(&patient, MINUTE, now).unwrap());
        let later = now + MINUTE;
        let Found::Stale(stale, tag) = own.find(&key(), later) else { panic!("it is stale") };
        assert_eq!((stale.body, tag), (patient.body.clone(), HeaderValue::from_static("W/\"1\"")));
        own.keep(key(), Kept::still_holds(&patient, &HeaderMap::new(), MINUTE, later).unwrap());
        assert!(matches!(own.find(&key(), later), Found::Fresh(_)));
        let no_store: HeaderMap =
            [(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"))].into_iter().collect();
        assert!(Kept::still_holds(&patient, &no_store, MINUTE, later).is_none());
    }

    #[test]
    fn answers_keep_within_their_room() {
        let (own, now) = (Answers::new(100_000), Instant::now());
        let ward = Requester::default();
        let text = "x".repeat(5_000);
        for at in 0..200 {
            let patient = json!({ "resourceType": "Patient", "id": format!("p{at}"), "language": text });
            let kept = Kept::may_be_kept(&answer(&patient, None), MINUTE, now).unwrap();
            own.keep(own.key(&format!("/Patient/p{at}"), "Patient", &ward, 1), kept);
        }
        own.observe();
        assert!(own.kept.weight() <= 100_000, "{}", own.kept.weight());
        let large = json!({ "resourceType": "Patient", "id": "large", "language": "x".repeat(20_000) });
        let key = own.key("/Patient/large", "Patient", &ward, 1);
        own.keep(key.clone(), Kept::may_be_kept(&answer(&large, None), MINUTE, now).unwrap());
        assert!(matches!(own.find(&key, now), Found::Nothing));
    }
}
