//! `varco demo`: a region in one process, and scenarios that play in it over real connections.
//!
//! Nothing is mocked but the hospitals' FHIR servers, which are the in-memory ones of `varco-conformance`: tokens
//! are issued and checked, connections are TLS with client certificates, consents and audit lie in SQLite.

mod cast;
mod client;
mod hub;
mod laboratory;
mod network;
pub(crate) mod pki;
mod second_opinion;
mod story;

use std::io::Write;
use std::path::PathBuf;

use http::Method;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;

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

    /// Writes requests to try by hand, with tokens that work and a consent that is open again.
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
        for (member, purpose) in
            [(cast::SPECIALIST, "TREAT"), (cast::REVIEWER, "HOPERAT"), (cast::DESK, "HOPERAT")]
        {
            let token = self.network.token(member, &site.base, purpose).await?;
            std::fs::write(self.network.folder.join(format!("{member}.token")), token)?;
        }
        let (id, mut consent) = self.reopen(site).await?;
        consent["status"] = "inactive".into();
        std::fs::write(self.network.folder.join("revoked.json"), consent.to_string())?;

        let curl = |member: &str| {
            format!(
                "curl -s --cacert {folder}/network-ca.pem --cert {folder}/{member}.pem --key {folder}/{member}.key \
                 -H \"Authorization: Bearer $(cat {folder}/{member}.token)\""
            )
        };
        let (base, patient) = (&site.base, cast::second_patient().id());
        let (specialist, desk, reviewer) = (curl(cast::SPECIALIST), curl(cast::DESK), curl(cast::REVIEWER));
        writeln!(
            out,
            "\nTry, for the next ten minutes. The specialist searches, and reads a masked document:"
        )?;
        writeln!(out, "  {specialist} '{base}/DocumentReference?patient=Patient/{patient}'")?;
        writeln!(out, "  {specialist} '{base}/DocumentReference/{}'", cast::document_id(cast::MASKED))?;
        writeln!(out, "The patient revokes; search again:")?;
        writeln!(
            out,
            "  {desk} -X PUT -H 'Content-Type: application/fhir+json' -d @{folder}/revoked.json '{base}/Consent/{id}'"
        )?;
        writeln!(out, "The privacy office looks at what happened:")?;
        writeln!(out, "  {reviewer} '{base}/AuditEvent?patient=Patient/{patient}&_count=5'")?;
        Ok(())
    }

    /// The second patient gives her consent again: gives its id and the resource.
    async fn reopen(&self, site: &network::Site) -> Result<(String, Value), DemoError> {
        let (caller, base) = (self.network.caller(cast::DESK)?, &site.base);
        let token = self.network.token(cast::DESK, base, "HOPERAT").await?;
        let search = format!("{base}/Consent?patient=Patient/{}", cast::second_patient().id());
        let found = caller.send(Method::GET, &search, Some(&token), None, None).await?.json();
        let id = found["entry"][0]["resource"]["id"].as_str().unwrap_or_default().to_owned();
        let mut consent = second_opinion::consent_from_now();
        consent["id"] = id.clone().into();
        let body = ("application/fhir+json", consent.to_string().into_bytes());
        let reply =
            caller.send(Method::PUT, &format!("{base}/Consent/{id}"), Some(&token), None, Some(body)).await?;
        if reply.status.is_success() {
            Ok((id, consent))
        } else {
            Err(DemoError::Other(format!("the consent was not recorded: {}", reply.status)))
        }
    }

    /// Ends the network.
    pub async fn stop(self) -> Result<(), DemoError> {
        self.network.stop().await
    }
}
