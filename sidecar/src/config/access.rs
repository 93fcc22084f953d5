//! What becomes of what is hidden inside of what is not.

use serde::Deserialize;

/// `[access]`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Access {
    pub nested: Nested,
    pub elements: Elements,
    pub references: References,
    pub attachments: Attachments,
}

/// `access.nested`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Nested {
    #[default]
    Withhold,
    Cut,
}

/// `access.elements`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Elements {
    #[default]
    Withhold,
    Cut,
}

/// `access.references`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum References {
    #[default]
    Keep,
    Bare,
    Cut,
}

/// `access.attachments`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Attachments {
    #[default]
    Keep,
    Local,
}
