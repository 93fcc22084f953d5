//! A server that the sidecar sends to by itself: URL, authorities, client certificate, bearer token.

use std::path::PathBuf;

use serde::Deserialize;

/// Time for the answer to something that is sent, in seconds, where nothing else is said.
const SENT: u64 = 10;

/// Where something is sent.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Destination {
    #[serde(alias = "endpoint")]
    pub url: String,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The certificate that this sidecar shows, and its key.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    #[serde(default)]
    pub token_env: Option<String>,
    #[serde(default = "default::connect_seconds")]
    pub connect_seconds: u64,
    /// How long a whole answer may take; what is usual depends on what is asked.
    #[serde(default)]
    pub answer_seconds: Option<u64>,
}

impl Destination {
    /// A server without certificate and token, with the usual bounds.
    pub fn at(url: impl Into<String>) -> Destination {
        Destination {
            url: url.into(),
            ca: None,
            certificate: None,
            key: None,
            token_file: None,
            token_env: None,
            connect_seconds: default::connect_seconds(),
            answer_seconds: None,
        }
    }

    /// How long the answer to something that is sent may take.
    pub fn answers_within(&self) -> u64 {
        self.answer_seconds.unwrap_or(SENT)
    }

    /// The files that it names: another token takes effect as another configuration does.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let Destination { ca, certificate, key, token_file, .. } = self;
        [ca, certificate, key, token_file].into_iter().flatten()
    }

    /// Every path of the section.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Destination { ca, certificate, key, token_file, .. } = self;
        [ca, certificate, key, token_file].into_iter().flatten()
    }
}

mod default {
    pub(super) fn connect_seconds() -> u64 {
        3
    }
}
