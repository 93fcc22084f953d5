//! The demonstration's network: three hospitals with their FHIR servers and sidecars, a hub, a foreign contact
//! point. All in one process, on loopback, over TLS with client certificates, as in a real region.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use varco_conformance::hospital::{Hospital, HospitalOptions};

use super::DemoError;
use super::client::{Caller, Reply};
use super::hub::{Hub, Member};
use super::pki::{Authority, Identity};
use crate::config::{self, Listen};
use crate::listen::{self, tls};
use crate::run::{self, Running};

/// The codice fiscale as hospitals write it, and as the federation does.
pub const CF_LOCAL: &str = "http://hl7.it/sid/codiceFiscale";
/// See [`CF_LOCAL`].
pub const CF_NETWORK: &str = "urn:oid:2.16.840.1.113883.2.9.4.3.2";
/// Italian hospital codes (HSP).
pub const HSP: &str = "urn:oid:2.16.840.1.113883.2.9.4.1.2";
/// National contact points, in this demonstration.
pub const NCP: &str = "urn:varco:demo:ncp";

/// A hospital of the network.
pub struct Site {
    /// Its public code.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The FHIR base URL that the federation uses.
    pub base: String,
    /// Its own FHIR server.
    pub hospital: Hospital,
    running: Running,
}

/// The whole network.
pub struct Network {
    /// Where certificates, keys and stores lie; removed at the end.
    pub folder: PathBuf,
    /// The hospitals, in order.
    pub sites: Vec<Site>,
    /// The hub's base URL.
    pub hub: String,
    callers: HashMap<&'static str, Caller>,
    stop: watch::Sender<bool>,
    hub_task: JoinHandle<()>,
}

/// A hospital to be started.
pub struct Plan {
    /// Its public code.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its FHIR server holds.
    pub resources: Vec<String>,
}

impl Network {
    /// Starts everything. `members` are those that may have tokens, by the name of their certificate.
    pub async fn start(
        folder: PathBuf,
        plans: Vec<Plan>,
        members: Vec<(&'static str, Member)>,
        metrics: &PrometheusHandle,
    ) -> Result<Network, DemoError> {
        std::fs::create_dir_all(&folder)?;
        let authority = Authority::new()?;
        let ca = folder.join("network-ca.pem");
        std::fs::write(&ca, &authority.pem)?;
        let mut callers = HashMap::new();
        let mut registered = HashMap::new();
        for (name, member) in members {
            let identity = authority.issue(name)?;
            identity.write(&folder, name)?;
            callers.insert(name, Caller::new(&identity, &ca)?);
            registered.insert(identity.digest, member);
        }

        let hub_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let hub_url = format!("https://127.0.0.1:{}", hub_listener.local_addr()?.port());
        let hub_identity = authority.issue("hub")?;
        let mut hub = Hub::new(&hub_url, registered, Vec::new())?;
        std::fs::write(folder.join("hub.jwks.json"), hub.jwks())?;

        let mut sites = Vec::new();
        for plan in plans {
            let identity = authority.issue(plan.name)?;
            let site = start_site(&folder, plan, &identity, &hub_url, metrics).await?;
            hub.list(directory_entries(&site));
            sites.push(site);
        }
        let (stop, stopping) = watch::channel(false);
        let hub_task = serve_hub(&folder, &ca, hub_listener, &hub_identity, hub, stopping)?;
        Ok(Network { folder, sites, hub: hub_url, callers, stop, hub_task })
    }

    /// A token for `member` at the site with this base URL.
    pub async fn token(&self, member: &str, base: &str, purpose: &str) -> Result<String, DemoError> {
        let form = format!("grant_type=client_credentials&resource={base}&purpose_of_use={purpose}");
        let body = ("application/x-www-form-urlencoded", form.into_bytes());
        let reply = self
            .caller(member)?
            .send(Method::POST, &format!("{}/token", self.hub), None, None, Some(body))
            .await?;
        let json = reply.json();
        let token = json["access_token"].as_str();
        token
            .map(str::to_owned)
            .ok_or_else(|| DemoError::Other(format!("the hub gave no token to {member}: {json}")))
    }

    /// A member's own HTTP client.
    pub fn caller(&self, member: &str) -> Result<&Caller, DemoError> {
        self.callers.get(member).ok_or_else(|| DemoError::Other(format!("{member} is not a member")))
    }

    /// What a member reads in the hub's directory.
    pub async fn directory(&self, member: &str, resource_type: &str) -> Result<Reply, DemoError> {
        self.caller(member)?
            .send(Method::GET, &format!("{}/fhir/{resource_type}", self.hub), None, None, None)
            .await
    }

    /// Stops everything and removes the folder.
    pub async fn stop(self) -> Result<(), DemoError> {
        self.stop.send_replace(true);
        for site in self.sites {
            site.running.stop().await;
            site.hospital.stop().await;
        }
        self.hub_task.await.map_err(|error| DemoError::Other(error.to_string()))?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

impl Site {
    /// Where the operator's port listens.
    pub fn admin(&self) -> SocketAddr {
        self.running.admin
    }

    /// The number of audit records, if their hash chain is whole.
    pub fn verified_audit(&self) -> Result<u64, DemoError> {
        let verified = self
            .running
            .gateway()
            .store()
            .verify_audit()
            .map_err(|error| DemoError::Other(error.to_string()))?;
        verified.map_err(|seq| DemoError::Other(format!("audit record {seq} does not fit the chain")))
    }
}

async fn start_site(
    folder: &Path,
    plan: Plan,
    identity: &Identity,
    hub: &str,
    metrics: &PrometheusHandle,
) -> Result<Site, DemoError> {
    let hospital = Hospital::start((Ipv4Addr::LOCALHOST, 0).into(), HospitalOptions::default()).await?;
    hospital.seed(&plan.resources)?;
    let own = folder.join(plan.code);
    std::fs::create_dir_all(&own)?;
    identity.write(&own, "server")?;
    let (port, admin) = (free_port().await?, free_port().await?);
    let base = format!("https://127.0.0.1:{port}/fhir");
    let upstream = hospital.base_url();
    let Plan { code, name, .. } = plan;
    let text = format!(
        r#"# {name}: the sidecar of the demonstration
[site]
id = "{code}"
name = "{name}"
base_url = "{base}"

[listen]
address = "127.0.0.1:{port}"
tls = {{ certificate = "server.pem", key = "server.key", client_ca = "../network-ca.pem" }}

[upstream]
url = "{upstream}"

[tokens]
issuer = "{hub}"
jwks = "../hub.jwks.json"

[store]
path = "varco.sqlite"

[admin]
address = "127.0.0.1:{admin}"

[[identity.alias]]
local = "{CF_LOCAL}"
network = "{CF_NETWORK}"
"#
    );
    let path = own.join("varco.toml");
    std::fs::write(&path, text)?;
    let running = run::start(config::load(&path)?, metrics.clone()).await?;
    Ok(Site { code, name, base, hospital, running })
}

fn serve_hub(
    folder: &Path,
    ca: &Path,
    listener: TcpListener,
    identity: &Identity,
    hub: Hub,
    stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, DemoError> {
    let (certificate, key) = identity.write(folder, "hub")?;
    let tls = tls::server_config(&config::Tls {
        client_ca: Some(ca.to_owned()),
        ..config::Tls::new(certificate, key)
    })?;
    let bounds =
        Listen { connections: 256, body_seconds: 10, drain_seconds: 2, ..Listen::at(listener.local_addr()?) };
    Ok(tokio::spawn(listen::serve(
        listener,
        None,
        Some(Arc::new(ArcSwap::from_pointee(tls))),
        bounds,
        Arc::new(hub),
        listen::until_stopped(stopping),
    )))
}

/// mCSD: the organisation, and the endpoint where its data is asked for.
fn directory_entries(site: &Site) -> [Value; 2] {
    let organization = json!({
        "resourceType": "Organization", "id": site.code, "active": true, "name": site.name,
        "identifier": [{ "system": HSP, "value": site.code }],
        "endpoint": [{ "reference": format!("Endpoint/{}", site.code) }],
    });
    let endpoint = json!({
        "resourceType": "Endpoint", "id": site.code, "status": "active",
        "connectionType": { "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest" },
        "managingOrganization": { "reference": format!("Organization/{}", site.code), "display": site.name },
        "payloadType": [{ "text": "FHIR R4" }],
        "address": site.base,
    });
    [organization, endpoint]
}

async fn free_port() -> Result<u16, DemoError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}
