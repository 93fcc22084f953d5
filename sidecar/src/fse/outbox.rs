//! The outbox: the plan of what may be sent, and the store that makes it last. One for the process; it outlives configurations.
//!
//! Invariants: a message is in the plan before it is in the store and leaves the plan after its end is in the store, so that one
//! that comes again meets it in one of the two. Whoever sends a message has taken it in the plan and claimed it in the store.
//! Bounds: number and bytes of what waits, days; gauges `varco_outbox_messages`, `varco_outbox_bytes`,
//! `varco_outbox_oldest_seconds`, `varco_outbox_needs_token_seconds`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use http::{HeaderMap, HeaderName, HeaderValue};
use metrics::gauge;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::forward::{Answered, Silence};
use super::kind::Kind;
use super::message::Message;
use super::plan::{Known, Plan, State, Turn, Waiting, repeated};
use super::record::Origin;
use crate::config;
use crate::store::{OutboxChange, OutboxHead, OutboxMessage, Store, StoreError};

/// What an attempt came to.
pub type Outcome = Result<Answered, Silence>;

/// A message that has come.
pub enum Arrival {
    /// It is new, and has its place under this number.
    New(i64, Turn),
    /// It waits already, under this number.
    Again(i64),
    /// It was published, and nobody was told: this is the answer.
    Ended(i64, Answered),
    /// There is no place for it.
    NoPlace,
}

/// The outbox.
pub struct Outbox {
    pub(super) store: Arc<Store>,
    plan: Mutex<Plan>,
    listeners: Mutex<HashMap<i64, Vec<oneshot::Sender<Outcome>>>>,
    /// Rung when something may have become ready.
    pub(super) bell: Notify,
    /// This process.
    pub(super) holder: String,
}

impl Outbox {
    /// The outbox as the store has it; `now` is in seconds since 1970.
    pub fn open(store: Arc<Store>, now: i64) -> Result<Outbox, StoreError> {
        let own = Outbox {
            store,
            plan: Mutex::default(),
            listeners: Mutex::default(),
            bell: Notify::new(),
            holder: Uuid::now_v7().to_string(),
        };
        let found = own.take_up(now)?;
        if found > 0 {
            tracing::info!(
                messages = found,
                "messages for the national gateway wait and are sent in their order"
            );
        }
        Ok(own)
    }

    /// Takes up what is in the store and not in the plan: at the start, and what another process left; gives how many. What
    /// another process has ended leaves the plan.
    pub fn take_up(&self, now: i64) -> Result<usize, StoreError> {
        let free = |own: &Waiting| matches!(own.state, State::Queued | State::NeedsToken);
        let known: HashMap<i64, bool> = self.plan().iter().map(|(seq, own)| (seq, free(own))).collect();
        let rows = self.store.outbox_waiting(|seq| known.contains_key(&seq))?;
        let left: HashSet<i64> = self.store.outbox_numbers()?;
        let ended = known.iter().filter(|(seq, free)| **free && !left.contains(*seq));
        ended.for_each(|(seq, _)| self.forget(*seq));
        let mut plan = self.plan();
        let mut found = 0;
        for (head, chains) in rows {
            let Some(kind) = Kind::publication(&head.kind).filter(|_| plan.get(head.seq).is_none()) else {
                continue;
            };
            // One that another process sends is left alone until that has ended.
            let due = head.until.filter(|until| head.state == "sending" && *until > now).unwrap_or_default();
            plan.add(
                head.seq,
                Waiting {
                    id: head.id.as_str().into(),
                    route: head.route.as_str().into(),
                    kind,
                    chains,
                    identity: head.identity,
                    sending: head.sending,
                    state: if head.state == "needs-token" { State::NeedsToken } else { State::Queued },
                    tokens_until: head.tokens_until,
                    arrived: head.arrived,
                    due: due.saturating_mul(1_000),
                    faults: 0,
                    bytes: u64::try_from(head.bytes).unwrap_or_default(),
                },
            );
            found += 1;
        }
        Ok(found)
    }

    /// Gives a message its place, or finds the one that it repeats. `now` is in microseconds since 1970.
    pub fn arrive(
        &self,
        message: &Message,
        route: &str,
        id: &str,
        bounds: &config::Publication,
        now: i64,
    ) -> Result<Arrival, StoreError> {
        let (identity, sending, chains) = (message.identity(), message.sending(), message.chains(route));
        let bytes = message.body.len() as u64;
        let (seq, turn) = {
            let mut plan = self.plan();
            let known: Vec<Known> = plan
                .in_chains(&chains)
                .into_iter()
                .map(|(seq, own)| Known { seq, kind: own.kind, identity: own.identity, sending: own.sending })
                .collect();
            if let Some(seq) = repeated(message.kind, &identity, &sending, &known) {
                return Ok(Arrival::Again(seq));
            }
            if !plan.fits(bytes, bounds.records, bounds.bytes) {
                return Ok(Arrival::NoPlace);
            }
            let seq = plan.number(now);
            plan.add(
                seq,
                Waiting {
                    id: id.into(),
                    route: route.into(),
                    kind: message.kind,
                    chains: chains.clone(),
                    identity,
                    sending,
                    state: State::Arriving,
                    tokens_until: message.tokens.until(),
                    arrived: now / 1_000_000,
                    due: 0,
                    faults: 0,
                    bytes,
                },
            );
            (seq, plan.turn(seq))
        };
        match self.published(message.kind, &identity, &sending, &chains) {
            Ok(None) => Ok(Arrival::New(seq, turn)),
            Ok(Some((ended, answer))) => {
                self.forget(seq);
                Ok(Arrival::Ended(ended, answer))
            }
            Err(error) => {
                self.forget(seq);
                Err(error)
            }
        }
    }

    /// The answer to the same message, where it was published and its callers don't know, or where this is the very same
    /// sending of it.
    fn published(
        &self,
        kind: Kind,
        identity: &[u8; 32],
        sending: &[u8; 32],
        chains: &[[u8; 16]],
    ) -> Result<Option<(i64, Answered)>, StoreError> {
        let ended = self.store.outbox_known(chains)?;
        let known = ended.iter().filter_map(|own| {
            Some(Known {
                seq: own.seq,
                kind: Kind::publication(&own.kind)?,
                identity: own.identity,
                sending: own.sending,
            })
        });
        let Some(seq) = repeated(kind, identity, sending, &known.collect::<Vec<_>>()) else {
            return Ok(None);
        };
        let answerable = |own: &&OutboxHead| {
            own.seq == seq && own.state == "done" && (!own.told || own.sending == *sending)
        };
        if !ended.iter().any(|own| answerable(&own)) {
            return Ok(None);
        }
        let Some((status, headers, body)) = self.store.outbox_answer(seq)? else { return Ok(None) };
        let Ok(status) = http::StatusCode::from_u16(status) else { return Ok(None) };
        Ok(Some((seq, Answered { status, headers: from_lines(&headers), body })))
    }

    /// Takes a message out of the plan, and lets those behind it go on.
    pub fn forget(&self, seq: i64) {
        self.plan().end(seq);
        self.bell.notify_one();
    }

    /// The plan.
    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever waits for what a message comes to gets it here.
    pub fn listen(&self, seq: i64) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.lock_listeners().entry(seq).or_default().push(sender);
        receiver
    }

    /// True where somebody waits for what a message comes to.
    pub fn is_listened_to(&self, seq: i64) -> bool {
        self.lock_listeners().get(&seq).is_some_and(|all| all.iter().any(|one| !one.is_closed()))
    }

    /// Tells those who wait for a message.
    pub fn tell(&self, seq: i64, outcome: &Outcome) {
        for listener in self.lock_listeners().remove(&seq).into_iter().flatten() {
            // One that went away no longer needs it.
            let _ = listener.send(outcome.clone());
        }
    }

    /// Tells all who wait for messages of a route that its gateway is silent: it will take longer than they wait.
    pub fn tell_silence(&self, route: &str, cause: &Outcome) {
        let silence = match cause {
            Err(silence) => silence.clone(),
            Ok(answer) => Silence::NotSent(format!(
                "it answered another message with status {}",
                answer.status.as_u16()
            )),
        };
        let of_route: Vec<i64> = {
            let plan = self.plan();
            let listeners = self.lock_listeners();
            let waits = |seq: &&i64| {
                plan.get(**seq).is_some_and(|own| &*own.route == route && own.state != State::Sending)
            };
            listeners.keys().filter(waits).copied().collect()
        };
        of_route.into_iter().for_each(|seq| self.tell(seq, &Err(silence.clone())));
    }

    fn lock_listeners(&self) -> MutexGuard<'_, HashMap<i64, Vec<oneshot::Sender<Outcome>>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message as it is to be stored.
    pub fn row(&self, seq: i64, message: &Message, origin: &Origin, route: &str) -> Option<OutboxMessage> {
        let plan = self.plan();
        let own = plan.get(seq)?;
        Some(OutboxMessage {
            head: OutboxHead {
                seq,
                id: origin.id.clone(),
                route: route.to_owned(),
                kind: message.kind.name().to_owned(),
                state: "queued".to_owned(),
                client: origin.caller.client.clone(),
                arrived: own.arrived,
                identity: own.identity,
                sending: own.sending,
                tokens_until: own.tokens_until,
                request: origin.id.clone(),
                trace: origin.trace.clone(),
                bytes: i64::try_from(message.body.len()).unwrap_or(i64::MAX),
                attempts: 0,
                unsure: false,
                until: None,
                cause: None,
                told: false,
                ended: None,
                status: None,
            },
            chains: own.chains.clone(),
            caller: serde_json::to_string(&origin.caller).ok()?,
            patient: origin.patient.clone(),
            method: message.method.as_str().to_owned(),
            target: message.target.clone(),
            headers: to_lines(&message.headers),
            body: message.body.clone(),
        })
    }

    /// The claim of a message by this process, for an attempt that has ended within so many seconds.
    pub fn claim(&self, seq: i64, now: i64, seconds: u64) -> OutboxChange {
        let until = now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        OutboxChange::Claim { seq, holder: self.holder.clone(), until, now }
    }

    /// Sets the gauges; `now` is in seconds since 1970.
    pub fn observe(&self, now: i64) {
        let mut counts = BTreeMap::from([("queued", 0), ("sending", 0), ("needs-token", 0)]);
        let (mut oldest, mut oldest_without) = (now, now);
        let bytes = {
            let plan = self.plan();
            for (_, own) in plan.iter() {
                *counts.entry(own.state.name()).or_default() += 1;
                oldest = oldest.min(own.arrived);
                if own.state == State::NeedsToken {
                    oldest_without = oldest_without.min(own.arrived);
                }
            }
            plan.bytes()
        };
        for (state, count) in counts {
            gauge!("varco_outbox_messages", "state" => state).set(f64::from(count));
        }
        gauge!("varco_outbox_bytes").set(bytes as f64);
        gauge!("varco_outbox_oldest_seconds").set(now.saturating_sub(oldest) as f64);
        gauge!("varco_outbox_needs_token_seconds").set(now.saturating_sub(oldest_without) as f64);
    }
}

impl State {
    /// Its name for operators.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued | State::Arriving => "queued",
            State::Sending => "sending",
            State::NeedsToken => "needs-token",
        }
    }
}

/// Headers as lines.
pub fn to_lines(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    lines
}

/// Headers from lines that [`to_lines`] wrote.
pub fn from_lines(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b": ").unwrap_or_default();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// A number in 0..1, to spread what would else happen at once.
pub fn chance() -> f64 {
    let mut bytes = [0; 2];
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_be_bytes(bytes)) / 65_536.0,
        Err(_) => 0.5,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use varco_core::consent::Reading;

    use super::*;
    use crate::fse::caller::Caller;

    fn message(document: &str) -> (Message, Origin) {
        let (target, trace) = (format!("/documents/{document}"), "t".to_owned());
        let message = Message::read(http::Method::DELETE, target, &HeaderMap::new(), Bytes::new());
        let (kind, caller) = (message.kind, Caller::default());
        (message, Origin { id: document.to_owned(), trace, hop: None, kind, caller, patient: None })
    }

    #[tokio::test]
    async fn what_another_process_ended_leaves_the_plan_and_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let reading = Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
            Outbox::open(Arc::new(Store::open(&folder.path().join("s.sqlite"), reading).unwrap()), 100)
                .unwrap()
        };
        let bounds = config::Publication { days: 5, records: 9, bytes: 99, replays: 1, route: Vec::new() };
        let one = open();
        let (message, origin) = message("2.16^1");
        let Ok(Arrival::New(seq, Turn::Now)) = one.arrive(&message, "fse", &origin.id, &bounds, 7) else {
            panic!()
        };
        let put = OutboxChange::Put(Box::new(one.row(seq, &message, &origin, "fse").unwrap()));
        one.store.writer().outbox(vec![put], Vec::new()).await.unwrap();
        one.plan().wait(seq, State::Queued, 0);
        let two = open();
        two.plan().wait(seq, State::NeedsToken, 0);
        assert_eq!(two.take_up(100).unwrap(), 0);
        assert_eq!(two.plan().get(seq).unwrap().state, State::NeedsToken, "it waits for both");
        let end = OutboxChange::End { seq, state: "done", cause: None, told: true, at: 100, answer: None };
        one.store.writer().outbox(vec![end], Vec::new()).await.unwrap();
        assert_eq!(one.take_up(100).unwrap(), 0);
        two.plan().wait(seq, State::Sending, 0);
        two.take_up(100).unwrap();
        assert!(two.plan().get(seq).is_some(), "what is under way here ends here");
        two.plan().wait(seq, State::NeedsToken, 0);
        two.take_up(100).unwrap();
        assert!(one.plan().get(seq).is_none() && two.plan().get(seq).is_none());
    }

    #[test]
    fn headers_are_kept_as_they_came() {
        let mut headers = HeaderMap::new();
        headers.append("accept", "a".parse().unwrap());
        headers.append("accept", "b: c, d".parse().unwrap());
        headers.append("x-own", HeaderValue::from_bytes(b"\xe8 \xff").unwrap());
        headers.append("empty", "".parse().unwrap());
        assert_eq!(from_lines(&to_lines(&headers)), headers);
        assert!(from_lines(b"no colon\r\n: \r\n").is_empty());
        assert!((0.0..1.0).contains(&chance()));
    }
}
