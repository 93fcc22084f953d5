//! A hospital's application before the plane: what it sends, what it is told, and the outbox as an operator sees it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::national::{National, multipart, tokens};
use crate::harness::{Asking, Region, Reply, Setup};

pub const GATEWAY_TIMEOUT: StatusCode = StatusCode::GATEWAY_TIMEOUT;
/// A document of this region, as a path names it.
pub const DOC: &str = "2.16.840.1.113883.2.9.2.30.4.4%5E";

pub fn settings(national: &National, more: &str) -> String {
    format!(
        "[publication]\nrecords = 50\n[[publication.route]]\nname = \"fse\"\npath = \"/fse/v1\"\nregion = \"030\"\n\
         gateway = \"http://127.0.0.1:{}/gateway/v1\"\ncallers = \"network\"\nnetworks = [\"127.0.0.1\"]\n\
         answer_seconds = 2\nbody_bytes = 100000\n{more}",
        national.port
    )
}

/// A hospital's application.
pub struct Application {
    pub asking: Asking,
    pub root: String,
    pub admin: String,
}

/// What an application sends, before its tokens.
#[derive(Clone)]
pub struct Send<'a> {
    pub method: Method,
    pub path: String,
    pub body: Vec<u8>,
    pub boundary: &'a str,
    pub ends_in: i64,
    pub claims: Value,
}

impl Application {
    pub fn of(setup: &Setup) -> Application {
        Application {
            asking: setup.client(),
            root: format!("http://127.0.0.1:{}/fse/v1", setup.port),
            admin: format!("http://127.0.0.1:{}", setup.admin),
        }
    }

    /// Sends with tokens of this id.
    pub async fn send(&self, id: &str, send: &Send<'_>) -> Reply {
        let (caller, signature) = tokens(id, send.ends_in, &send.claims);
        let kind = match send.body.first() {
            Some(b'-') => format!("multipart/form-data; boundary={}", send.boundary),
            _ => "application/json".to_owned(),
        };
        let headers = [
            ("fse-jwt-signature", signature.as_str()),
            ("content-type", kind.as_str()),
            ("accept", "application/json"),
            ("cookie", "c=1"),
            ("x-forwarded-for", "10.0.0.1"),
        ];
        let url = format!("{}{}", self.root, send.path);
        let asking = self.asking.with_token(Some(caller));
        asking.send(send.method.clone(), &url, &headers, Bytes::from(send.body.clone())).await
    }

    pub async fn outbox(&self) -> Value {
        let listing = self.asking.get(&format!("{}/outbox", self.admin)).await;
        assert_eq!(listing.status, StatusCode::OK, "{:?}", listing.body);
        listing.json()
    }

    /// Waits until the outbox is as wanted.
    pub async fn outbox_is(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_200 {
            let outbox = self.outbox().await;
            if wanted(&outbox) {
                return outbox;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the outbox is never as wanted: {}", self.outbox().await);
    }

    pub async fn emptied(&self) -> Value {
        self.outbox_is(|outbox| outbox["waiting"] == 0).await
    }
}

pub fn create<'a>(document: &str) -> Send<'a> {
    let plain = document.replace("%5E", "^");
    let body = multipart("b1", &plain, format!("%PDF-1.7 {document}\r\n\x00\x01").as_bytes());
    let hash = Sha256::digest(format!("%PDF-1.7 {document}\r\n\x00\x01"))
        .into_iter()
        .map(|byte| format!("{byte:02x}"));
    let claims = json!({ "action_id": "CREATE", "attachment_hash": hash.collect::<String>() });
    Send { method: Method::POST, path: "/documents".to_owned(), body, boundary: "b1", ends_in: 600, claims }
}

pub fn metadata<'a>(document: &str, access: &str) -> Send<'a> {
    let body = json!({ "tipologiaStruttura": "Ospedale", "attiCliniciRegoleAccesso": [access] })
        .to_string()
        .into_bytes();
    let path = format!("/documents/{document}/metadata");
    Send {
        method: Method::PUT,
        path,
        body,
        boundary: "",
        ends_in: 600,
        claims: json!({ "action_id": "UPDATE" }),
    }
}

pub fn delete<'a>(document: &str) -> Send<'a> {
    let path = format!("/documents/{document}");
    Send {
        method: Method::DELETE,
        path,
        body: Vec::new(),
        boundary: "",
        ends_in: 600,
        claims: json!({ "action_id": "DELETE" }),
    }
}

/// The type of an error of this gateway's own.
pub fn problem(reply: &Reply) -> String {
    assert_eq!(reply.headers["content-type"], "application/problem+json", "{:?}", reply.body);
    let body = reply.json();
    assert_eq!(body["status"], reply.status.as_u16(), "{body}");
    assert!(body["title"].is_string() && body["detail"].is_string() && body["traceID"].is_string(), "{body}");
    body["type"].as_str().unwrap().to_owned()
}

pub fn kept(reply: &Reply) -> String {
    reply.headers["varco-outbox"].to_str().unwrap().to_owned()
}

/// The AuditEvents of a request, as a search tells them.
pub async fn audited(region: &Region, id: &str) -> Vec<Value> {
    let found = region.asking().get(&format!("AuditEvent?entity:identifier=%7C{id}")).await.json();
    found["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()).collect()
}

/// A national gateway, a region with a route to it, and an application of its hospital; `before` stands before `[publication]`.
pub async fn plane(before: &str) -> (National, Region, Application) {
    let national = National::start().await;
    let region = Region::edited("", &format!("{before}{}", settings(&national, "")), |_| {}).await;
    let application = Application::of(&region.setup);
    (national, region, application)
}
