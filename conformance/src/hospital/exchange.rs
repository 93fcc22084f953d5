//! HTTP to a call and back: base path, negotiation, body limits, headers (FHIR R4 §3.1.0.1).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::HospitalOptions;
use super::call::{Call, Conditions, Reply, Wanted, answer};
use super::fault::{Control, Effect, SeenRequest};
use super::outcome::Refusal;
use super::search::Scene;
use super::store::Store;
use crate::form;

const FHIR_JSON: &str = "application/fhir+json";
const FORM: &str = "application/x-www-form-urlencoded";

/// How long a caller may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The running hospital, as its connections see it.
#[derive(Debug)]
pub(super) struct House {
    pub(super) store: Mutex<Store>,
    pub(super) control: Control,
    pub(super) options: HospitalOptions,
    /// The base URL in links and locations.
    pub(super) base: String,
}

/// The caller gets no answer and its connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the simulated hospital dropped the connection as it was told to")]
pub(super) struct Dropped;

impl House {
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn scene(&self, strict: bool) -> Scene<'_> {
        Scene {
            base: &self.base,
            now: Timestamp::now(),
            page: self.options.page,
            longest_page: self.options.longest_page,
            strict,
        }
    }

    /// Answers one HTTP request.
    pub(super) async fn exchange(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Dropped> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let number = self.control.note(SeenRequest {
            method: parts.method.clone(),
            target,
            version: parts.version,
            headers: parts.headers.clone(),
            body: Bytes::new(),
        });
        let path = parts.uri.path();
        let below = path.strip_prefix(self.options.base_path.as_str()).unwrap_or(path);
        let mut instead = None;
        let mut alterations = Vec::new();
        for effect in self.control.effects(&parts.method, below) {
            match effect {
                Effect::Delay(time) => tokio::time::sleep(time).await,
                Effect::Drop => return Err(Dropped),
                Effect::Status(status) => instead = Some(injected(status)),
                Effect::Reply { status, content_type, body } => {
                    instead = Some(canned(status, &content_type, body))
                }
                Effect::Alter(alteration) => alterations.push(alteration),
            }
        }
        let body = self.receive(body).await;
        if let Ok(body) = &body {
            self.control.note_body(number, body);
        }
        let mut response = match instead {
            Some(response) => response,
            None => match body.and_then(|body| self.answer(&parts, &body)) {
                Ok(reply) => reply_response(reply),
                Err(refusal) => refusal_response(&refusal),
            },
        };
        for alter in alterations {
            alter(&mut response);
        }
        Ok(response.map(Full::new))
    }

    async fn receive(&self, body: Incoming) -> Result<Bytes, Refusal> {
        let most = self.options.longest_body;
        match tokio::time::timeout(BODY_TIME, Limited::new(body, most).collect()).await {
            Err(_) => {
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time"))
            }
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let text = format!("a body may have {most} bytes");
                Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", text))
            }
            Ok(Err(_)) => Err(Refusal::bad_request("incomplete", "the body was cut off")),
        }
    }

    fn answer(&self, parts: &Parts, body: &[u8]) -> Result<Reply, Refusal> {
        let nowhere =
            || Refusal::not_found("the FHIR base URL is elsewhere; see implementation.url in /metadata");
        let below = parts.uri.path().strip_prefix(self.options.base_path.as_str()).ok_or_else(nowhere)?;
        let broken = || Refusal::bad_request("value", "the URL is badly encoded");
        let path = match below.strip_prefix('/') {
            Some("") => Vec::new(),
            Some(rest) => rest.split('/').map(form::decode).collect::<Option<Vec<_>>>().ok_or_else(broken)?,
            None if below.is_empty() => Vec::new(),
            None => return Err(nowhere()),
        };
        let mut query = form::pairs(parts.uri.query().unwrap_or_default()).ok_or_else(broken)?;
        negotiate(&parts.headers, &query)?;
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
        let posted_search = method == Method::POST && path.last().is_some_and(|last| last == "_search");
        if posted_search && !body.is_empty() {
            expect_type(&parts.headers, &[FORM])?;
            let text = std::str::from_utf8(body).map_err(|_| broken())?;
            query.extend(form::pairs(text).ok_or_else(broken)?);
        } else if matches!(method, Method::POST | Method::PUT) && !posted_search {
            expect_type(
                &parts.headers,
                &[FHIR_JSON, "application/json", "text/json", "application/json+fhir"],
            )?;
        }
        let prefer = joined(&parts.headers, &HeaderName::from_static("prefer")).unwrap_or_default();
        let call = Call {
            method,
            path,
            query,
            conditions: conditions(&parts.headers, &prefer),
            body,
            reserved: None,
        };
        let strict = prefers(&prefer, "handling=strict");
        answer(&mut self.store(), &call, self.scene(strict))
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn prefers(prefer: &str, wanted: &str) -> bool {
    prefer.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case(wanted))
}

fn conditions(headers: &HeaderMap, prefer: &str) -> Conditions {
    let wanted = if prefers(prefer, "return=minimal") {
        Wanted::Minimal
    } else if prefers(prefer, "return=OperationOutcome") {
        Wanted::Outcome
    } else {
        Wanted::Representation
    };
    Conditions {
        if_match: joined(headers, &header::IF_MATCH),
        if_none_match: joined(headers, &header::IF_NONE_MATCH),
        if_none_exist: joined(headers, &HeaderName::from_static("if-none-exist")),
        wanted,
    }
}

/// Refuses what the hospital cannot write: it answers in JSON (FHIR R4 §3.1.0.1.9).
fn negotiate(headers: &HeaderMap, query: &[(String, String)]) -> Result<(), Refusal> {
    let refused = || {
        let text = "this server answers with application/fhir+json only";
        Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "not-supported", text))
    };
    let readable = |media: &str| {
        matches!(
            essence(media).as_str(),
            "*/*" | "application/*" | "application/json" | "text/json" | FHIR_JSON
        ) || essence(media) == "application/json+fhir"
    };
    if let Some((_, format)) = query.iter().find(|(name, _)| name == "_format") {
        // A plus sign in a query that nobody escaped has become a blank.
        return if format == "json" || readable(&format.replace(' ', "+")) { Ok(()) } else { refused() };
    }
    match joined(headers, &header::ACCEPT) {
        Some(accept) if !accept.split(',').any(readable) => refused(),
        _ => Ok(()),
    }
}

/// A media type without its parameters, in lower case.
fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn expect_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Refusal> {
    let refused = |text: String| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-supported", text));
    if headers.contains_key(header::CONTENT_ENCODING) {
        return refused("send the body without a Content-Encoding".to_owned());
    }
    let media = joined(headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !allowed.contains(&essence(&media).as_str()) {
        return refused(format!("send the body as {}", allowed.first().unwrap_or(&FHIR_JSON)));
    }
    for parameter in media.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "charset" if !value.eq_ignore_ascii_case("utf-8") => {
                return refused("FHIR is written in UTF-8".to_owned());
            }
            "fhirversion" if value != "4.0" => return refused("this server keeps FHIR 4.0".to_owned()),
            _ => {}
        }
    }
    Ok(())
}

fn reply_response(reply: Reply) -> Response<Bytes> {
    let has_body = reply.body.is_some();
    let mut response = Response::new(Bytes::from(reply.body.unwrap_or_default()));
    *response.status_mut() = reply.status;
    let modified =
        reply.modified.and_then(|at| rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok());
    let texts = [
        (header::CONTENT_TYPE, has_body.then(|| FHIR_JSON.to_owned())),
        (header::ETAG, reply.etag),
        (header::LAST_MODIFIED, modified),
        (header::LOCATION, reply.location),
    ];
    for (name, text) in texts {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn refusal_response(refusal: &Refusal) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(refusal.body()));
    *response.status_mut() = refusal.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    if let Some(allow) = refusal.allow {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

fn injected(status: u16) -> Response<Bytes> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refusal_response(&Refusal::new(status, "exception", "a fault that a test injected"))
}

fn canned(status: u16, content_type: &str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    if let (false, Ok(value)) = (content_type.is_empty(), HeaderValue::try_from(content_type)) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn content_types_are_compared_without_parameters() {
        let check = |value| expect_type(&headers(header::CONTENT_TYPE, value), &[FHIR_JSON]);
        assert!(check("application/fhir+json").is_ok());
        assert!(check("Application/FHIR+JSON; charset=UTF-8; fhirVersion=4.0").is_ok());
        for wrong in ["text/plain", "application/fhir+jsonx", "application/fhir+json; charset=utf-16", ""] {
            assert_eq!(check(wrong).unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{wrong}");
        }
        assert!(check("application/fhir+json; fhirVersion=5.0").is_err());
        assert!(expect_type(&HeaderMap::new(), &[FHIR_JSON]).is_err());
    }

    #[test]
    fn only_json_can_be_asked_for() {
        assert!(negotiate(&headers(header::ACCEPT, "text/html, */*;q=0.1"), &[]).is_ok());
        assert!(negotiate(&headers(header::ACCEPT, "application/fhir+xml"), &[]).is_err());
        let format = |value: &str| vec![("_format".to_owned(), value.to_owned())];
        assert!(negotiate(&headers(header::ACCEPT, "text/html"), &format("application/fhir json")).is_ok());
        assert!(negotiate(&HeaderMap::new(), &format("xml")).is_err());
    }
}
