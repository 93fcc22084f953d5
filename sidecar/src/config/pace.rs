//! `limits` of a `[[publication.route]]` and of an `[[mllp.sender]]`: how much one caller may send there. What is absent is not
//! bounded.

use serde::Deserialize;

/// How much one caller may send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Pace {
    /// Messages, steadily.
    pub per_second: Option<u32>,
    /// How many may come at once; none: `per_second`.
    pub burst: Option<u32>,
    /// Messages by the calendar of the hospital.
    pub per_day: Option<u64>,
    /// Messages in hand.
    pub at_a_time: Option<u32>,
}

impl Pace {
    /// What is wrong: the setting, the cause and what to do.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let useless = self.burst.is_some() && self.per_second.is_none();
        useless.then_some(("burst", "A burst has no effect without a rate.", "Add per_second, or remove it."))
    }
}
