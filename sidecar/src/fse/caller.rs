//! Who may publish through a route: hospital applications, known by certificate, by their signed tokens or by where they are.
//!
//! Invariant: the certificate that is shown to the national gateway is the hospital's, so nobody gets through here by their
//! word alone. How applications are known is the region's to settle; what they send is not judged by it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use varco_core::requester::{BusinessIdentifier, Code, Requester};

use crate::config::{Callers, Config, IssuerKind, PublicationRoute};
use crate::fetch::address::Network;
use crate::hexadecimal;
use crate::identify::{TokenError, TokenGate, TokenSetupError};
use crate::listen::Peer;

/// Who brought a message, as far as it is known for certain: for the audit record, which may be written much later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caller {
    pub client: String,
    pub address: String,
    pub certificate: Option<String>,
    pub subject: Option<(String, String)>,
    pub roles: Vec<(String, String)>,
    pub organizations: Vec<(String, String)>,
    pub purposes: Vec<(String, String)>,
    pub token: Option<String>,
}

impl Caller {
    fn of(requester: &Requester, address: String) -> Caller {
        let codes = |list: &[Code]| list.iter().map(|own| (own.system.clone(), own.code.clone())).collect();
        let named = |own: &BusinessIdentifier| (own.system.clone(), own.value.clone());
        Caller {
            client: requester.client_id.clone(),
            address,
            certificate: requester.certificate.clone(),
            subject: requester.subject.as_ref().map(named),
            roles: codes(&requester.roles),
            organizations: requester.organizations.iter().map(named).collect(),
            purposes: codes(&requester.purposes),
            token: requester.token_id.clone(),
        }
    }

    /// The same as audit records name it.
    pub fn requester(&self) -> Requester {
        let codes =
            |list: &[(String, String)]| list.iter().map(|(system, code)| Code::new(system, code)).collect();
        let named = |(system, value): &(String, String)| BusinessIdentifier::new(system, value);
        Requester {
            client_id: self.client.clone(),
            certificate: self.certificate.clone(),
            subject: self.subject.as_ref().map(named),
            roles: codes(&self.roles),
            organizations: self.organizations.iter().map(named).collect(),
            purposes: codes(&self.purposes),
            token_id: self.token.clone(),
            ..Requester::default()
        }
    }
}

/// Why somebody may not publish.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The connection has no certificate.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// It has another.
    #[error("the client certificate sha256:{0} is not listed for the route")]
    Certificate(String),
    /// The tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The address.
    #[error("{0} is in none of the route's networks")]
    Network(IpAddr),
}

impl NotAdmitted {
    /// Why, in a word that nothing of the request stands in.
    pub fn name(&self) -> &'static str {
        match self {
            NotAdmitted::NoCertificate | NotAdmitted::Certificate(_) => "certificate",
            NotAdmitted::Tokens(error) => error.name(),
            NotAdmitted::Network(_) => "network",
        }
    }
}

/// Who may publish through one route.
pub enum Admission {
    /// The SHA-256 of their certificates.
    Certificates(HashSet<[u8; 32]>),
    /// Holders of tokens that are made for the national gateway.
    Tokens(Box<TokenGate>),
    /// Where they call from.
    Network(Vec<Network>),
}

impl Admission {
    /// What a route's settings say.
    pub fn new(config: &Config, route: &PublicationRoute) -> Result<Admission, TokenSetupError> {
        Ok(match route.callers {
            Callers::Certificates => Admission::Certificates(route.fingerprints().flatten().collect()),
            Callers::Network => Admission::Network(route.ranges().flatten().collect()),
            Callers::Tokens => {
                // The tokens are made for the national gateway, and open nothing but this: the issuers of the FHIR face keep
                // their own audience. A message that comes again has the same tokens.
                let issuer =
                    config.issuers().filter(|own| own.kind == IssuerKind::Fse).cloned().map(|mut own| {
                        own.audience = Some(route.gateway.clone());
                        own.one_time = false;
                        own
                    });
                let own = Config { tokens: None, issuer: issuer.collect(), ..config.clone() };
                Admission::Tokens(Box::new(TokenGate::new(&own, Arc::default())?))
            }
        })
    }

    /// The caller, where it may publish; `now` is in seconds since 1970.
    pub async fn admit(&self, headers: &HeaderMap, peer: &Peer, now: u64) -> Result<Caller, NotAdmitted> {
        let ip = peer.address.ip().to_canonical();
        let certificate = peer.certificate.map(|digest| hexadecimal::write(&digest));
        match self {
            Admission::Certificates(listed) => {
                let digest = peer.certificate.ok_or(NotAdmitted::NoCertificate)?;
                let shown = certificate.unwrap_or_default();
                if !listed.contains(&digest) {
                    return Err(NotAdmitted::Certificate(shown));
                }
                let client = format!("sha256:{shown}");
                Ok(Caller { client, address: ip.to_string(), certificate: Some(shown), ..Caller::default() })
            }
            Admission::Tokens(gate) => {
                let requester = gate.identify(headers, peer.certificate.as_ref(), now).await?;
                Ok(Caller::of(&requester, ip.to_string()))
            }
            Admission::Network(ranges) => {
                if !ranges.iter().any(|range| range.contains(ip)) {
                    return Err(NotAdmitted::Network(ip));
                }
                Ok(Caller {
                    client: ip.to_string(),
                    address: ip.to_string(),
                    certificate,
                    ..Caller::default()
                })
            }
        }
    }
}
