//! How many requests are worked on at a time, by lane: priority (alarms), normal, bulk. What finds no place is shed at once.
//!
//! Nothing waits here: who is shed with `Retry-After` waits at its own place, and an alarm never stands behind others. The
//! places of the priority lane are taken by nobody else, so an alarm is refused only where there are more alarms than such
//! places *and* all others are taken too, whatever bulk and normal requests do. Which lane a request takes follows from its
//! verified token, method and path ([`LaneRule`]); nothing that a caller merely claims (a header, a category in a body) counts.
//!
//! A request that can't be of the priority lane, whoever sends it, must find a place before its token is checked: under
//! overload the work for what is shed ends there. So it does for bulk whose token was found to be of bulk a moment ago
//! ([`Lanes::shed_bulk`]): what is remembered of it only ever refuses. One atomic word holds the counts; no lock.
//! While the worker threads are behind, bulk and then normal requests have fewer places ([`super::giving_way`]), where there are
//! alarms to be let past. Metrics: `varco_in_flight`, `varco_places` and `varco_shed_total`, by lane.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, counter, gauge};
use serde::Deserialize;
use varco_core::requester::Requester;

use super::giving_way::{GivingWay, Room};
use super::kind::Shape;
use super::lag::Lag;
use crate::config::{LaneRule, Limits};

/// Bits of one count in the word.
const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;
/// How many tokens of bulk are remembered.
const KNOWN_BULK: usize = 1_024;

/// Who goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Alarms: they have places of their own.
    Priority,
    /// What no rule names.
    #[default]
    Normal,
    /// What can wait: it has a share of the places.
    Bulk,
}

impl Lane {
    const ALL: [Lane; 3] = [Lane::Priority, Lane::Normal, Lane::Bulk];

    /// Its name in metrics and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Priority => "priority",
            Lane::Normal => "normal",
            Lane::Bulk => "bulk",
        }
    }

    /// After how many seconds one that was shed should come again.
    pub fn retry_after(self) -> u64 {
        match self {
            Lane::Priority | Lane::Normal => 1,
            Lane::Bulk => 5,
        }
    }

    fn at(self) -> usize {
        match self {
            Lane::Priority => 0,
            Lane::Normal => 1,
            Lane::Bulk => 2,
        }
    }

    fn one(self) -> u64 {
        1 << (BITS * self.at() as u32)
    }
}

/// Requests that are worked on, by lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct InFlight(u64);

impl InFlight {
    fn of(self, lane: Lane) -> u64 {
        (self.0 >> (BITS * lane.at() as u32)) & MASK
    }
}

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Places {
    /// For all lanes together.
    shared: u64,
    /// For the priority lane alone, beside these.
    priority: u64,
    /// How many of the shared ones the bulk lane may have.
    bulk: u64,
}

impl Places {
    /// How many requests of this lane can find one.
    fn of(self, lane: Lane) -> u64 {
        match lane {
            Lane::Priority => self.priority,
            Lane::Normal => self.shared,
            Lane::Bulk => self.bulk,
        }
    }

    /// True where one more of this lane finds a place.
    fn has_room(self, now: InFlight, lane: Lane) -> bool {
        let beyond_own = now.of(Lane::Priority).saturating_sub(self.priority);
        let shared_taken = now.of(Lane::Normal) + now.of(Lane::Bulk) + beyond_own;
        match lane {
            Lane::Priority => now.of(Lane::Priority) < self.priority || shared_taken < self.shared,
            Lane::Normal => shared_taken < self.shared,
            Lane::Bulk => shared_taken < self.shared && now.of(Lane::Bulk) < self.bulk,
        }
    }
}

/// The lanes of one configuration, over counts that outlive it.
pub struct Lanes {
    counts: Arc<AtomicU64>,
    places: Places,
    /// Takes places away while the worker threads are behind; only where there are alarms to be let past.
    lag: Option<Arc<Lag>>,
    priority: Vec<LaneRule>,
    bulk: Vec<LaneRule>,
    shed: [Counter; 3],
    told: AtomicI64,
    hash: RandomState,
    /// Hashes of tokens and shapes that were shed as bulk, each in its own place or over an older one.
    known_bulk: Box<[AtomicU64; KNOWN_BULK]>,
}

/// No place for a request of this lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed(pub Lane);

/// The place of one request, until it is dropped.
#[derive(Debug)]
pub struct Place {
    counts: Arc<AtomicU64>,
    lane: Lane,
}

impl Place {
    /// Its lane.
    pub fn lane(&self) -> Lane {
        self.lane
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.fetch_sub(self.lane.one(), Ordering::AcqRel);
    }
}

impl Lanes {
    /// Those of the configuration, for so many worker threads; `before` are the lanes that these follow.
    pub fn new(limits: &Limits, workers: usize, before: Option<&Lanes>) -> Lanes {
        let most = Room { shared: limits.concurrent, bulk: limits.bulk_places() };
        let tolerated = Duration::from_micros(limits.lag_microseconds);
        let protects = !limits.priority.is_empty() && !tolerated.is_zero();
        Lanes {
            lag: protects.then(|| Lag::new(GivingWay::new(tolerated, most, workers))),
            counts: before.map_or_else(Arc::default, |before| before.counts.clone()),
            places: Places {
                shared: u64::from(limits.concurrent),
                priority: u64::from(limits.concurrent_priority),
                bulk: u64::from(limits.bulk_places()),
            },
            priority: limits.priority.clone(),
            bulk: limits.bulk.clone(),
            shed: Lane::ALL.map(|lane| counter!("varco_shed_total", "lane" => lane.name())),
            told: AtomicI64::new(i64::MIN),
            hash: RandomState::new(),
            known_bulk: Box::new(std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }

    /// The places that there are now.
    fn places(&self) -> Places {
        let Some(lag) = &self.lag else { return self.places };
        let Room { shared, bulk } = lag.room();
        Places { shared: u64::from(shared), bulk: u64::from(bulk), ..self.places }
    }

    /// Remembers that a request with this `Authorization` was shed as bulk.
    pub fn shed_bulk(&self, shape: &Shape<'_>, authorization: &[u8]) {
        let key = self.hash.hash_one((shape, authorization));
        if let Some(own) = self.known_bulk.get((key % KNOWN_BULK as u64) as usize) {
            own.store(key, Ordering::Relaxed);
        }
    }

    /// True where the bulk lane is full and such a request is known to be of it.
    fn is_known_bulk(&self, shape: &Shape<'_>, authorization: Option<&[u8]>) -> bool {
        let now = InFlight(self.counts.load(Ordering::Relaxed));
        if self.bulk.is_empty() || self.places().has_room(now, Lane::Bulk) {
            return false;
        }
        let Some(authorization) = authorization else { return false };
        let key = self.hash.hash_one((shape, authorization));
        let known = self.known_bulk.get((key % KNOWN_BULK as u64) as usize);
        known.is_some_and(|own| own.load(Ordering::Relaxed) == key)
    }

    /// Before the token is checked: a place for a request that nobody could send in the priority lane, `None` for one that
    /// somebody could.
    pub fn before_token(
        &self,
        shape: &Shape<'_>,
        authorization: Option<&[u8]>,
    ) -> Result<Option<Place>, Shed> {
        if let Some(lag) = &self.lag {
            lag.look();
        }
        if self.is_known_bulk(shape, authorization) {
            return Err(self.no_place(Lane::Bulk));
        }
        let somebody_could = self.priority.iter().any(|rule| shape.is(&rule.interactions, &rule.types));
        if somebody_could { Ok(None) } else { self.enter(Lane::Normal).map(Some) }
    }

    /// The place of a request whose caller is known, in the lane that it belongs to.
    pub fn after_token(
        &self,
        held: Option<Place>,
        shape: &Shape<'_>,
        requester: &Requester,
    ) -> Result<Place, Shed> {
        match (self.lane_of(shape, requester), held) {
            (lane, Some(held)) if held.lane == lane => Ok(held),
            (lane, Some(held)) => {
                drop(held);
                self.enter(lane)
            }
            (lane, None) => self.enter(lane),
        }
    }

    fn lane_of(&self, shape: &Shape<'_>, requester: &Requester) -> Lane {
        let fits = |rule: &LaneRule| {
            let client = rule.clients.is_empty() || rule.clients.contains(&requester.client_id);
            client && (rule.scopes.is_empty() || rule.scopes.iter().any(|own| requester.scopes.contains(own)))
        };
        if self.priority.iter().any(|rule| shape.is(&rule.interactions, &rule.types) && fits(rule)) {
            Lane::Priority
        } else if self.bulk.iter().any(|rule| shape.may_be(&rule.interactions, &rule.types) && fits(rule)) {
            Lane::Bulk
        } else {
            Lane::Normal
        }
    }

    fn enter(&self, lane: Lane) -> Result<Place, Shed> {
        self.find(lane).ok_or_else(|| self.no_place(lane))
    }

    /// A place for what is not shed where there is none, but looks again.
    pub fn find(&self, lane: Lane) -> Option<Place> {
        let places = self.places();
        let step = |now| places.has_room(InFlight(now), lane).then(|| now + lane.one());
        self.counts.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).ok()?;
        Some(Place { counts: self.counts.clone(), lane })
    }

    fn no_place(&self, lane: Lane) -> Shed {
        if let Some(counter) = self.shed.get(lane.at()) {
            counter.increment(1);
        }
        Shed(lane)
    }

    /// True once in each second that something is shed in: then the log says so. `now` is in seconds since 1970.
    pub fn is_news(&self, now: i64) -> bool {
        self.told.swap(now, Ordering::Relaxed) != now
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        let (now, places) = (InFlight(self.counts.load(Ordering::Relaxed)), self.places());
        for lane in Lane::ALL {
            gauge!("varco_in_flight", "lane" => lane.name()).set(now.of(lane) as f64);
            gauge!("varco_places", "lane" => lane.name()).set(places.of(lane) as f64);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::Kind;

    fn lanes(concurrent: u32, bulk: u32, priority: u32) -> Lanes {
        let alarms = LaneRule {
            clients: vec!["monitor".to_owned()],
            scopes: Vec::new(),
            interactions: vec![Kind::Create],
            types: vec!["Observation".to_owned()],
        };
        let nightly = LaneRule {
            clients: Vec::new(),
            scopes: vec!["system/*.rs".to_owned()],
            interactions: Vec::new(),
            types: Vec::new(),
        };
        let limits = Limits {
            concurrent,
            concurrent_bulk: Some(bulk),
            concurrent_priority: priority,
            priority: vec![alarms],
            bulk: vec![nightly],
            ..Limits::default()
        };
        Lanes::new(&limits, 2, None)
    }

    fn caller(client: &str, scope: &str) -> Requester {
        Requester { client_id: client.to_owned(), scopes: vec![scope.to_owned()], ..Requester::default() }
    }

    #[test]
    fn an_alarm_is_known_by_token_method_and_path() {
        let own = lanes(10, 5, 2);
        let lane =
            |method, path, client, scope| own.lane_of(&Shape::of(method, path), &caller(client, scope));
        assert_eq!(lane("POST", "/Observation", "monitor", "system/*.c"), Lane::Priority);
        assert_eq!(lane("POST", "/Observation", "ward-app", "system/*.c"), Lane::Normal);
        assert_eq!(lane("POST", "/Ob%73ervation", "monitor", "system/*.c"), Lane::Normal);
        assert_eq!(lane("GET", "/Observation", "monitor", "system/*.c"), Lane::Normal);
        assert_eq!(lane("GET", "/Observation", "warehouse", "system/*.rs"), Lane::Bulk);
        assert_eq!(
            lane("POST", "/Observation", "monitor", "system/*.rs"),
            Lane::Priority,
            "priority goes before bulk"
        );
    }

    #[test]
    fn what_nobody_could_send_as_an_alarm_needs_a_place_before_its_token_is_checked() {
        let own = lanes(1, 1, 1);
        let read = Shape::of("GET", "/Patient/anna");
        let held = own.before_token(&read, None).unwrap();
        assert!(held.is_some());
        assert_eq!(own.before_token(&read, None).unwrap_err(), Shed(Lane::Normal));
        let alarm = Shape::of("POST", "/Observation");
        assert!(own.before_token(&alarm, None).unwrap().is_none());
        assert_eq!(own.after_token(None, &alarm, &caller("stranger", "")).unwrap_err(), Shed(Lane::Normal));
        assert_eq!(own.after_token(None, &alarm, &caller("monitor", "")).unwrap().lane(), Lane::Priority);
        drop(held);
        assert!(own.before_token(&read, None).unwrap().is_some());
        assert_eq!(own.counts.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bulk_that_is_known_is_shed_before_its_token_is_checked_while_its_lane_is_full() {
        let own = lanes(4, 1, 1);
        let read = Shape::of("GET", "/Patient/anna");
        let (token, another) = (Some(&b"Bearer a"[..]), Some(&b"Bearer b"[..]));
        let bulk = caller("warehouse", "system/*.rs");
        let held = own.before_token(&read, token).unwrap();
        let held = own.after_token(held, &read, &bulk).unwrap();
        let second = own.before_token(&read, token).unwrap();
        assert_eq!(own.after_token(second, &read, &bulk).unwrap_err(), Shed(Lane::Bulk));
        own.shed_bulk(&read, b"Bearer a");
        assert_eq!(own.before_token(&read, token).unwrap_err(), Shed(Lane::Bulk));
        assert!(own.before_token(&read, another).is_ok() && own.before_token(&read, None).is_ok());
        let search = Shape::of("GET", "/Patient");
        assert!(own.before_token(&search, token).is_ok(), "another kind of request may be of another lane");
        drop(held);
        assert!(own.before_token(&read, token).is_ok(), "there is room again");
    }

    #[test]
    fn while_the_workers_are_behind_bulk_has_fewer_places_and_alarms_have_theirs() {
        let own = lanes(64, 32, 2);
        let count = |lane| std::iter::from_fn(|| own.enter(lane).ok()).collect::<Vec<_>>();
        assert_eq!(count(Lane::Bulk).len(), 32);
        let (lag, mut now) = (own.lag.as_ref().unwrap(), Instant::now());
        for _ in 0..500 {
            now += Duration::from_millis(1);
            lag.note(now - Duration::from_millis(5), now);
        }
        assert_eq!(count(Lane::Bulk).len(), 16);
        let held = count(Lane::Normal);
        assert_eq!(held.len(), 32);
        assert_eq!(count(Lane::Priority).len(), 2, "those that are theirs alone");
        // After a pause all are back; who was let in stays in meanwhile.
        lag.note(now, now + Duration::from_secs(60));
        assert_eq!(count(Lane::Bulk).len(), 32);
        assert_eq!(own.counts.load(Ordering::Relaxed), Lane::Normal.one() * 32);
    }

    #[test]
    fn a_reload_keeps_what_is_under_way() {
        let before = lanes(2, 2, 0);
        let held = before.enter(Lane::Normal).unwrap();
        let after = Lanes::new(&Limits { concurrent: 1, ..Limits::default() }, 2, Some(&before));
        assert!(after.enter(Lane::Normal).is_err());
        drop(held);
        assert!(after.enter(Lane::Normal).is_ok());
    }

    proptest! {
        /// Whatever comes and goes: an alarm finds a place as long as there are fewer alarms than places of theirs, bulk
        /// never has more than its share, all together never more than there are, and in the end every place is free.
        #[test]
        fn no_bulk_takes_an_alarms_place(
            shared in 1u32..8, bulk in 0u32..8, priority in 1u32..4,
            steps in prop::collection::vec((0usize..3, any::<bool>(), 0usize..16), 1..300),
        ) {
            let own = lanes(shared, bulk.min(shared), priority);
            let mut held: Vec<Place> = Vec::new();
            for (lane, comes, which) in steps {
                let lane = Lane::ALL[lane];
                let count = |held: &[Place], lane| held.iter().filter(|place| place.lane() == lane).count() as u32;
                if !comes {
                    if !held.is_empty() {
                        held.remove(which % held.len());
                    }
                    continue;
                }
                match own.enter(lane) {
                    Ok(place) => held.push(place),
                    Err(_) => {
                        prop_assert!(lane != Lane::Priority || count(&held, Lane::Priority) >= priority);
                        let full = held.len() as u32 >= shared;
                        prop_assert!(full || (lane == Lane::Bulk && count(&held, lane) >= bulk.min(shared)));
                    }
                }
                prop_assert!(count(&held, Lane::Bulk) <= bulk.min(shared));
                prop_assert!(held.len() as u32 <= shared + priority);
                let others = held.len() as u32 - count(&held, Lane::Priority);
                prop_assert!(others <= shared);
            }
            held.clear();
            prop_assert_eq!(own.counts.load(Ordering::Relaxed), 0);
        }
    }
}
