//! Taking a request in: framing that has one meaning only, and a body within bounds of size and time.
//!
//! RFC 9112 §6.3: a request with both `Transfer-Encoding` and `Content-Length`, or with several lengths, is
//! how requests are smuggled; it is refused and its connection closed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{Method, request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use super::Refusal;

/// Refuses a request whose framing two programs could read differently.
pub(super) fn check_framing(head: &request::Parts) -> Result<(), Refusal> {
    let lengths = head.headers.get_all(CONTENT_LENGTH).iter().count();
    if lengths > 1 {
        return Err(Refusal::Framing("several Content-Length headers"));
    }
    if lengths == 1 && head.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::Framing("Content-Length together with Transfer-Encoding"));
    }
    if head.method == Method::CONNECT || head.headers.contains_key(UPGRADE) {
        return Err(Refusal::Framing("neither CONNECT nor Upgrade is served"));
    }
    Ok(())
}

/// The whole body.
pub(super) async fn body<B>(body: B, most: usize, within: Duration) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large =
        || Refusal::Body { text: format!("The body is larger than {most} bytes."), too_large: true };
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(within, Limited::new(body, most).collect()).await {
        Err(_) => Err(Refusal::BodyTimeout),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::BodyBroken),
    }
}
