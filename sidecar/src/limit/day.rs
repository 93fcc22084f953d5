//! Quotas by day: how many requests each client has made since midnight in the configured zone.
//!
//! Counted in memory, saved in batches ([`super::QuotaBook`]), so that a restart forgets nothing but what was counted since
//! the last batch. While a process takes over from another, each adds what it counted and reads back what both counted: the
//! quota is then theirs together, with the delay of a batch. Time comes in as an argument. Bound: [`MOST`] clients are
//! counted apart, further ones together.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How many clients are counted apart in a day.
const MOST: usize = 100_000;

/// What a client has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    /// As far as the store knows.
    saved: u64,
    /// Beside that.
    unsaved: u64,
}

/// Requests of one client on one day that the store does not know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    /// The day, such as `2026-05-01`.
    pub day: String,
    /// The client.
    pub client: String,
    /// How many.
    pub count: u64,
}

/// What a quota said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Counted; so many may still come today.
    Within(u64),
    /// Not counted: the quota is used up.
    UsedUp,
}

/// The counts of the present day.
#[derive(Debug)]
pub struct Day {
    zone: TimeZone,
    date: Date,
    /// When it ends, in seconds since 1970.
    ends: i64,
    used: HashMap<String, Used>,
}

impl Day {
    /// The day that `now` lies in, without any count.
    pub fn new(zone: TimeZone, now: Timestamp) -> Day {
        let (date, ends) = of(&zone, now);
        Day { zone, date, ends, used: HashMap::new() }
    }

    /// The day's name.
    pub fn name(&self) -> String {
        self.date.to_string()
    }

    /// Counts a request of the client, where fewer than `most` are counted yet; the seconds until the day ends stand beside.
    pub fn count(&mut self, client: &str, most: u64, now: Timestamp) -> (Counted, u64) {
        self.turn(now);
        let left = u64::try_from(self.ends.saturating_sub(now.as_second())).unwrap_or_default().max(1);
        let full = self.used.len() >= MOST && !self.used.contains_key(client);
        let client = if full { "" } else { client };
        let used = match self.used.get_mut(client) {
            Some(used) => used,
            None => self.used.entry(client.to_owned()).or_default(),
        };
        let before = used.saved.saturating_add(used.unsaved);
        if before >= most {
            return (Counted::UsedUp, left);
        }
        used.unsaved += 1;
        (Counted::Within(most - before - 1), left)
    }

    /// Takes out what the store does not know yet; it counts on here as if the store knew.
    pub fn take_unsaved(&mut self) -> Vec<DayCount> {
        let day = self.date.to_string();
        let unsaved = self.used.iter_mut().filter(|(_, used)| used.unsaved > 0);
        let taken = unsaved.map(|(client, used)| {
            let count = std::mem::take(&mut used.unsaved);
            used.saved = used.saved.saturating_add(count);
            DayCount { day: day.clone(), client: client.clone(), count }
        });
        taken.collect()
    }

    /// Puts back what could not be saved.
    pub fn put_back(&mut self, counts: Vec<DayCount>) {
        let today = self.name();
        for own in counts {
            if own.day == today {
                let used = self.used.entry(own.client).or_default();
                used.saved = used.saved.saturating_sub(own.count);
                used.unsaved = used.unsaved.saturating_add(own.count);
            }
        }
    }

    /// What the store knows of this day: of this process, and of others that share the store.
    pub fn learn(&mut self, day: &str, totals: Vec<(String, u64)>) {
        if day == self.name() {
            for (client, total) in totals {
                let used = self.used.entry(client).or_default();
                used.saved = used.saved.max(total);
            }
        }
    }

    /// How many clients are counted.
    pub fn clients(&self) -> usize {
        self.used.len()
    }

    fn turn(&mut self, now: Timestamp) {
        // A clock that goes back does not give a quota twice.
        if now.as_second() >= self.ends {
            // What a day that is over came to is of no use any more.
            self.used.clear();
            (self.date, self.ends) = of(&self.zone, now);
        }
    }
}

/// The day that an instant lies in, and when the next begins.
fn of(zone: &TimeZone, now: Timestamp) -> (Date, i64) {
    let here = now.to_zoned(zone.clone());
    let date = here.date();
    // Where a zone's midnight does not exist, the day begins with the first instant that does.
    let ends = date.checked_add(1.day()).and_then(|next| next.to_zoned(zone.clone()));
    (date, ends.map_or(i64::MAX, |next| next.timestamp().as_second()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rome() -> TimeZone {
        TimeZone::get("Europe/Rome").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_quota_is_used_up_until_midnight_in_rome() {
        let mut day = Day::new(rome(), at("2026-05-01T21:59:00Z"));
        assert_eq!(day.name(), "2026-05-01");
        assert_eq!(day.count("lab", 2, at("2026-05-01T21:59:00Z")), (Counted::Within(1), 60));
        assert_eq!(day.count("lab", 2, at("2026-05-01T21:59:10Z")), (Counted::Within(0), 50));
        assert_eq!(day.count("lab", 2, at("2026-05-01T21:59:59Z")), (Counted::UsedUp, 1));
        assert_eq!(day.count("ward", 2, at("2026-05-01T21:59:59Z")).0, Counted::Within(1));
        assert_eq!(day.count("lab", 2, at("2026-05-01T22:00:00Z")), (Counted::Within(1), 86_400));
        assert_eq!(
            day.count("lab", 1, at("2026-05-01T21:59:59Z")).0,
            Counted::UsedUp,
            "a clock that goes back"
        );
        let saved = DayCount { day: "2026-05-02".into(), client: "lab".into(), count: 1 };
        assert_eq!(day.take_unsaved(), [saved]);
        assert_eq!(day.take_unsaved(), []);
    }

    #[test]
    fn the_night_without_an_hour_is_a_day_too() {
        let mut day = Day::new(rome(), at("2026-03-28T23:00:00Z"));
        assert_eq!(day.count("lab", 9, at("2026-03-28T23:00:00Z")).1, 23 * 3_600);
    }

    #[test]
    fn what_was_saved_counts_after_a_restart_and_what_was_not_is_kept() {
        let now = at("2026-05-01T10:00:00Z");
        let mut day = Day::new(rome(), now);
        day.learn("2026-05-01", vec![("lab".into(), 8)]);
        day.learn("2026-04-30", vec![("lab".into(), 99)]);
        assert_eq!(day.count("lab", 10, now).0, Counted::Within(1));
        let taken = day.take_unsaved();
        day.put_back(taken.clone());
        assert_eq!(day.take_unsaved(), taken);
        // Another process that shares the store counted one too.
        day.learn("2026-05-01", vec![("lab".into(), 10)]);
        assert_eq!(day.count("lab", 10, now).0, Counted::UsedUp);
    }

    proptest! {
        /// However requests, savings and failures to save mix, a client gets no more than its quota a day, and all of it.
        #[test]
        fn nobody_gets_more_than_a_quota_or_less(
            quota in 1u64..30,
            steps in prop::collection::vec((0u8..4, 0u64..40_000), 1..150),
        ) {
            let (mut seconds, zone) = (1_777_600_000_i64, rome());
            let mut day = Day::new(zone.clone(), Timestamp::from_second(seconds).unwrap());
            let (mut passed, mut asked, mut today) = (0, 0, day.name());
            let mut store: HashMap<String, u64> = HashMap::new();
            for (step, wait) in steps {
                match step {
                    0 => seconds += wait as i64,
                    1 => {
                        for own in day.take_unsaved() {
                            *store.entry(own.day).or_default() += own.count;
                        }
                        let name = day.name();
                        let total = store.get(&name).copied().unwrap_or_default();
                        day.learn(&name, vec![("lab".into(), total)]);
                    }
                    2 => {
                        let taken = day.take_unsaved();
                        day.put_back(taken);
                    }
                    _ => {
                        let said = day.count("lab", quota, Timestamp::from_second(seconds).unwrap()).0;
                        if day.name() != today {
                            (passed, asked, today) = (0, 0, day.name());
                        }
                        asked += 1;
                        passed += u64::from(said != Counted::UsedUp);
                        prop_assert_eq!(passed, asked.min(quota));
                    }
                }
            }
        }
    }
}
