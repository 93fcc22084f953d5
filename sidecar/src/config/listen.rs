//! `[listen]`: where requests arrive, and the listener's bounds.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::default;

/// `[listen]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Listen {
    pub address: SocketAddr,
    #[serde(default)]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub behind_tls_terminator: bool,
    #[serde(default = "default::connections")]
    pub connections: usize,
    #[serde(default)]
    pub connections_per_address: Option<usize>,
    #[serde(default = "default::header_seconds")]
    pub header_seconds: u64,
    #[serde(default = "default::body_seconds")]
    pub body_seconds: u64,
    #[serde(default = "default::idle_seconds")]
    pub idle_seconds: u64,
    #[serde(default = "default::stall_seconds")]
    pub stall_seconds: u64,
    #[serde(default = "default::drain_seconds")]
    pub drain_seconds: u64,
    #[serde(default)]
    pub drain_delay_seconds: u64,
    #[serde(default)]
    pub handoff: Option<PathBuf>,
    #[serde(default)]
    pub workers: Option<usize>,
}

/// `[listen.tls]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    #[serde(default)]
    pub client_certificate: ClientCertificate,
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    #[serde(default)]
    pub also: Vec<AlsoCertificate>,
    #[serde(default)]
    pub unknown_name: UnknownName,
}

/// `listen.tls.client_certificate`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificate {
    /// Every client must show one.
    #[default]
    Required,
    /// A client may show one; tokens that are bound to a certificate need it.
    Optional,
}

/// `listen.tls.unknown_name`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownName {
    /// Who asks for a name that no certificate holds gets the first certificate.
    #[default]
    First,
    /// The connection is refused.
    Refuse,
}

/// `[[listen.tls.also]]`: one more certificate, for the names that it holds.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct AlsoCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    /// One certificate with its key, and nothing asked of clients.
    pub fn new(certificate: PathBuf, key: PathBuf) -> Tls {
        Tls {
            certificate,
            key,
            client_ca: None,
            client_certificate: ClientCertificate::default(),
            crl: Vec::new(),
            also: Vec::new(),
            unknown_name: UnknownName::default(),
        }
    }

    /// Every file that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let also = self.also.iter().flat_map(|also| [&also.certificate, &also.key]);
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).chain(&self.crl).chain(also)
    }

    /// The same, to be changed.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let also = self.also.iter_mut().flat_map(|also| [&mut also.certificate, &mut also.key]);
        [&mut self.certificate, &mut self.key]
            .into_iter()
            .chain(&mut self.client_ca)
            .chain(&mut self.crl)
            .chain(also)
    }

    /// The setting that names a file.
    pub(super) fn setting_of(&self, path: &Path) -> String {
        if path == self.key {
            return "key".to_owned();
        }
        if Some(path) == self.client_ca.as_deref() {
            return "client_ca".to_owned();
        }
        if self.crl.iter().any(|own| own == path) {
            return "crl".to_owned();
        }
        let also = self.also.iter().enumerate().find_map(|(at, also)| {
            let name = if also.certificate == path { "certificate" } else { "key" };
            (also.certificate == path || also.key == path).then(|| format!("also/{at}/{name}"))
        });
        also.unwrap_or_else(|| "certificate".to_owned())
    }
}

impl Listen {
    /// An address with the usual bounds, without TLS.
    pub fn at(address: SocketAddr) -> Listen {
        Listen {
            address,
            tls: None,
            behind_tls_terminator: false,
            connections: default::connections(),
            connections_per_address: None,
            header_seconds: default::header_seconds(),
            body_seconds: default::body_seconds(),
            idle_seconds: default::idle_seconds(),
            stall_seconds: default::stall_seconds(),
            drain_seconds: default::drain_seconds(),
            drain_delay_seconds: 0,
            handoff: None,
            workers: None,
        }
    }

    /// How many worker threads there are: one for each processor, if nothing else is said.
    pub fn worker_threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.unwrap_or_else(processors)
    }

    /// Most connections of one address: half of all, if nothing else is said. Behind a TLS terminator every connection is
    /// that program's.
    pub fn crowd(&self) -> usize {
        match self.connections_per_address {
            Some(most) => most,
            None if self.behind_tls_terminator => self.connections,
            None => self.connections.div_ceil(2),
        }
    }
}
