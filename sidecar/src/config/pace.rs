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
    /// In words, where anything is bounded: `5 messages a second (20 at once), 50000 a day`.
    pub fn told(&self) -> Option<String> {
        let burst = self.burst.map_or(String::new(), |burst| format!(" ({burst} at once)"));
        let parts = [
            self.per_second.map(|rate| format!("{rate} messages a second{burst}")),
            self.per_day.map(|most| format!("{most} a day")),
            self.at_a_time.map(|most| format!("{most} in hand at a time")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// What is wrong: the setting, the cause and what to do.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let useless = self.burst.is_some() && self.per_second.is_none();
        useless.then_some(("burst", "A burst has no effect without a rate.", "Add per_second, or remove it."))
    }
}
