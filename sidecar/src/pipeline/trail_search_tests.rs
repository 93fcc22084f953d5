//! Dates of a search, as bounds on instants.
#![allow(clippy::unwrap_used)]

use super::*;

fn told(prefix: Option<Prefix>, text: &str) -> (Option<String>, Option<String>, bool) {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let rome = TimeZone::get("Europe/Rome").unwrap();
    let TrailTime { from, until, outside } = time(prefix, text, now, &rome).unwrap();
    (from, until, outside)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_date_lasts_as_long_as_it_says_in_the_hospitals_time_zone() {
    for (text, from, until) in [
        ("2026", "2025-12-31T23:00:00", "2026-12-31T23:00:00"),
        ("2026-10", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
        ("2026-10-25", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("2026-05-01T10:30", "2026-05-01T08:30:00", "2026-05-01T08:31:00"),
        ("2026-05-01T10:30Z", "2026-05-01T10:30:00", "2026-05-01T10:31:00"),
        ("2026-05-01T10:30:05+01:00", "2026-05-01T09:30:05", "2026-05-01T09:30:06"),
        ("2026-05-01T10:30:05.250Z", "2026-05-01T10:30:05.250", "2026-05-01T10:30:05.251"),
    ] {
        assert_eq!(told(None, text), (some(from), some(until), false), "{text}");
    }
}

#[test]
fn each_prefix_has_its_side() {
    let (first, after) = ("2026-05-01T10:00:00", "2026-05-01T10:00:01");
    for (prefix, from, until, outside) in [
        (Prefix::Equal, some(first), some(after), false),
        (Prefix::NotEqual, some(first), some(after), true),
        (Prefix::GreaterThan, some(after), None, false),
        (Prefix::StartsAfter, some(after), None, false),
        (Prefix::GreaterOrEqual, some(first), None, false),
        (Prefix::LessThan, None, some(first), false),
        (Prefix::EndsBefore, None, some(first), false),
        (Prefix::LessOrEqual, None, some(after), false),
    ] {
        assert_eq!(told(Some(prefix), "2026-05-01T10:00:00Z"), (from, until, outside), "{prefix:?}");
    }
    // Ten days ago, give or take one.
    assert_eq!(
        told(Some(Prefix::Approximately), "2026-11-12T12:00:00Z"),
        (some("2026-11-11T12:00:00"), some("2026-11-13T12:00:01"), false)
    );
}

#[test]
fn an_instant_sorts_after_the_bound_of_its_second() {
    let bound = told(Some(Prefix::GreaterOrEqual), "2026-05-01T10:00:00Z").0.unwrap();
    for recorded in ["2026-05-01T10:00:00Z", "2026-05-01T10:00:00.001Z", "2026-05-01T10:00:00.999Z"] {
        assert!(*recorded >= *bound, "{recorded}");
    }
    assert!("2026-05-01T09:59:59.999Z" < &*bound);
}
