//! How much a caller may ask: token buckets by client, tenant, patient, operation and device; requests of a client at a time;
//! quotas by day; and lanes for all requests together.
//!
//! Invariants: a limit counts what was asked, never what was found ([`subject`]), and what it says of itself is about the
//! caller alone ([`told`]): no refusal tells of patients or of other callers. Requests of the priority lane have buckets of
//! their own, so that a client's bulk uses up none of its alarms. What is off costs nothing.
//!
//! Limits live as long as their settings: a reload keeps the buckets of every rule that it doesn't change.

mod bucket;
mod client_places;
mod day;
mod giving_way;
mod kind;
mod lag;
mod lanes;
mod pace;
mod quota_book;
mod subject;
mod told;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use metrics::{Counter, counter, gauge};
use varco_core::interaction::Interaction;
use varco_core::requester::Requester;

use crate::config::{LimitRule, Limits, Per, Tell};
use bucket::{Buckets, Said};
pub use client_places::ClientPlace;
pub use day::DayCount;
pub use kind::{Kind, Shape};
pub use lanes::{Lane, Lanes, Place, Shed};
pub use pace::Pace;
pub use quota_book::QuotaBook;
pub use subject::Subjects;
pub use told::{Exceeded, Policy, Standing, headers};

/// The name of the limit that `requests_per_second` and `burst` are.
pub const CLIENT_RULE: &str = "client";
/// The name of the limit of a client's requests at a time.
pub const CONCURRENT_RULE: &str = "concurrent";
/// The name of the quota.
pub const DAY_RULE: &str = "day";

/// One rule and its buckets.
struct Rule {
    setting: LimitRule,
    policy: Policy,
    buckets: Arc<Buckets>,
    refused: Counter,
}

/// Who asks what, as limits see it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The caller.
    pub requester: &'a Requester,
    /// The kind of request.
    pub shape: Shape<'a>,
    /// Its lane.
    pub lane: Lane,
}

/// The limits of one configuration.
pub struct Limiter {
    rules: Vec<Rule>,
    /// True where a rule counts patients or devices.
    by_subject: bool,
    tell: Tell,
    hash: RandomState,
    places: Option<client_places::ClientPlaces>,
}

impl Limiter {
    /// Those of the configuration; what is set as in the limits `before` goes on as it is.
    pub fn new(limits: &Limits, before: Option<&Limiter>) -> Limiter {
        let client = LimitRule {
            name: CLIENT_RULE.to_owned(),
            per: Per::Client,
            requests: limits.requests_per_second,
            seconds: 1,
            burst: Some(limits.burst),
            clients: Vec::new(),
            interactions: Vec::new(),
            types: Vec::new(),
        };
        let settings = std::iter::once(&client).chain(&limits.rule);
        let rules: Vec<Rule> = settings.map(|setting| rule(setting, before)).collect();
        Limiter {
            by_subject: rules.iter().any(|rule| rule.counts_subjects()),
            rules,
            tell: limits.tell,
            hash: before.map_or_else(RandomState::new, |before| before.hash.clone()),
            places: limits
                .concurrent_per_client
                .map(|most| client_places::ClientPlaces::new(most, before.and_then(|it| it.places.as_ref()))),
        }
    }

    /// Takes a token of each bucket that the caller and the kind of request have; gives what is left, where that is told.
    pub fn admit(&self, asked: &Asked<'_>) -> Result<Vec<Standing>, Box<Exceeded>> {
        let mut standings = Vec::new();
        let caller = self.caller(asked);
        for rule in self.rules.iter().filter(|rule| !rule.counts_subjects() && rule.takes(asked)) {
            let left = take(rule, self.key_of(rule, asked, caller), caller)?;
            if self.tell == Tell::Answers && rule.setting.per != Per::Tenant {
                standings.push(rule.standing(left));
            }
        }
        Ok(standings)
    }

    /// The same for the patients and devices that the request names.
    pub fn admit_subjects(
        &self,
        asked: &Asked<'_>,
        interaction: &Interaction,
        body: &[u8],
    ) -> Result<(), Box<Exceeded>> {
        if !self.by_subject {
            return Ok(());
        }
        let subjects = Subjects::of(interaction, asked.requester, body);
        let caller = self.caller(asked);
        for rule in self.rules.iter().filter(|rule| rule.counts_subjects() && rule.takes(asked)) {
            let named = if rule.setting.per == Per::Patient { &subjects.patients } else { &subjects.devices };
            for own in named {
                let key = self.hash.hash_one((asked.lane == Lane::Priority, &asked.requester.client_id, own));
                take(rule, key, caller)?;
            }
        }
        Ok(())
    }

    /// A place among those that the client may have at a time; `None` where that is not bounded.
    pub fn place(&self, asked: &Asked<'_>) -> Result<Option<ClientPlace>, Box<Exceeded>> {
        let Some(places) = &self.places else { return Ok(None) };
        places.enter(self.caller(asked)).map(Some)
    }

    fn caller(&self, asked: &Asked<'_>) -> u64 {
        self.hash.hash_one((asked.lane == Lane::Priority, &asked.requester.client_id))
    }

    fn key_of(&self, rule: &Rule, asked: &Asked<'_>, caller: u64) -> u64 {
        let (first, requester) = (asked.lane == Lane::Priority, asked.requester);
        match rule.setting.per {
            Per::Tenant if !requester.organizations.is_empty() => {
                self.hash.hash_one((first, &requester.organizations))
            }
            Per::Operation => self.hash.hash_one((first, &requester.client_id, asked.shape.kind)),
            _ => caller,
        }
    }

    /// Forgets what is not needed and sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        for rule in &self.rules {
            rule.buckets.tidy();
            gauge!("varco_limit_buckets", "limit" => rule.setting.name.clone())
                .set(rule.buckets.len() as f64);
        }
    }
}

impl Rule {
    fn counts_subjects(&self) -> bool {
        matches!(self.setting.per, Per::Patient | Per::Device)
    }

    fn takes(&self, asked: &Asked<'_>) -> bool {
        let LimitRule { clients, interactions, types, .. } = &self.setting;
        let client = clients.is_empty() || clients.contains(&asked.requester.client_id);
        client && asked.shape.may_be(interactions, types)
    }

    fn standing(&self, left: u32) -> Standing {
        let missing = self.policy.most.saturating_sub(u64::from(left));
        let seconds = u64::from(self.setting.seconds);
        let resets = missing.saturating_mul(seconds).div_ceil(u64::from(self.setting.requests.max(1)));
        Standing { policy: self.policy.clone(), left: u64::from(left), resets }
    }
}

fn take(rule: &Rule, key: u64, caller: u64) -> Result<u32, Box<Exceeded>> {
    match rule.buckets.take(key, caller) {
        Said::Passed(left) => Ok(left),
        Said::Refused(retry_after) => {
            rule.refused.increment(1);
            Err(Box::new(Exceeded { policy: rule.policy.clone(), retry_after }))
        }
    }
}

fn rule(setting: &LimitRule, before: Option<&Limiter>) -> Rule {
    let burst = setting.burst.unwrap_or(setting.requests);
    let same = before.and_then(|before| before.rules.iter().find(|rule| rule.setting == *setting));
    let fill = u64::from(burst)
        .saturating_mul(u64::from(setting.seconds))
        .div_ceil(u64::from(setting.requests.max(1)));
    Rule {
        policy: Policy { name: setting.name.clone(), most: u64::from(burst), seconds: Some(fill.max(1)) },
        buckets: same.map_or_else(
            || Arc::new(Buckets::new(setting.requests, setting.seconds, burst)),
            |same| same.buckets.clone(),
        ),
        refused: counter!("varco_limit_refused_total", "limit" => setting.name.clone()),
        setting: setting.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::definition::Definitions;
    use varco_core::interaction::SearchSchema;
    use varco_core::requester::BusinessIdentifier;

    use super::*;

    fn rule_for(name: &str, per: Per, requests: u32) -> LimitRule {
        LimitRule {
            name: name.to_owned(),
            per,
            requests,
            seconds: 3600,
            burst: None,
            clients: Vec::new(),
            interactions: Vec::new(),
            types: Vec::new(),
        }
    }

    fn limits(rule: Vec<LimitRule>) -> Limits {
        Limits { rule, ..Limits::default() }
    }

    fn caller(client: &str, organization: &str) -> Requester {
        Requester {
            client_id: client.to_owned(),
            organizations: vec![BusinessIdentifier::new("urn:org", organization)],
            ..Requester::default()
        }
    }

    fn asked<'a>(requester: &'a Requester, method: &str, path: &'a str) -> Asked<'a> {
        Asked { requester, shape: Shape::of(method, path), lane: Lane::Normal }
    }

    /// How many of so many requests pass.
    fn passed(limiter: &Limiter, asked: &Asked<'_>, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.admit(asked).is_ok()).count()
    }

    #[test]
    fn each_client_has_its_own_burst() {
        let own = Limiter::new(&Limits { requests_per_second: 1, burst: 3, ..Limits::default() }, None);
        let (ospedale, ambulatorio) = (caller("ospedale", "a"), caller("ambulatorio", "a"));
        assert_eq!(passed(&own, &asked(&ospedale, "GET", "Patient/a"), 10), 3);
        assert_eq!(passed(&own, &asked(&ambulatorio, "GET", "Patient/a"), 10), 3);
        let refused = own.admit(&asked(&ospedale, "GET", "Patient/a")).unwrap_err();
        assert_eq!(
            (refused.policy.name.as_str(), refused.policy.most, refused.policy.seconds),
            ("client", 3, Some(3))
        );
    }

    #[test]
    fn a_tenants_clients_share_and_an_operation_has_its_own() {
        let mut searches = rule_for("searches", Per::Operation, 2);
        searches.interactions = vec![Kind::Search, Kind::History];
        let own = Limiter::new(&limits(vec![rule_for("org", Per::Tenant, 5), searches]), None);
        let (one, two, other) = (caller("a", "x"), caller("b", "x"), caller("c", "y"));
        assert_eq!(passed(&own, &asked(&one, "GET", "Patient"), 4), 2);
        assert_eq!(
            passed(&own, &asked(&two, "GET", "Patient/p"), 4),
            1,
            "the searches above their limit count too"
        );
        assert_eq!(passed(&own, &asked(&other, "GET", "Patient/p"), 9), 5);
    }

    #[test]
    fn an_alarm_is_not_refused_for_its_clients_bulk() {
        let own = Limiter::new(&Limits { requests_per_second: 1, burst: 3, ..Limits::default() }, None);
        let monitor = caller("monitor", "x");
        let bulk = Asked { lane: Lane::Bulk, ..asked(&monitor, "GET", "Observation") };
        assert_eq!(passed(&own, &bulk, 10), 3);
        let alarm = Asked { lane: Lane::Priority, ..asked(&monitor, "POST", "Observation") };
        assert_eq!(passed(&own, &alarm, 10), 3);
    }

    #[test]
    fn a_patient_is_counted_by_what_is_asked_and_for_each_client_apart() {
        let own = Limiter::new(&limits(vec![rule_for("patient", Per::Patient, 2)]), None);
        let schema = SearchSchema::from_definitions(Definitions::r4());
        let ask = |client: &str, path: &str, query: Option<&str>| {
            let requester = caller(client, "x");
            let interaction = Interaction::parse("GET", path, query, None, &schema).unwrap();
            own.admit_subjects(&asked(&requester, "GET", path), &interaction, b"").is_ok()
        };
        assert!(ask("a", "Patient/anna", None) && ask("a", "Observation", Some("patient=anna")));
        assert!(!ask("a", "Patient/anna", None) && !ask("a", "Condition", Some("subject=Patient/anna")));
        assert!(ask("b", "Patient/anna", None), "nobody uses up a patient's requests for others");
        assert!(ask("a", "Patient/nobody", None) && ask("a", "Patient/nobody", None));
        assert!(!ask("a", "Patient/nobody", None), "one who is not there counts as one who is");
    }

    #[test]
    fn a_reload_keeps_what_it_does_not_change() {
        let (kept, changed) = (rule_for("kept", Per::Client, 2), rule_for("changed", Per::Operation, 2));
        let first = Limiter::new(&limits(vec![kept.clone(), changed.clone()]), None);
        let requester = caller("a", "x");
        assert_eq!(passed(&first, &asked(&requester, "GET", "Patient/p"), 5), 2);
        let now = LimitRule { requests: 3, ..changed };
        let second = Limiter::new(&limits(vec![kept, now.clone()]), Some(&first));
        assert_eq!(passed(&second, &asked(&requester, "GET", "Patient/p"), 5), 0);
        let third = Limiter::new(&limits(vec![now]), Some(&second));
        assert_eq!(
            passed(&third, &asked(&requester, "GET", "Patient/p"), 5),
            3,
            "refused requests used none of these"
        );
    }

    #[test]
    fn what_is_left_is_told_where_it_is_wanted_and_never_of_what_is_shared() {
        let tell = Limits { tell: Tell::Answers, ..limits(vec![rule_for("org", Per::Tenant, 5)]) };
        let requester = caller("a", "x");
        let told = Limiter::new(&tell, None).admit(&asked(&requester, "GET", "Patient/p")).unwrap();
        let told: Vec<_> = told.iter().map(|own| (own.policy.name.as_str(), own.left)).collect();
        assert_eq!(told, [("client", 99)]);
        let silent = Limiter::new(&limits(Vec::new()), None);
        assert_eq!(silent.admit(&asked(&requester, "GET", "Patient/p")).unwrap(), []);
    }
}
