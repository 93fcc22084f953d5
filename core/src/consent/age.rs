//! Coming of age: what was permitted for a child ends, what was denied stays.
//!
//! FSE 2.0 asks for consent to consultation anew at 18, since it was a parent's; opposition persists. A birth
//! date may be partial or missing: where it can't be told that a consent was given by an adult, it does not
//! permit. The deployment decides whether the rule holds at all ([`super::Question::of_age`]).

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Interval;

/// When a patient comes of age, as far as the birth date tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ComingOfAge {
    /// The first instant at which it may have happened.
    earliest: Timestamp,
    /// The first instant by which it has happened.
    latest: Timestamp,
}

impl ComingOfAge {
    /// Nobody knows when.
    pub const UNKNOWN: ComingOfAge = ComingOfAge { earliest: Timestamp::MIN, latest: Timestamp::MAX };

    /// The birthday with this number of years, for a `birthDate` of a year, month or day; unknown where it is
    /// none of these. Whoever was born on 29 February comes of age on 28 February.
    pub fn of_birth_date(text: &str, years: u8, zone: &TimeZone) -> ComingOfAge {
        let birthday = |instant: Timestamp| {
            let date = instant.to_zoned(zone.clone()).date().checked_add(i64::from(years).years()).ok()?;
            Some(date.to_zoned(zone.clone()).ok()?.timestamp())
        };
        let Some(born) = Interval::of_date_time(text, zone) else { return ComingOfAge::UNKNOWN };
        let last_day = born.end.checked_sub(1.nanosecond()).ok();
        match (birthday(born.start), last_day.and_then(birthday)) {
            (Some(earliest), Some(latest)) => ComingOfAge { earliest, latest },
            _ => ComingOfAge::UNKNOWN,
        }
    }

    /// Whether something permitted at `given` may have been permitted for a child, and the child may be of age
    /// at `at`.
    pub(super) fn outgrown(self, given: Option<Interval>, at: Timestamp) -> bool {
        at >= self.earliest && given.is_none_or(|given| given.start < self.latest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outgrown(born: &str, given: Option<&str>, at: &str) -> bool {
        let given = given.map(|text| Interval::of_date_time(text, &TimeZone::UTC).unwrap());
        ComingOfAge::of_birth_date(born, 18, &TimeZone::UTC).outgrown(given, at.parse().unwrap())
    }

    #[test]
    fn what_was_permitted_for_a_child_ends_on_the_eighteenth_birthday() {
        assert!(!outgrown("2008-05-01", Some("2020-01-01"), "2026-04-30T23:59:59Z"));
        assert!(outgrown("2008-05-01", Some("2020-01-01"), "2026-05-01T00:00:00Z"));
        assert!(outgrown("2008-05-01", None, "2026-05-01T00:00:00Z"));
        assert!(!outgrown("2008-05-01", Some("2026-05-01"), "2026-05-01T12:00:00Z"));
        assert!(!outgrown("1960", Some("2020-01-01"), "2026-05-01T12:00:00Z"));
        assert!(outgrown("2008-02-29", Some("2026-02-27"), "2026-02-28T00:00:00Z"));
    }

    #[test]
    fn a_partial_birth_date_restricts_while_it_can_not_be_told() {
        assert!(!outgrown("2008", Some("2020-01-01"), "2025-12-31T23:00:00Z"));
        assert!(outgrown("2008", Some("2020-01-01"), "2026-01-01T00:00:00Z"));
        assert!(outgrown("2008", Some("2026-06-01"), "2026-07-01T00:00:00Z"));
        assert!(!outgrown("2008", Some("2026-12-31"), "2027-01-01T00:00:00Z"));
        assert!(outgrown("ieri", Some("2026-12-31"), "2027-01-01T00:00:00Z"));
    }
}
