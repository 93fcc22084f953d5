//! The regional hub: it issues access tokens to registered members and keeps the directory of endpoints.
//!
//! Tokens follow OAuth 2.0 client credentials with the client's certificate (RFC 8705): who may have one is
//! decided by the certificate of the connection, and the token is bound to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};

use super::DemoError;
use crate::listen::{Coming, Handler, Peer};

/// The key's name in the JWKS.
const KEY_ID: &str = "hub-1";
/// How long a token lives, in seconds.
const LIFETIME: u64 = 600;

/// A member that may have tokens.
#[derive(Debug, Clone)]
pub struct Member {
    /// OAuth client id.
    pub client_id: &'static str,
    /// The person who acts, and their name.
    pub subject: (&'static str, &'static str),
    /// The organisation, as `system|value`.
    pub organization: String,
    /// The role, as system and code.
    pub role: (&'static str, &'static str),
    /// The scopes it may have.
    pub scope: &'static str,
}

/// The hub.
pub struct Hub {
    issuer: String,
    key: EncodingKey,
    jwks: Value,
    members: HashMap<[u8; 32], Member>,
    directory: Vec<Value>,
}

impl Hub {
    /// A hub with a fresh key. `members` are known by the SHA-256 of their certificates; `directory` holds the
    /// Organization and Endpoint resources that every member may read.
    pub fn new(
        issuer: &str,
        members: HashMap<[u8; 32], Member>,
        directory: Vec<Value>,
    ) -> Result<Hub, DemoError> {
        let pair = KeyPair::generate_for(&PKCS_ED25519)?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let jwks = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KEY_ID, "x": public }
        ]});
        Ok(Hub {
            issuer: issuer.to_owned(),
            key: EncodingKey::from_ed_der(&pair.serialize_der()),
            jwks,
            members,
            directory,
        })
    }

    /// The public keys, as members keep them in a file.
    pub fn jwks(&self) -> String {
        self.jwks.to_string()
    }

    /// Adds what stands in the directory.
    pub fn list(&mut self, resources: impl IntoIterator<Item = Value>) {
        self.directory.extend(resources);
    }

    fn token(&self, peer: Peer, form: &[u8]) -> Response<Full<Bytes>> {
        let member =
            peer.certificate.and_then(|digest| self.members.get(&digest).map(|member| (digest, member)));
        let Some((digest, member)) = member else {
            return answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
        };
        let form = String::from_utf8_lossy(form);
        let field = |name: &str| {
            form.split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|pair| pair.0 == name)
                .map(|pair| pair.1)
        };
        let (Some("client_credentials"), Some(audience)) = (field("grant_type"), field("resource")) else {
            return answer(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_request" }));
        };
        let purpose = field("purpose_of_use").unwrap_or("TREAT");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        let claims = json!({
            "iss": self.issuer,
            "aud": audience.replace("%3A", ":").replace("%2F", "/"),
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "sub": member.subject.0,
            "client_id": member.client_id,
            "scope": member.scope,
            "cnf": { "x5t#S256": URL_SAFE_NO_PAD.encode(digest) },
            "extensions": { "ihe_iua": {
                "subject_name": member.subject.1,
                "subject_organization_id": [member.organization],
                "subject_role": [{ "system": member.role.0, "code": member.role.1 }],
                "purpose_of_use": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose }],
            }},
        });
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
        match encode(&header, &claims, &self.key) {
            Ok(token) => answer(
                StatusCode::OK,
                &json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": member.scope }),
            ),
            Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "server_error" })),
        }
    }

    /// mCSD in small: all organisations, or all endpoints.
    fn directory(&self, resource_type: &str) -> Response<Full<Bytes>> {
        let entries: Vec<Value> = self
            .directory
            .iter()
            .filter(|resource| resource["resourceType"] == resource_type)
            .map(|resource| json!({ "resource": resource, "search": { "mode": "match" } }))
            .collect();
        answer(
            StatusCode::OK,
            &json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len(), "entry": entries }),
        )
    }
}

impl Handler for Hub {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, request: Request<Coming>, peer: Peer) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match (head.method, head.uri.path()) {
            (Method::POST, "/token") => match Limited::new(body, 8192).collect().await {
                Ok(form) => self.token(peer, &form.to_bytes()),
                Err(_) => answer(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": "invalid_request" })),
            },
            (Method::GET, "/jwks") => answer(StatusCode::OK, &self.jwks),
            (Method::GET, "/fhir/Organization") => self.directory("Organization"),
            (Method::GET, "/fhir/Endpoint") => self.directory("Endpoint"),
            _ => answer(
                StatusCode::NOT_FOUND,
                &json!({ "error": "there are /token, /jwks, /fhir/Organization and /fhir/Endpoint" }),
            ),
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
