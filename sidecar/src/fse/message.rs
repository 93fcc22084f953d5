//! A message as it came: what is forwarded byte by byte, and what is read of it to keep it in order.
//!
//! Invariants: method, path, query, body and the listed headers go to the national gateway as they came; what is read of the
//! body decides about order and warnings alone. Two messages belong to one chain where they name one document.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::claims::Tokens;
use super::kind::Kind;
use super::multipart::{self, Part};
use crate::hexadecimal;

/// Headers that are forwarded as they came: what the interface defines, what ModI adds to it, and what describes the body.
const FORWARDED: &[&str] = &[
    "accept",
    "accept-language",
    "agid-jwt-signature",
    "agid-jwt-tracking-evidence",
    "authorization",
    "content-digest",
    "content-encoding",
    "content-language",
    "content-type",
    "digest",
    "fse-jwt-signature",
    "tracestate",
    "user-agent",
];
/// Headers of an answer that are this connection's own (RFC 9110 §7.6.1), or are made anew here.
const NOT_ANSWERED: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Largest part that is read as JSON, in bytes.
const LARGEST_METADATA: usize = 1 << 20;

/// A chain of messages that must keep their order: a digest, so that no identifier stands where it is not needed.
pub type Chain = [u8; 16];

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its method.
    pub method: Method,
    /// Path and query below the route's path, as they came.
    pub target: String,
    /// The headers that are forwarded.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What its tokens say.
    pub tokens: Tokens,
    /// The documents that it names: in its path, in its metadata.
    pub documents: Vec<String>,
    /// SHA-256 of the part `file`, in hexadecimal, where there is one.
    pub file_hash: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "identificativoDoc")]
    document: Option<String>,
}

impl Message {
    /// Reads a message; `target` is path and query below the route's.
    pub fn read(method: Method, target: String, headers: &HeaderMap, body: Bytes) -> Message {
        let path = target.split('?').next().unwrap_or_default();
        let kind = Kind::of(method.as_str(), path);
        let one = |name: &str| {
            let mut values = headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
        };
        let tokens = Tokens::read(one("authorization"), one("fse-jwt-signature"));
        let parts = one("content-type").and_then(|own| multipart::parts(own, &body)).unwrap_or_default();
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        let named = part("requestBody").and_then(|part| document_in(part.content));
        let mut documents: Vec<String> =
            Kind::document(method.as_str(), path).into_iter().chain(named).collect();
        documents.dedup();
        let file_hash = part("file").map(|part| hexadecimal::write(&Sha256::digest(part.content)));
        Message { kind, method, headers: forwarded(headers), body, tokens, documents, file_hash, target }
    }

    /// The chains that it belongs to on a route: its documents'; without one its patient's; without that, that of all such
    /// messages.
    pub fn chains(&self, route: &str) -> Vec<Chain> {
        let digest = |kind: &str, text: &str| {
            let parts = [route, kind, text];
            let whole = parts
                .iter()
                .fold(Sha256::new(), |all, part| all.chain_update(part).chain_update([0]))
                .finalize();
            let mut chain = Chain::default();
            chain.iter_mut().zip(whole).for_each(|(own, byte)| *own = byte);
            chain
        };
        let mut chains: Vec<Chain> = match (self.documents.as_slice(), self.tokens.person()) {
            ([], Some(person)) => vec![digest("person", person)],
            ([], None) => vec![digest("none", "")],
            (documents, _) => documents.iter().map(|document| digest("document", document)).collect(),
        };
        chains.sort_unstable();
        chains.dedup();
        chains
    }

    /// What makes it the message that it is, whatever tokens it carries and whatever boundary stands between its parts.
    pub fn identity(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        };
        add(self.method.as_str().as_bytes());
        add(self.target.as_bytes());
        match self.parts() {
            Some(parts) => parts.iter().for_each(|part| {
                add(part.name.as_bytes());
                add(part.content);
            }),
            None => add(&self.body),
        }
        digest.finalize().into()
    }

    /// What tells one sending of it from the next: the tokens' ids; without them, the tokens.
    pub fn sending(&self) -> [u8; 32] {
        let digest = Sha256::new();
        match self.tokens.ids() {
            Some((caller, signature)) => {
                digest.chain_update(caller).chain_update([0]).chain_update(signature)
            }
            None => ["authorization", "fse-jwt-signature"].iter().fold(digest, |digest, name| {
                let value = self.headers.get(*name).map(|value| value.as_bytes()).unwrap_or_default();
                digest.chain_update(value).chain_update([0])
            }),
        }
        .finalize()
        .into()
    }

    fn parts(&self) -> Option<Vec<Part<'_>>> {
        let content_type = self.headers.get("content-type")?.to_str().ok()?;
        multipart::parts(content_type, &self.body)
    }
}

fn document_in(metadata: &[u8]) -> Option<String> {
    let metadata = Some(metadata).filter(|own| own.len() <= LARGEST_METADATA)?;
    let metadata: Metadata = serde_json::from_slice(metadata).ok()?;
    metadata.document.filter(|document| !document.is_empty())
}

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in FORWARDED.iter().map(|name| HeaderName::from_static(name)) {
        for value in headers.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// The headers of an answer that go back.
pub fn answered(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let own = |name: &HeaderName| {
        NOT_ANSWERED.contains(&name.as_str()) || named.iter().any(|other| other == name.as_str())
    };
    let kept = headers.iter().filter(|(name, _)| !own(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn multipart(boundary: &str, document: &str, file: &str) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", format!("multipart/form-data; boundary={boundary}").parse().unwrap());
        let part = |name: &str, content: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
        };
        let metadata = format!("{{\"identificativoDoc\":\"{document}\",\"mode\":\"ATTACHMENT\"}}");
        let body =
            [part("requestBody", &metadata), part("file", file), format!("--{boundary}--\r\n")].concat();
        (headers, Bytes::from(body))
    }

    fn read(method: Method, target: &str, (headers, body): (HeaderMap, Bytes)) -> Message {
        Message::read(method, target.to_owned(), &headers, body)
    }

    #[test]
    fn a_message_is_itself_whatever_boundary_and_tokens_it_has() {
        let one = read(Method::POST, "/documents", multipart("x", "2.16^1", "%PDF"));
        let mut again = multipart("yyy", "2.16^1", "%PDF");
        again.0.insert("authorization", "Bearer other".parse().unwrap());
        let again = read(Method::POST, "/documents", again);
        assert_eq!(one.identity(), again.identity());
        assert_ne!(one.sending(), again.sending());
        let other = read(Method::POST, "/documents", multipart("x", "2.16^1", "%PDF2"));
        assert_ne!(one.identity(), other.identity());
        assert_eq!(one.file_hash, Some(hexadecimal::write(&Sha256::digest("%PDF"))));
    }

    #[test]
    fn what_replaces_a_document_belongs_to_the_chains_of_both() {
        let create = read(Method::POST, "/documents", multipart("x", "2.16^1", "a"));
        let replace = read(Method::PUT, "/documents/2.16%5E1", multipart("x", "2.16^2", "b"));
        let delete = read(Method::DELETE, "/documents/2.16^2", (HeaderMap::new(), Bytes::new()));
        let shares = |one: &Message, other: &Message| {
            one.chains("fse").iter().any(|own| other.chains("fse").contains(own))
        };
        assert!(shares(&create, &replace) && shares(&replace, &delete) && !shares(&create, &delete));
        let nameless = read(Method::POST, "/documents", (HeaderMap::new(), Bytes::from_static(b"x")));
        assert_eq!(nameless.chains("fse").len(), 1);
        assert_ne!(create.chains("fse"), create.chains("another"), "each gateway has an order of its own");
    }

    #[test]
    fn only_listed_headers_are_forwarded_and_no_header_of_a_connection_goes_back() {
        let mut headers = HeaderMap::new();
        for name in ["accept", "authorization", "x-forwarded-for", "connection", "te", "cookie", "host"] {
            headers.insert(name, "x".parse().unwrap());
        }
        let message = read(Method::GET, "/status/1", (headers, Bytes::new()));
        assert_eq!(message.headers.len(), 2);
        let mut answer = HeaderMap::new();
        answer.insert("connection", "X-Own, close".parse().unwrap());
        for name in ["x-own", "transfer-encoding", "content-type", "govway-transaction-id", "content-length"]
        {
            answer.insert(name, "x".parse().unwrap());
        }
        let kept = answered(&answer);
        let mut names: Vec<&str> = kept.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "govway-transaction-id"]);
    }
}
