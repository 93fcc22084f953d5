//! Quotas by day, as the store keeps them.
//!
//! What was counted is saved every [`EVERY`], and when the sidecar stops. A process that is killed forgets what it counted
//! since then. A store that can't save is no reason to refuse: the counts stay in memory and are saved later.
//! Metrics: `varco_limit_refused_total{limit="day"}`, `varco_quota_clients`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use metrics::{counter, gauge};
use tokio::sync::watch;

use super::day::{Counted, Day};
use super::{DAY_RULE, Exceeded, Policy, Standing};
use crate::config::{Limits, Tell};
use crate::store::{Store, StoreError};

/// How often counts are saved.
const EVERY: Duration = Duration::from_secs(5);
/// The same while another process counts too: by so much the two may be late in knowing of each other.
const EVERY_SHARED: Duration = Duration::from_secs(1);
/// Seconds of a day, as the limit is told.
const DAY_SECONDS: u64 = 86_400;

fn policy(most: u64) -> Policy {
    Policy { name: DAY_RULE.to_owned(), most, seconds: Some(DAY_SECONDS) }
}

/// The counts of the day, in memory and in the store.
pub struct QuotaBook {
    day: Mutex<Day>,
    store: Arc<Store>,
    /// True where another process counted too when this one saved last.
    shared: AtomicBool,
}

impl QuotaBook {
    /// The book of the present day, as far as the store knows it.
    pub fn open(zone: TimeZone, store: Arc<Store>, now: Timestamp) -> Result<QuotaBook, StoreError> {
        let mut day = Day::new(zone, now);
        let name = day.name();
        day.learn(&name, store.quota_of(&name)?);
        Ok(QuotaBook { day: Mutex::new(day), store, shared: AtomicBool::new(false) })
    }

    /// Counts a request of the client, where it has a quota; gives what is left, where that is told.
    pub fn count(
        &self,
        limits: &Limits,
        client: &str,
        now: Timestamp,
    ) -> Result<Option<Standing>, Box<Exceeded>> {
        let own = limits.quota.iter().find(|quota| quota.clients.iter().any(|own| own == client));
        let Some(most) = own.map(|own| own.requests_per_day).or(limits.requests_per_day) else {
            return Ok(None);
        };
        let (left, resets) = self.spend(client, most, now)?;
        Ok((limits.tell == Tell::Answers).then(|| Standing { policy: policy(most), left, resets }))
    }

    /// Counts one of the `most` that somebody has in a day; gives how many are left, and in how many seconds the day ends.
    pub fn spend(&self, who: &str, most: u64, now: Timestamp) -> Result<(u64, u64), Box<Exceeded>> {
        let (said, resets) = self.lock().count(who, most, now);
        match said {
            Counted::Within(left) => Ok((left, resets)),
            Counted::UsedUp => {
                counter!("varco_limit_refused_total", "limit" => DAY_RULE).increment(1);
                Err(Box::new(Exceeded { policy: policy(most), retry_after: resets }))
            }
        }
    }

    /// Saves what was counted since the last time, and learns what another process counted that works beside this one.
    pub async fn save(&self) -> Result<(), StoreError> {
        let (counts, day) = {
            let mut day = self.lock();
            (day.take_unsaved(), day.name())
        };
        // Once more after the other process has ended: it saves what it counted last.
        let shared = self.store.overlap().is_shared();
        let shared = self.shared.swap(shared, Ordering::Relaxed) || shared;
        if counts.is_empty() && !shared {
            return Ok(());
        }
        if !counts.is_empty()
            && let Err(error) = self.store.add_to_quota(counts.clone()).await
        {
            self.lock().put_back(counts);
            return Err(error);
        }
        let totals = self.store.quota_of(&day)?;
        self.lock().learn(&day, totals);
        Ok(())
    }

    /// Saves from time to time until `stopping` turns true or its sender is gone.
    pub async fn keep(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(if self.store.overlap().is_shared() { EVERY_SHARED } else { EVERY }) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            if let Err(error) = self.save().await {
                tracing::error!(cause = %error, "what clients used of their quotas can't be saved now; it is kept in memory");
            }
        }
    }

    /// Sets the gauge, before metrics are rendered.
    pub fn observe(&self) {
        gauge!("varco_quota_clients").set(self.lock().clients() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Day> {
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
