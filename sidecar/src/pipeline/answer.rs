//! What goes back to the caller. Every header is built here; none of the hospital's server is passed on.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use fhir_models::document::{OwnedDocument, Value, name};
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use varco_core::interaction::headers::RequestHeaders;

use super::refusal::Refusal;

/// A document's text, to be sent from the document's own memory. Its nodes are not kept for that.
pub(super) fn text(document: &OwnedDocument) -> Bytes {
    struct Text(Arc<String>);

    impl AsRef<[u8]> for Text {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    Bytes::from_owner(Text(document.shared_text()))
}

/// What is shown of a text: a piece of it where it is one, so that nothing is copied.
pub(super) fn shown_of(text: &Bytes, shown: Cow<'_, [u8]>) -> Bytes {
    match shown {
        Cow::Borrowed(own) if text.as_ptr_range().contains(&own.as_ptr()) => text.slice_ref(own),
        other => other.into_owned().into(),
    }
}

/// How many headers an answer has beside those that are its own.
const USUAL: usize = 6;

/// The answer to one request.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Answer {
    /// A status with a FHIR body.
    pub fn fhir(status: StatusCode, body: impl Into<Bytes>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// A resource, with the version and date that it states itself (FHIR R4 §3.1.0.1.3).
    pub fn resource(status: StatusCode, resource: Value<'_>, body: impl Into<Bytes>) -> Answer {
        let mut answer = Answer::fhir(status, body);
        answer.headers.reserve(USUAL);
        let Some(meta) = resource.get(name::META) else { return answer };
        if let Some(version) = meta.str_of(name::VERSION_ID) {
            answer.set(header::ETAG, ["W/\"", &version, "\""].concat());
        }
        let updated = meta.str_of(name::LAST_UPDATED).and_then(|text| text.parse::<Timestamp>().ok());
        if let Some(date) =
            updated.and_then(|updated| DateTimePrinter::new().timestamp_to_rfc9110_string(&updated).ok())
        {
            answer.set(header::LAST_MODIFIED, date);
        }
        answer
    }

    /// 304 without a body where the caller has this version of the resource already. Only for what the caller may
    /// see.
    pub fn unless_known(mut self, asked: &RequestHeaders, resource: Value<'_>) -> Answer {
        if !asked.are_conditional() {
            return self;
        }
        let meta = resource.get(name::META);
        let version = meta.and_then(|meta| meta.str_of(name::VERSION_ID));
        let updated = meta.and_then(|meta| meta.str_of(name::LAST_UPDATED)?.parse::<Timestamp>().ok());
        if asked.is_known(version.as_deref(), updated) {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = Bytes::new();
        }
        self
    }

    /// The answer to a refused request.
    pub fn refused(refusal: &Refusal) -> Answer {
        let row = refusal.row();
        Answer {
            status: row.status,
            headers: row.header.into_iter().chain(refusal.limit_headers()).collect(),
            body: refusal.outcome().into(),
        }
    }

    /// Adds a header; one whose value can't stand in a header is left out.
    pub fn set(&mut self, name: HeaderName, value: impl TryInto<HeaderValue>) {
        if let Ok(value) = value.try_into() {
            self.headers.push((name, value));
        }
    }

    /// The response, with the request's id.
    pub fn into_response(self, request_id: &str, close: bool) -> Response<Full<Bytes>> {
        let empty = self.body.is_empty();
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // With those that are set here, and the library's own.
        headers.reserve(self.headers.len() + USUAL);
        headers.extend(self.headers);
        if !empty {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/fhir+json; charset=utf-8"),
            );
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
