//! `[break_glass]`: who may go over consents in an emergency, over what, for how long.

use serde::Deserialize;
use varco_core::consent;
use varco_core::requester::Code;

/// `[break_glass]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct BreakGlass {
    /// `code`, or `system|code`.
    pub roles: Vec<String>,
    #[serde(default = "overrides")]
    pub overrides: Vec<Overridden>,
    #[serde(default = "reason_required")]
    pub reason_required: bool,
    #[serde(default = "minutes")]
    pub minutes: u64,
    #[serde(default = "review_hours")]
    pub review_hours: u64,
}

/// `break_glass.overrides`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Overridden {
    NoConsent,
    Withheld,
    Denied,
}

impl BreakGlass {
    /// The rules that decide.
    pub fn rules(&self) -> consent::BreakGlass {
        let role = |text: &String| match text.rsplit_once('|') {
            Some((system, code)) => Code::new(system, code),
            None => Code::new("", text.as_str()),
        };
        let overridden = |own: &Overridden| match own {
            Overridden::NoConsent => consent::Overridden::NoConsent,
            Overridden::Withheld => consent::Overridden::Withheld,
            Overridden::Denied => consent::Overridden::Denied,
        };
        consent::BreakGlass {
            roles: self.roles.iter().map(role).collect(),
            overrides: self.overrides.iter().map(overridden).collect(),
            reason_required: self.reason_required,
            longest: self.minutes.saturating_mul(60),
        }
    }
}

fn overrides() -> Vec<Overridden> {
    vec![Overridden::NoConsent, Overridden::Withheld]
}

fn reason_required() -> bool {
    true
}

fn minutes() -> u64 {
    60
}

fn review_hours() -> u64 {
    72
}
