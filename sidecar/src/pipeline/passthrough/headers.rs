//! What passes of a request's and an answer's headers: those of content, caches, conditions and ranges, and those that the
//! configuration names. Everything else ends here, so that what a connection, a credential or an override is can't be meant for
//! two programs (RFC 9110 §7.6.1).

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, Uri};

/// Headers of a request that pass.
fn is_asked(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-charset"
            | "accept-encoding"
            | "accept-language"
            | "cache-control"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-type"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "pragma"
            | "prefer"
            | "range"
            | "user-agent"
    )
}

/// Headers of an answer that pass; `Location` is written anew.
fn is_answered(name: &str) -> bool {
    matches!(
        name,
        "accept-ranges"
            | "age"
            | "allow"
            | "cache-control"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-range"
            | "content-type"
            | "etag"
            | "expires"
            | "last-modified"
            | "pragma"
            | "preference-applied"
            | "retry-after"
            | "vary"
    )
}

/// True where the configuration may let a header of this name pass.
pub(crate) fn may_pass(name: &HeaderName) -> bool {
    const OWN: [HeaderName; 19] = [
        header::AUTHORIZATION,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::COOKIE,
        header::DATE,
        header::EXPECT,
        header::FORWARDED,
        header::HOST,
        header::LOCATION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VIA,
        header::WWW_AUTHENTICATE,
        HeaderName::from_static("keep-alive"),
    ];
    // Whole families: addresses that callers claim, overrides of method and path, our own.
    let families =
        ["x-forwarded", "x-http-method", "x-method", "x-original", "x-rewrite", "x-real-ip", "proxy-"];
    let ours = ["x-request-id", "traceparent", "tracestate"];
    !OWN.contains(name)
        && !ours.contains(&name.as_str())
        && !families.iter().any(|family| name.as_str().starts_with(family))
}

/// The headers that a server is asked by.
pub(super) fn asked(sent: &HeaderMap, more: &[HeaderName]) -> HeaderMap {
    // With the gateway's own three and mostly no more: larger ones are grown.
    let mut headers = HeaderMap::with_capacity(6);
    for (name, value) in sent {
        if is_asked(name.as_str()) || more.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Where a server stands for its callers.
#[derive(Debug)]
pub(super) struct Stands {
    /// Its authority, and the path that the route's stands for.
    pub authority: Authority,
    pub base: String,
    /// The route's path.
    pub path: String,
}

/// The headers of a server's answer, for the caller: all others are taken away. A HEAD is told the length as the server told it.
pub(super) fn answered(
    mut headers: HeaderMap,
    head: bool,
    more: &[HeaderName],
    stands: &Stands,
) -> HeaderMap {
    let place = headers.get(header::LOCATION).and_then(|place| stands.location(place));
    for name in named_by_connection(&headers) {
        headers.remove(name);
    }
    let passes = |name: &HeaderName| {
        is_answered(name.as_str()) || (head && *name == header::CONTENT_LENGTH) || more.contains(name)
    };
    while let Some(name) = headers.keys().find(|name| !passes(name)).cloned() {
        headers.remove(name);
    }
    if let Some(place) = place {
        headers.insert(header::LOCATION, place);
    }
    if let header::Entry::Vacant(none) = headers.entry(header::CACHE_CONTROL) {
        none.insert(HeaderValue::from_static("no-store"));
    }
    headers
}

/// What a server meant for its own connection alone. `keep-alive` itself never passes.
fn named_by_connection(said: &HeaderMap) -> Vec<HeaderName> {
    let values = said.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    names
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|name| name.parse().ok())
        .collect()
}

impl Stands {
    /// A place at the server as the caller finds it; none that is elsewhere: a caller learns no inner address.
    fn location(&self, place: &HeaderValue) -> Option<HeaderValue> {
        let text = place.to_str().ok()?;
        let uri: Uri = text.parse().ok()?;
        if uri.authority().is_some_and(|own| *own != self.authority) || !text.is_ascii() {
            return None;
        }
        let path = uri.path_and_query()?.as_str();
        let below = path.strip_prefix(&self.base)?;
        if !(below.is_empty() || below.starts_with(['/', '?'])) || super::path::is_unclear(uri.path()) {
            return None;
        }
        HeaderValue::from_str(&format!("{}{below}", self.path)).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn stands() -> Stands {
        Stands {
            authority: "tx:8080".parse().unwrap(),
            base: "/r4".to_owned(),
            path: "/terminology".to_owned(),
        }
    }

    #[test]
    fn of_a_request_only_what_is_about_its_content_passes() {
        let sent = map(&[
            ("accept", "text/plain"),
            ("range", "bytes=0-1"),
            ("x-lab", "7"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("connection", "close"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-http-method-override", "DELETE"),
            ("expect", "100-continue"),
            ("content-length", "5"),
            ("te", "trailers"),
        ]);
        let passed = asked(&sent, &["x-lab".parse().unwrap()]);
        assert_eq!(passed, map(&[("accept", "text/plain"), ("range", "bytes=0-1"), ("x-lab", "7")]));
    }

    #[test]
    fn of_an_answer_neither_cookies_nor_what_its_connection_names() {
        let said = map(&[
            ("content-type", "text/plain"),
            ("etag", "\"1\""),
            ("set-cookie", "a=b"),
            ("server", "secret/1"),
            ("connection", "keep-alive, ETag"),
            ("content-length", "5"),
            ("cache-control", "max-age=5"),
        ]);
        let plain = answered(said.clone(), false, &[], &stands());
        assert_eq!(plain, map(&[("content-type", "text/plain"), ("cache-control", "max-age=5")]));
        assert_eq!(answered(said, true, &[], &stands())["content-length"], "5");
        let silent = answered(map(&[]), false, &[], &stands());
        assert_eq!(silent, map(&[("cache-control", "no-store")]));
    }

    #[test]
    fn a_location_is_the_callers_own_or_none() {
        let located = |place: &'static str| {
            let said = map(&[("location", place)]);
            let headers = answered(said, false, &[], &stands());
            headers.get("location").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(located("http://tx:8080/r4/CodeSystem/1?a=b").unwrap(), "/terminology/CodeSystem/1?a=b");
        assert_eq!(located("/r4").unwrap(), "/terminology");
        for elsewhere in [
            "http://other/r4/x",
            "http://tx/r4/x",
            "//other/r4/x",
            "/r44/x",
            "/admin",
            "/r4/../admin",
            "/r4/%2e%2e/admin",
            "x",
        ] {
            assert_eq!(located(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_the_gateways_own_can_not_be_let_pass() {
        for name in
            ["authorization", "x-forwarded-proto", "x-http-method", "traceparent", "set-cookie", "proxy-x"]
        {
            assert!(!may_pass(&name.parse().unwrap()), "{name}");
        }
        for name in ["x-lab", "accept-patch", "link"] {
            assert!(may_pass(&name.parse().unwrap()), "{name}");
        }
    }
}
