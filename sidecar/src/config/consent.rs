//! `[consent]` and `[fse]`: how consents combine, and the masking rules of FSE 2.0.

use serde::Deserialize;
use varco_core::consent::fse::FseSystems;

/// `[consent]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Consent {
    pub combining: Combining,
    pub without_consent: WithoutConsent,
    pub inherit_labels: InheritLabels,
    pub time_zone: String,
    pub party: Vec<Party>,
}

/// `[[consent.party]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Party {
    pub reference: String,
    pub system: String,
    pub value: String,
}

impl Default for Consent {
    fn default() -> Self {
        let (combining, without_consent) = (Combining::default(), WithoutConsent::default());
        let inherit_labels = InheritLabels::default();
        let time_zone = "Europe/Rome".to_owned();
        Consent { combining, without_consent, inherit_labels, time_zone, party: Vec::new() }
    }
}

/// `consent.combining`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Combining {
    #[default]
    DenyOverrides,
    MostRecent,
    RefuseAmbiguous,
}

/// `consent.without_consent`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum WithoutConsent {
    #[default]
    Deny,
    Permit,
}

/// `consent.inherit_labels`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum InheritLabels {
    #[default]
    Content,
    All,
}

/// `[fse]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Fse {
    pub masking: bool,
    pub masking_systems: Vec<String>,
    pub prescription_systems: Vec<String>,
    pub role_systems: Vec<String>,
}

impl Fse {
    /// The published systems and those of the deployment.
    pub fn systems(&self) -> FseSystems {
        let mut systems = FseSystems { roles: self.role_systems.clone(), ..FseSystems::default() };
        systems.masking.extend(self.masking_systems.iter().cloned());
        systems.prescription.extend(self.prescription_systems.iter().cloned());
        systems
    }
}
