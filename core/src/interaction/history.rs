//! The history of one resource, of a type or of the whole server (FHIR R4 §3.1.0.12).
//!
//! `_list` is refused: which resources a list holds is itself a resource to be judged.

use fhir_models::primitive::Primitive;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::error::{InteractionError, ShownName};
use super::id::{Instance, ResourceType};
use super::pairs::Pair;
use super::percent::query_of;
use super::search::{Once, count, is_not_served};

/// Whose history is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryOf {
    /// `[type]/[id]/_history`
    Instance(Instance),
    /// `[type]/_history`
    Type(ResourceType),
    /// `_history`
    System,
}

/// A history that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Whose.
    pub of: HistoryOf,
    /// `_count`: how many versions the caller wants on a page, at least 1.
    pub count: Option<u32>,
    /// `_since`: only versions made at or after this instant.
    pub since: Option<String>,
    /// `_at`: only versions that were current at some time within this date or time.
    pub at: Option<String>,
}

impl History {
    /// The whole history.
    pub fn all(of: HistoryOf) -> History {
        History { of, count: None, since: None, at: None }
    }

    pub(super) fn parse(of: HistoryOf, pairs: &[Pair]) -> Result<History, InteractionError> {
        let mut own = History::all(of);
        let mut once = Once::default();
        for Pair { name, value } in pairs {
            match name.as_str() {
                "_format" => once.format(value)?,
                "_pretty" => once.pretty(value)?,
                "_count" => {
                    once.see("_count")?;
                    own.count = Some(count(value)?);
                }
                "_since" => {
                    once.see("_since")?;
                    own.since = Some(fit(Primitive::Instant, "_since", value)?);
                }
                "_at" => {
                    once.see("_at")?;
                    own.at = Some(fit(Primitive::DateTime, "_at", value)?);
                }
                other if is_not_served(other) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(other)));
                }
                other => {
                    let (interaction, name) = (own.name(), ShownName::of(other));
                    return Err(InteractionError::UnknownParameter { interaction, name });
                }
            }
        }
        Ok(own)
    }

    /// The interaction's code.
    pub fn name(&self) -> &'static str {
        match self.of {
            HistoryOf::Instance(_) => "history-instance",
            HistoryOf::Type(_) => "history-type",
            HistoryOf::System => "history-system",
        }
    }

    /// The type whose resources are asked for; none for the whole server.
    pub fn resource_type(&self) -> Option<&ResourceType> {
        match &self.of {
            HistoryOf::Instance(instance) => Some(&instance.resource_type),
            HistoryOf::Type(resource_type) => Some(resource_type),
            HistoryOf::System => None,
        }
    }

    /// The parameters as they were understood, encoded anew, with the caller's own `_count`.
    pub fn self_query(&self) -> String {
        self.query(self.count)
    }

    /// Whether a version that was made at `from`, and overtaken at `until` if it was, is asked for by `_since` and
    /// `_at`. Days without a time zone are those of `zone`. A version that does not say when it was made is.
    pub fn asks_for(&self, from: Option<Timestamp>, until: Option<Timestamp>, zone: &TimeZone) -> bool {
        let since = self.since.as_deref().and_then(|since| since.parse::<Timestamp>().ok());
        let late_enough = since.is_none_or(|since| from.is_none_or(|from| from >= since));
        let current = match self.at.as_deref().and_then(|at| window(at, zone)) {
            Some((start, end)) => {
                from.is_none_or(|from| from <= end) && until.is_none_or(|until| until > start)
            }
            None => true,
        };
        late_enough && current
    }

    pub(super) fn query(&self, page_size: Option<u32>) -> String {
        let count = page_size.map(|count| count.to_string());
        query_of([("_since", &self.since), ("_at", &self.at), ("_count", &count)])
    }
}

/// The first and last instant of a date or time.
pub(super) fn window(text: &str, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    if text.contains('T') {
        let instant = text.parse().ok()?;
        return Some((instant, instant));
    }
    let mut parts = text.split('-').map(|part| part.parse::<i16>().ok());
    let year = parts.next()??;
    let (month, day) = (parts.next(), parts.next());
    let number =
        |part: Option<Option<i16>>| part.flatten().and_then(|part| i8::try_from(part).ok()).unwrap_or(1);
    let first = Date::new(year, number(month), number(day)).ok()?;
    let length = match (month, day) {
        (None, _) => Span::new().years(1),
        (_, None) => Span::new().months(1),
        _ => Span::new().days(1),
    };
    let start = first.to_zoned(zone.clone()).ok()?.timestamp();
    let next = first.checked_add(length).ok()?.to_zoned(zone.clone()).ok()?.timestamp();
    Some((start, next.checked_sub(Span::new().nanoseconds(1)).ok()?))
}

pub(super) fn fit(primitive: Primitive, name: &str, value: &str) -> Result<String, InteractionError> {
    let expected = match primitive {
        Primitive::Instant => "an instant such as 2026-01-31T10:00:00Z (write + as %2B)",
        Primitive::Date => "a date such as 2026-01-31",
        _ => "a date or time such as 2026-01-31 or 2026-01-31T10:00:00Z (write + as %2B)",
    };
    let bad = || InteractionError::BadValue { name: ShownName::of(name), expected };
    primitive.is_valid(value).then(|| value.to_owned()).ok_or_else(bad)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::interaction::SearchSchema;

    fn asks(since: Option<&str>, at: Option<&str>, from: &str, until: Option<&str>) -> bool {
        let schema = SearchSchema::new(["Patient"], |_| Vec::new());
        let of = HistoryOf::Type(schema.resource_type("Patient").unwrap());
        let text = |text: Option<&str>| text.map(str::to_owned);
        let own = History { since: text(since), at: text(at), ..History::all(of) };
        let time = |text: &str| text.parse().unwrap();
        own.asks_for(Some(time(from)), until.map(time), &TimeZone::get("Europe/Rome").unwrap())
    }

    #[test]
    fn versions_are_chosen_by_when_they_were_made_or_current() {
        let (january, march) = ("2026-01-10T12:00:00Z", Some("2026-03-10T12:00:00Z"));
        assert!(asks(None, None, january, march));
        assert!(asks(Some("2026-01-10T12:00:00Z"), None, january, march));
        assert!(!asks(Some("2026-01-10T12:00:01Z"), None, january, march));
        for at in ["2026", "2026-01", "2026-02", "2026-02-01", "2026-01-10", "2026-03-10T12:59:59+01:00"] {
            assert!(asks(None, Some(at), january, march), "{at}");
        }
        for at in ["2025", "2026-01-09", "2026-03-11", "2026-04", "2026-03-10T12:00:00Z"] {
            assert!(!asks(None, Some(at), january, march), "{at}");
        }
        assert!(asks(None, Some("2030"), january, None));
        // The day begins at midnight in Rome.
        assert!(asks(None, Some("2026-01-11"), "2026-01-10T23:30:00Z", march));
        assert!(!asks(None, Some("2026-01-10"), "2026-01-10T23:30:00Z", march));
    }
}
