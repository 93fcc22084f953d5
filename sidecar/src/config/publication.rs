//! `[publication]`: routes to the national gateway of FSE 2.0, and the outbox of messages that wait for it.

use std::path::PathBuf;

use serde::Deserialize;

use super::Pace;
use crate::fetch::address::{Network, NetworkError};
use crate::hexadecimal;

/// `[publication]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Publication {
    #[serde(default = "default::days")]
    pub days: u32,
    #[serde(default = "default::records")]
    pub records: usize,
    #[serde(default = "default::bytes")]
    pub bytes: u64,
    /// Messages of all routes that are sent again at a time.
    #[serde(default = "default::replays")]
    pub replays: usize,
    #[serde(default)]
    pub route: Vec<PublicationRoute>,
}

/// `[[publication.route]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct PublicationRoute {
    pub name: String,
    /// `fse-transparent`
    #[serde(default)]
    pub mode: PublicationMode,
    /// Where its messages arrive, on the federation's port.
    pub path: String,
    /// What the path stands for at the national gateway.
    pub gateway: String,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to the national gateway, and its key.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    #[serde(default = "default::connect_seconds")]
    pub connect_seconds: u64,
    #[serde(default = "default::answer_seconds")]
    pub answer_seconds: u64,
    #[serde(default = "default::body_bytes")]
    pub body_bytes: usize,
    #[serde(default = "default::answer_bytes")]
    pub answer_bytes: usize,
    /// Messages in hand at a time.
    #[serde(default = "default::in_flight")]
    pub in_flight: usize,
    /// Who may publish.
    pub callers: Callers,
    /// SHA-256 fingerprints of client certificates.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// `10.1.4.0/24`
    #[serde(default)]
    pub networks: Vec<String>,
    /// The region whose messages it leads: `030`.
    #[serde(default)]
    pub region: Option<String>,
    /// What each of its callers may send.
    #[serde(default)]
    pub limits: Pace,
}

/// `publication.route.mode`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublicationMode {
    /// Every message is forwarded at once and as it is; nothing of this gateway's own refuses it.
    #[default]
    FseTransparent,
}

/// `publication.route.callers`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Callers {
    /// Those who show one of the listed client certificates.
    Certificates,
    /// Those whose two tokens are of a configured issuer of kind `fse`.
    Tokens,
    /// Whoever calls from one of the listed networks.
    Network,
}

impl PublicationRoute {
    /// The path below the route's, with its slash: `/fse/v1` leads `/fse/v1/documents` and not `/fse/v10`.
    pub fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The ranges in [`PublicationRoute::networks`].
    pub fn ranges(&self) -> impl Iterator<Item = Result<Network, NetworkError>> {
        self.networks.iter().map(|own| own.parse())
    }

    /// The fingerprints in [`PublicationRoute::certificates`]; `None` for one that is not written as one.
    pub fn fingerprints(&self) -> impl Iterator<Item = Option<[u8; 32]>> {
        self.certificates.iter().map(|own| hexadecimal::read_fingerprint(own))
    }
}

impl Publication {
    /// Every path of the section.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.route
            .iter_mut()
            .flat_map(|route| [route.ca.as_mut(), route.certificate.as_mut(), route.key.as_mut()])
            .flatten()
    }

    /// The files that it names: another certificate takes effect as another configuration does.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.route.iter().flat_map(|route| [&route.ca, &route.certificate, &route.key]).flatten()
    }
}

mod default {
    pub(super) fn days() -> u32 {
        5
    }
    pub(super) fn records() -> usize {
        10_000
    }
    pub(super) fn bytes() -> u64 {
        1 << 30
    }
    pub(super) fn replays() -> usize {
        4
    }
    pub(super) fn connect_seconds() -> u64 {
        3
    }
    pub(super) fn answer_seconds() -> u64 {
        60
    }
    pub(super) fn body_bytes() -> usize {
        32 << 20
    }
    pub(super) fn answer_bytes() -> usize {
        4 << 20
    }
    pub(super) fn in_flight() -> usize {
        32
    }
}
