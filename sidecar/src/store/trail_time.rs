//! Stretches of time that records are searched by.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

/// A stretch of time between two instants, or all but that. An instant is RFC 3339 in UTC without the `Z`, so that
/// it sorts before every fraction of its second.
#[derive(Debug, Clone, Default)]
pub struct TrailTime {
    /// From this instant on.
    pub from: Option<String>,
    /// Before this instant.
    pub until: Option<String>,
    /// Outside of the stretch instead.
    pub outside: bool,
}

impl TrailTime {
    /// From an instant on, and before another.
    pub fn between(from: Option<Timestamp>, until: Option<Timestamp>) -> TrailTime {
        TrailTime { from: from.map(bound), until: until.map(bound), outside: false }
    }
}

/// When a record was recorded, as its row says it.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn bound(at: Timestamp) -> String {
    let text = if at.subsec_nanosecond() == 0 { format!("{at:.0}") } else { format!("{at:.3}") };
    text.trim_end_matches('Z').to_owned()
}

/// The first instant of a FHIR date, as far as it is given, and the first one after it; without a time zone it is of
/// `zone`. `None` where it is no date.
pub fn period(text: &str, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let start = |date: DateTime| Some(date.to_zoned(zone.clone()).ok()?.timestamp());
    let Some((date, time)) = text.split_once('T') else {
        let (whole, span) = match text.len() {
            4 => (format!("{text}-01-01"), Span::new().years(1)),
            7 => (format!("{text}-01"), Span::new().months(1)),
            _ => (text.to_owned(), Span::new().days(1)),
        };
        let first: Date = whole.parse().ok()?;
        let next = first.checked_add(span).ok()?;
        return Some((
            start(first.to_datetime(Default::default()))?,
            start(next.to_datetime(Default::default()))?,
        ));
    };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, offset) = time.split_at_checked(zone_at)?;
    let lasts = match (clock.split(':').count(), clock.contains('.')) {
        (2, _) => SignedDuration::from_mins(1),
        (_, false) => SignedDuration::from_secs(1),
        (_, true) => SignedDuration::from_millis(1),
    };
    let from = if offset.is_empty() {
        start(format!("{date}T{clock}").parse().ok()?)?
    } else {
        let seconds = if clock.split(':').count() == 2 { ":00" } else { "" };
        format!("{date}T{clock}{seconds}{offset}").parse().ok()?
    };
    Some((from, from.checked_add(lasts).ok()?))
}
