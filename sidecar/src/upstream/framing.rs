//! An answer whose length has one meaning only, as for requests in `pipeline::receive`.
//!
//! RFC 9112 §6.3: an answer with both `Transfer-Encoding` and `Content-Length`, or with several lengths, may be read by the
//! next program on the way as two answers. It is not used, and its connection is closed.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::body::Body;

/// What is wrong with an answer's framing, where something is.
pub(super) fn fault(headers: &HeaderMap) -> Option<&'static str> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Some("several Content-Length headers"),
        (Some(_), None) if headers.contains_key(TRANSFER_ENCODING) => {
            Some("Content-Length together with Transfer-Encoding")
        }
        _ => None,
    }
}

/// True where the body lasts until its connection ends (RFC 9112 §6.3, 8): whether it is whole can't be told, and it must not be
/// handed on as it comes.
pub(super) fn is_endless(headers: &HeaderMap, body: &impl Body) -> bool {
    !body.is_end_stream() && body.size_hint().exact().is_none() && !headers.contains_key(TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn one_length_has_one_meaning() {
        let headers = |own: &[(HeaderName, &'static str)]| {
            let own = own.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            own.fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            })
        };
        let (length, coding) = ((CONTENT_LENGTH, "4"), (TRANSFER_ENCODING, "chunked"));
        assert_eq!(fault(&headers(&[])), None);
        assert_eq!(fault(&headers(std::slice::from_ref(&length))), None);
        assert_eq!(fault(&headers(std::slice::from_ref(&coding))), None);
        assert!(fault(&headers(&[length.clone(), length.clone()])).is_some());
        assert!(fault(&headers(&[coding, length])).is_some());
    }
}
