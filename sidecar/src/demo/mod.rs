//! `varco demo`: a region in one process, and scenarios that play in it over real connections.
//!
//! Nothing is mocked but the hospitals' FHIR servers, which are the in-memory ones of `varco-conformance`: tokens
//! are issued and checked, connections are TLS with client certificates, consents and audit lie in SQLite.

mod cast;
mod client;
mod hub;
mod laboratory;
mod network;
mod pki;
mod second_opinion;
mod story;

use std::io::Write;
use std::path::PathBuf;

use metrics_exporter_prometheus::PrometheusHandle;

use network::Network;
use story::Story;

/// The demonstration can't go on. A step that came out otherwise than stated is no error of this kind: it is
/// counted in [`Played`].
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DemoError {
    #[error("a file can't be written or read: {0}")]
    Io(#[from] std::io::Error),
    #[error("a certificate can't be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("a certificate can't be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("TLS can't be set up: {0}")]
    Rustls(#[from] rustls::Error),
    #[error(transparent)]
    Tls(#[from] crate::listen::tls::TlsError),
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    #[error(transparent)]
    Start(#[from] crate::run::StartError),
    #[error(transparent)]
    Hospital(#[from] varco_conformance::hospital::HospitalError),
    #[error("a request can't be made: {0}")]
    Http(#[from] http::Error),
    #[error("a connection failed: {0}")]
    Client(#[from] hyper_util::client::legacy::Error),
    #[error("an answer broke off: {0}")]
    Hyper(#[from] hyper::Error),
    #[error("{0}")]
    Other(String),
}

/// How the scenarios came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// What was stated and held.
    pub held: usize,
    /// What was stated and did not hold.
    pub failed: usize,
}

/// The demonstration, with its network up.
pub struct Demo {
    network: Network,
}

impl Demo {
    /// Starts the network; its files lie in `folder`, which is removed at the end.
    pub async fn start(folder: PathBuf, metrics: &PrometheusHandle) -> Result<Demo, DemoError> {
        Ok(Demo { network: Network::start(folder, cast::hospitals(), cast::members(), metrics).await? })
    }

    /// Plays the scenarios and tells them on `out`.
    pub async fn play(&self, out: &mut dyn Write) -> Result<Played, DemoError> {
        let mut story = Story::new(&self.network, out);
        story.scene()?;
        laboratory::play(&mut story).await?;
        second_opinion::play(&mut story).await?;
        Ok(story.end()?)
    }

    /// Writes requests to try by hand, with a token that works.
    pub async fn invite(&self, out: &mut dyn Write) -> Result<(), DemoError> {
        let folder = self.network.folder.display();
        writeln!(
            out,
            "\nThe network stays up; Ctrl-C ends it. Certificates, keys and stores lie in {folder}."
        )?;
        for site in &self.network.sites {
            writeln!(
                out,
                "  {} {}  (operator's port http://{}/metrics)",
                site.name,
                site.base,
                site.admin()
            )?;
        }
        let Some(site) = self.network.sites.first() else { return Ok(()) };
        let curl = |member: &str| {
            format!(
                "curl -s --cacert {folder}/network-ca.pem --cert {folder}/{member}.pem --key {folder}/{member}.key"
            )
        };
        for (member, purpose) in [(cast::SPECIALIST, "TREAT"), (cast::REVIEWER, "HOPERAT")] {
            let token = self.network.token(member, &site.base, purpose).await?;
            std::fs::write(self.network.folder.join(format!("{member}.token")), token)?;
        }
        let bearer = |member: &str| format!("-H \"Authorization: Bearer $(cat {folder}/{member}.token)\"");
        writeln!(out, "\nTry, for the next ten minutes:")?;
        writeln!(
            out,
            "  {} {} '{}/DocumentReference?patient=Patient/{}'",
            curl(cast::SPECIALIST),
            bearer(cast::SPECIALIST),
            site.base,
            cast::second_patient().id()
        )?;
        writeln!(
            out,
            "  {} {} '{}/AuditEvent?patient=Patient/{}&_count=5'",
            curl(cast::REVIEWER),
            bearer(cast::REVIEWER),
            site.base,
            cast::second_patient().id()
        )?;
        writeln!(out, "  {} '{}/metadata'", curl(cast::SPECIALIST), site.base)?;
        writeln!(
            out,
            "  {} -d 'grant_type=client_credentials&resource={}' '{}/token'",
            curl(cast::SPECIALIST),
            site.base,
            self.network.hub
        )?;
        Ok(())
    }

    /// Ends the network.
    pub async fn stop(self) -> Result<(), DemoError> {
        self.network.stop().await
    }
}
