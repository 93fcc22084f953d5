//! `[mllp]`: where HL7 v2 messages arrive, from whom, and what holds for them.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::{Pace, Tls, ValidationMode};
use crate::hexadecimal;
use crate::limit::Lane;

/// `[mllp]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Mllp {
    pub address: SocketAddr,
    #[serde(default)]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub in_the_clear: bool,
    #[serde(default = "default::zone")]
    pub zone: String,
    #[serde(default)]
    pub lenient: bool,
    /// `off`, `log` or `enforce`.
    #[serde(default = "default::validation")]
    pub validation: ValidationMode,
    /// Processing ids (MSH-11.1) that are taken.
    #[serde(default = "default::processing")]
    pub processing: Vec<String>,
    #[serde(default = "default::message_bytes")]
    pub message_bytes: usize,
    #[serde(default = "default::connections")]
    pub connections: usize,
    #[serde(default = "default::in_flight")]
    pub in_flight: usize,
    #[serde(default = "default::message_seconds")]
    pub message_seconds: u64,
    #[serde(default = "default::idle_seconds")]
    pub idle_seconds: u64,
    #[serde(default = "default::remember_hours")]
    pub remember_hours: u32,
    #[serde(default)]
    pub sender: Vec<MllpSender>,
}

/// `[[mllp.sender]]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct MllpSender {
    pub name: String,
    /// MSH-3.1
    pub application: String,
    /// MSH-4.1; absent: any.
    #[serde(default)]
    pub facility: Option<String>,
    /// SHA-256 of the client certificate's DER.
    #[serde(default)]
    pub certificate_sha256: Option<String>,
    /// A DNS name among the client certificate's alternative names.
    #[serde(default)]
    pub certificate_name: Option<String>,
    /// Where it calls from; empty: anywhere.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// `ADT` or `ADT^A01`; empty: all that are mapped.
    #[serde(default)]
    pub types: Vec<String>,
    /// Whose places its messages take.
    #[serde(default)]
    pub lane: Lane,
    #[serde(default)]
    pub limits: Pace,
}

impl MllpSender {
    /// The digest in [`MllpSender::certificate_sha256`]; `None` where there is none or it is not written as one.
    pub fn certificate_digest(&self) -> Option<[u8; 32]> {
        hexadecimal::read_fingerprint(self.certificate_sha256.as_ref()?)
    }

    /// True where something beside the message's header says who it is.
    pub fn is_bound(&self) -> bool {
        self.certificate_sha256.is_some() || self.certificate_name.is_some() || !self.addresses.is_empty()
    }

    /// True where messages of this type are taken from it.
    pub fn sends(&self, code: &str, event: &str) -> bool {
        let fits = |own: &String| match own.split_once('^') {
            Some((own_code, own_event)) => own_code == code && own_event == event,
            None => own == code,
        };
        self.types.is_empty() || self.types.iter().any(fits)
    }
}

mod default {
    use super::ValidationMode;

    pub(super) fn zone() -> String {
        "Europe/Rome".to_owned()
    }
    pub(super) fn validation() -> ValidationMode {
        ValidationMode::Enforce
    }
    pub(super) fn processing() -> Vec<String> {
        vec!["P".to_owned()]
    }
    pub(super) fn message_bytes() -> usize {
        4 << 20
    }
    pub(super) fn connections() -> usize {
        64
    }
    pub(super) fn in_flight() -> usize {
        8
    }
    pub(super) fn message_seconds() -> u64 {
        30
    }
    pub(super) fn idle_seconds() -> u64 {
        3_600
    }
    pub(super) fn remember_hours() -> u32 {
        72
    }
}
