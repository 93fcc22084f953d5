//! How many requests each client made on a day. Only the present day is kept.

use rusqlite::{Connection, Transaction, params};

use super::{Store, StoreError};
use crate::limit::DayCount;

/// Made beside the tables of the first version, whenever a database is opened.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS quota (
        day TEXT NOT NULL, client TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, client)) STRICT, WITHOUT ROWID;
";

pub(super) fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(TABLES)
}

pub(super) fn add(transaction: &Transaction<'_>, counts: &[DayCount]) -> Result<(), rusqlite::Error> {
    let mut one = transaction.prepare_cached(
        "INSERT INTO quota (day, client, count) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET count = count + excluded.count",
    )?;
    for DayCount { day, client, count } in counts {
        one.execute(params![day, client, i64::try_from(*count).unwrap_or(i64::MAX)])?;
    }
    if let Some(own) = counts.first() {
        transaction.prepare_cached("DELETE FROM quota WHERE day < ?1")?.execute([&own.day])?;
    }
    Ok(())
}

impl Store {
    /// Adds to what clients have used. Returns when that is on disk.
    pub async fn add_to_quota(&self, counts: Vec<DayCount>) -> Result<(), StoreError> {
        self.writer().add_to_quota(counts).await
    }

    /// What each client used on a day.
    pub fn quota_of(&self, day: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let connection = self.trail();
        let mut query = connection.prepare_cached("SELECT client, count FROM quota WHERE day = ?1")?;
        let rows = query.query_map([day], |row| {
            Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use varco_core::consent::Reading;

    use super::*;
    use crate::config::{DailyQuota, Limits};
    use crate::limit::QuotaBook;

    #[tokio::test]
    async fn a_quota_outlives_the_process_and_holds_for_all_that_share_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let now: Timestamp = "2026-05-01T10:00:00Z".parse().unwrap();
        let open = |now: Timestamp| {
            let store = Store::open(&path, Reading { zone: TimeZone::UTC, bases: Vec::new() }).unwrap();
            QuotaBook::open(TimeZone::UTC, Arc::new(store), now).unwrap()
        };
        let lab = DailyQuota { clients: vec!["lab".to_owned()], requests_per_day: 5 };
        let limits = Limits { quota: vec![lab], ..Limits::default() };
        let passed = |book: &QuotaBook, now, tries| {
            (0..tries).filter(|_| book.count(&limits, "lab", now).is_ok()).count()
        };
        let first = open(now);
        assert!(first.count(&limits, "ward", now).unwrap().is_none(), "no quota is set for this one");
        assert_eq!(passed(&first, now, 3), 3);
        first.save().await.unwrap();
        drop(first);
        let (one, two) = (open(now), open(now));
        assert_eq!(passed(&one, now, 1), 1);
        one.save().await.unwrap();
        // The other process has not heard of it yet; then it has.
        assert_eq!(passed(&two, now, 1), 1);
        two.save().await.unwrap();
        assert_eq!(passed(&two, now, 9), 0);
        let refused = two.count(&limits, "lab", now).unwrap_err();
        assert_eq!((refused.policy.name.as_str(), refused.retry_after), ("day", 14 * 3_600));
        let tomorrow: Timestamp = "2026-05-02T00:00:00Z".parse().unwrap();
        assert_eq!(passed(&two, tomorrow, 9), 5);
        two.save().await.unwrap();
        assert_eq!(passed(&open(tomorrow), tomorrow, 9), 0);
    }

    #[tokio::test]
    async fn while_a_process_takes_over_one_that_counts_nothing_hears_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let now: Timestamp = "2026-05-01T10:00:00Z".parse().unwrap();
        let open = || {
            let reading = Reading { zone: TimeZone::UTC, bases: Vec::new() };
            let store = Arc::new(Store::open(&path, reading).unwrap());
            (store.clone(), QuotaBook::open(TimeZone::UTC, store, now).unwrap())
        };
        let ((_, old), (store, new)) = (open(), open());
        let spend = |book: &QuotaBook, client, times| {
            (0..times).filter(|_| book.spend(client, 5, now).is_ok()).count()
        };
        store.overlap().begin().unwrap();
        assert_eq!((spend(&old, "lab", 4), spend(&old, "ward", 2)), (4, 2));
        old.save().await.unwrap();
        new.save().await.unwrap();
        assert_eq!(spend(&new, "lab", 5), 1);
        new.save().await.unwrap();
        // The last that the old one counts is saved when it ends.
        assert_eq!(spend(&old, "ward", 2), 2);
        old.save().await.unwrap();
        store.overlap().end().unwrap();
        new.save().await.unwrap();
        assert_eq!(spend(&new, "ward", 5), 1);
    }
}
