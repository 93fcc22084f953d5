//! Taking a request in: framing that has one meaning only, and a body within bounds of size and time.
//!
//! RFC 9112 §6.3, §3.2: a request with both `Transfer-Encoding` and `Content-Length`, with several lengths or hosts, or whose
//! target contradicts its `Host`, is how requests are smuggled; it is refused and its connection closed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Version, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use super::Refusal;
use crate::listen::framing::FramingFault;

/// Refuses a request whose framing, or whose target, two programs could read differently. What the bytes themselves say
/// wrong was found by the listener ([`crate::listen::framing`]).
pub(crate) fn check_framing(head: &request::Parts) -> Result<(), Refusal> {
    if let Some(fault) = head.extensions.get::<FramingFault>() {
        return Err(Refusal::Framing(fault.text()));
    }
    if head.method == Method::CONNECT || head.headers.contains_key(UPGRADE) {
        return Err(Refusal::Framing("neither CONNECT nor Upgrade is served"));
    }
    if head.headers.contains_key(CONNECTION) && names_a_header(&head.headers) {
        return Err(Refusal::Framing("Connection names a header of the request"));
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(Refusal::Framing("several Host headers"));
    }
    match (host, head.uri.authority()) {
        (None, None) if head.version == Version::HTTP_11 => Err(Refusal::Framing("no Host header")),
        (Some(host), Some(authority))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Refusal::Framing("a Host header that differs from the request's target"))
        }
        _ => Ok(()),
    }
}

/// True where `Connection` (RFC 9110 §7.6.1) would have the next program take a header away that means something here.
fn names_a_header(headers: &HeaderMap) -> bool {
    let options =
        headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.map(<[u8]>::trim_ascii).any(|option| {
        let harmless = [b"close".as_slice(), b"keep-alive", b"te", b"proxy-connection", b"http2-settings"];
        !harmless.iter().any(|own| option.eq_ignore_ascii_case(own))
            && HeaderName::from_bytes(option).is_ok_and(|name| headers.contains_key(name))
    })
}

/// The whole body.
pub(crate) async fn body<B>(body: B, most: usize, within: Duration) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large =
        || Refusal::Body { text: format!("The body is larger than {most} bytes."), too_large: true };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(within, Limited::new(body, most).collect()).await {
        Err(_) => Err(Refusal::BodyTimeout),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::BodyBroken),
    }
}
