//! The worlds of the contract: what a component exports.

use std::fmt;

use serde::Deserialize;

/// The moment at which a plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Before a request is forwarded.
    Request,
    /// Before an answer of the protected system is decided about.
    Response,
    /// For each resource that may leave.
    Transform,
    /// For each resource that may leave, after transforms.
    Enrich,
}

impl Hook {
    /// Every hook there is.
    pub const ALL: [Self; 4] = [Self::Request, Self::Response, Self::Transform, Self::Enrich];

    /// Its place in [`Hook::ALL`].
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Request => 0,
            Self::Response => 1,
            Self::Transform => 2,
            Self::Enrich => 3,
        }
    }

    /// The name in manifests, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Transform => "transform",
            Self::Enrich => "enrich",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What a component was built to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum World {
    /// Judges and rewrites bodies of requests.
    #[serde(rename = "varco:plugin/request-plugin@0.2.0")]
    Request,
    /// Judges and rewrites bodies of answers.
    #[serde(rename = "varco:plugin/response-plugin@0.2.0")]
    Response,
    /// Both.
    #[serde(rename = "varco:plugin/gateway-plugin@0.2.0")]
    Gateway,
    /// Rewrites resources that leave.
    #[serde(rename = "varco:plugin/transform-plugin@0.2.0")]
    Transform,
    /// Adds to resources that leave.
    #[serde(rename = "varco:plugin/enrichment-plugin@0.2.0")]
    Enrichment,
}

impl World {
    /// Every world there is.
    pub const ALL: [Self; 5] =
        [Self::Request, Self::Response, Self::Gateway, Self::Transform, Self::Enrichment];

    /// The name in manifests, as WIT writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "varco:plugin/request-plugin@0.2.0",
            Self::Response => "varco:plugin/response-plugin@0.2.0",
            Self::Gateway => "varco:plugin/gateway-plugin@0.2.0",
            Self::Transform => "varco:plugin/transform-plugin@0.2.0",
            Self::Enrichment => "varco:plugin/enrichment-plugin@0.2.0",
        }
    }

    /// The hooks that its components export.
    pub fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Request => &[Hook::Request],
            Self::Response => &[Hook::Response],
            Self::Gateway => &[Hook::Request, Hook::Response],
            Self::Transform => &[Hook::Transform],
            Self::Enrichment => &[Hook::Enrich],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_world_is_read_by_the_name_it_is_written_with() {
        for world in World::ALL {
            assert_eq!(serde_json::from_value::<World>(world.as_str().into()).unwrap(), world);
        }
    }

    #[test]
    fn every_world_stands_in_the_contract() {
        let contract = include_str!("../../../wit/varco-plugin.wit");
        for world in World::ALL {
            let name = world.as_str().trim_start_matches("varco:plugin/").trim_end_matches("@0.2.0");
            let (_, rest) = contract.split_once(&format!("world {name} {{")).unwrap();
            let body = rest.split('}').next().unwrap();
            assert_eq!(body.matches("export ").count(), world.hooks().len(), "{name}");
        }
    }
}
