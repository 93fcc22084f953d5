//! What one caller may send on the planes beside FHIR: messages to the national gateway, HL7 v2 over MLLP.
//!
//! Buckets, places and quotas are those of requests, counted apart from theirs. Invariant: where nothing is set, nothing is
//! counted and nobody is refused. Which of the two a plane does, refuse or let wait, is the plane's.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Counter, counter};

use super::bucket::Buckets;
use super::client_places::ClientPlaces;
use super::{CLIENT_RULE, ClientPlace, Exceeded, Policy, QuotaBook};
use crate::config;

/// What each caller of one plane may send.
pub struct Pace {
    /// What its callers' counts of the day begin with, so that those of planes are told apart.
    plane: String,
    buckets: Option<(Policy, Buckets)>,
    places: Option<ClientPlaces>,
    per_day: Option<u64>,
    quotas: Arc<QuotaBook>,
    refused: Counter,
    hash: RandomState,
}

impl Pace {
    /// What the settings of a plane say.
    pub fn new(plane: String, settings: &config::Pace, quotas: Arc<QuotaBook>) -> Pace {
        let buckets = settings.per_second.map(|rate| {
            let burst = settings.burst.unwrap_or(rate).max(1);
            let seconds = u64::from(burst.div_ceil(rate.max(1)));
            let policy =
                Policy { name: CLIENT_RULE.to_owned(), most: u64::from(burst), seconds: Some(seconds) };
            (policy, Buckets::new(rate, 1, burst))
        });
        Pace {
            plane,
            buckets,
            places: settings.at_a_time.map(|most| ClientPlaces::new(most, None)),
            per_day: settings.per_day,
            quotas,
            refused: counter!("varco_limit_refused_total", "limit" => CLIENT_RULE),
            hash: RandomState::new(),
        }
    }

    /// A place among those that the caller may have at a time; `None` where that is not bounded.
    pub fn place(&self, client: &str) -> Result<Option<ClientPlace>, Box<Exceeded>> {
        let Some(places) = &self.places else { return Ok(None) };
        places.enter(self.hash.hash_one(client)).map(Some)
    }

    /// Takes one message of the caller's rate.
    pub fn take(&self, client: &str) -> Result<(), Box<Exceeded>> {
        let Some((policy, _)) = &self.buckets else { return Ok(()) };
        self.ready_after(client).map_err(|wait| {
            self.refused.increment(1);
            let retry_after = wait.as_secs().saturating_add(1);
            Box::new(Exceeded { policy: policy.clone(), retry_after })
        })
    }

    /// The same for a plane that lets wait: where the caller sends too fast, after how long it may send the next.
    pub fn ready_after(&self, client: &str) -> Result<(), Duration> {
        let Some((_, buckets)) = &self.buckets else { return Ok(()) };
        let key = self.hash.hash_one(client);
        buckets.ask(key, key).map(|_| ())
    }

    /// Counts a message of the caller's day.
    pub fn count_day(&self, client: &str, now: Timestamp) -> Result<(), Box<Exceeded>> {
        let Some(most) = self.per_day else { return Ok(()) };
        self.quotas.spend(&format!("{} {client}", self.plane), most, now).map(|_| ())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::tz::TimeZone;
    use varco_core::consent::Reading;

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn each_caller_has_its_own_and_what_is_not_set_refuses_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let reading = Reading { zone: TimeZone::UTC, bases: Vec::new() };
        let store = Arc::new(Store::open(&folder.path().join("s.sqlite"), reading).unwrap());
        let now: Timestamp = "2026-05-01T23:00:00Z".parse().unwrap();
        let quotas = Arc::new(QuotaBook::open(TimeZone::UTC, store, now).unwrap());
        let pace = |plane: &str, settings| Pace::new(plane.to_owned(), &settings, quotas.clone());
        let settings =
            config::Pace { per_second: Some(1), burst: Some(3), per_day: Some(2), at_a_time: Some(1) };
        let own = pace("fse", settings.clone());
        assert_eq!((0..9).filter(|_| own.take("ris").is_ok()).count(), 3);
        let refused = own.take("ris").unwrap_err();
        assert_eq!((refused.policy.most, refused.policy.seconds, refused.retry_after), (3, Some(3), 1));
        assert!(own.ready_after("ris").unwrap_err() <= Duration::from_secs(1) && own.take("lis").is_ok());
        let held = own.place("ris").unwrap();
        assert_eq!(own.place("ris").unwrap_err().policy.name, "concurrent");
        drop(held);
        assert!(own.place("ris").unwrap().is_some());
        assert_eq!((0..9).filter(|_| own.count_day("ris", now).is_ok()).count(), 2);
        assert_eq!(own.count_day("ris", now).unwrap_err().retry_after, 3_600);
        assert!(pace("mllp", settings).count_day("ris", now).is_ok(), "another plane's are counted apart");
        let free = pace("fse", config::Pace::default());
        for _ in 0..500 {
            assert!(free.take("ris").is_ok() && free.count_day("ris", now).is_ok());
        }
        assert!(free.place("ris").unwrap().is_none());
    }
}
