//! `[upstream]`: the hospital's FHIR server, and how much of it is asked for.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// `[upstream]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Upstream {
    pub url: String,
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The certificate that this sidecar shows, and its key.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// Where the server is, instead of what the name in `url` stands for.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    #[serde(default = "default::connect_seconds")]
    pub connect_seconds: u64,
    #[serde(default)]
    pub first_byte_seconds: Option<u64>,
    #[serde(default)]
    pub idle_seconds: Option<u64>,
    #[serde(default = "default::answer_seconds")]
    pub answer_seconds: u64,
    #[serde(default = "default::concurrency")]
    pub concurrency: usize,
    #[serde(default = "default::queue")]
    pub queue: usize,
    #[serde(default = "default::queue_milliseconds")]
    pub queue_milliseconds: u64,
    #[serde(default = "default::retry_percent")]
    pub retry_percent: u32,
    #[serde(default)]
    pub breaker: UpstreamBreaker,
    #[serde(default)]
    pub ejection: UpstreamEjection,
}

impl Upstream {
    /// A server with the usual bounds.
    pub fn at(url: &str) -> Upstream {
        Upstream {
            url: url.to_owned(),
            ca: None,
            certificate: None,
            key: None,
            addresses: Vec::new(),
            connect_seconds: default::connect_seconds(),
            first_byte_seconds: None,
            idle_seconds: None,
            answer_seconds: default::answer_seconds(),
            concurrency: default::concurrency(),
            queue: default::queue(),
            queue_milliseconds: default::queue_milliseconds(),
            retry_percent: default::retry_percent(),
            breaker: UpstreamBreaker::default(),
            ejection: UpstreamEjection::default(),
        }
    }

    /// How long is waited for an answer's head, in seconds.
    pub fn first_byte(&self) -> u64 {
        self.first_byte_seconds.unwrap_or(self.answer_seconds)
    }

    /// How long an answer may stand still, in seconds.
    pub fn idle(&self) -> u64 {
        self.idle_seconds.unwrap_or(default::IDLE_SECONDS.min(self.answer_seconds))
    }
}

/// `[upstream.breaker]`: when the server is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct UpstreamBreaker {
    pub failures: u32,
    pub percent: u32,
    pub requests: u32,
    pub window_seconds: u64,
    pub open_seconds: u64,
    pub most_open_seconds: u64,
    pub probes: u32,
}

impl Default for UpstreamBreaker {
    fn default() -> Self {
        UpstreamBreaker {
            failures: 20,
            percent: 50,
            requests: 50,
            window_seconds: 10,
            open_seconds: 2,
            most_open_seconds: 60,
            probes: 2,
        }
    }
}

/// `[upstream.ejection]`: when one of several addresses is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct UpstreamEjection {
    pub failures: u32,
    pub seconds: u64,
    pub most_seconds: u64,
}

impl Default for UpstreamEjection {
    fn default() -> Self {
        UpstreamEjection { failures: 3, seconds: 10, most_seconds: 300 }
    }
}

mod default {
    pub(super) const IDLE_SECONDS: u64 = 10;

    pub(super) fn connect_seconds() -> u64 {
        3
    }
    pub(super) fn answer_seconds() -> u64 {
        30
    }
    pub(super) fn concurrency() -> usize {
        256
    }
    pub(super) fn queue() -> usize {
        1024
    }
    pub(super) fn queue_milliseconds() -> u64 {
        1000
    }
    pub(super) fn retry_percent() -> u32 {
        20
    }
}
