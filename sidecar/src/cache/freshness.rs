//! For how long an answer of the hospital's server may stand for itself (RFC 9111 §3 to §5), as this gateway, a shared
//! cache, reads it.
//!
//! Stricter than the RFC: `Expires`, `Pragma` and any `Vary` by what this gateway sends differently mean no; a directive that
//! can't be read means at once stale. Without any word of the server the route's `cache_seconds` hold, and never more.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, ETAG, EXPIRES, PRAGMA, SET_COOKIE, VARY};

/// Fields that this gateway sends the same for the same request.
const ALIKE: &[&str] =
    &["accept", "accept-charset", "accept-encoding", "accept-language", "origin", "prefer", "user-agent"];

/// How long it is fresh, at most `most`; zero where it must be asked about each time; `None` where it must not be kept.
pub(super) fn lifetime(headers: &HeaderMap, most: Duration) -> Option<Duration> {
    if headers.contains_key(SET_COOKIE)
        || !headers.get_all(VARY).iter().all(|own| own.to_str().is_ok_and(varies_alike))
    {
        return None;
    }
    let (mut fresh, mut said) = (most, false);
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let (name, argument) =
                directive.split_once('=').map_or((directive, ""), |(name, own)| (name, own));
            let argument = argument.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "private" => return None,
                "no-cache" => (fresh, said) = (Duration::ZERO, true),
                "max-age" | "s-maxage" => {
                    let seconds = argument.parse().unwrap_or(0);
                    (fresh, said) = (fresh.min(Duration::from_secs(seconds)), true);
                }
                _ => {}
            }
        }
    }
    if !said && (headers.contains_key(EXPIRES) || headers.contains_key(PRAGMA)) {
        return None;
    }
    let age = headers.get(AGE).map_or(Some(0), |own| own.to_str().ok()?.trim().parse().ok());
    let fresh = fresh.saturating_sub(Duration::from_secs(age.unwrap_or(u64::MAX)));
    (!fresh.is_zero() || headers.contains_key(ETAG)).then_some(fresh)
}

fn varies_alike(value: &str) -> bool {
    let names = value.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.into_iter().all(|name| name.is_empty() || ALIKE.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn seconds(fields: &[(&'static str, &'static str)]) -> Option<u64> {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = fields.iter().map(field).collect();
        lifetime(&headers, Duration::from_secs(60)).map(|own| own.as_secs())
    }

    #[test]
    fn the_server_may_shorten_a_life_and_never_lengthen_it() {
        assert_eq!(seconds(&[]), Some(60));
        assert_eq!(seconds(&[("cache-control", "max-age=5")]), Some(5));
        assert_eq!(seconds(&[("cache-control", "public, MAX-AGE=\"5\"")]), Some(5));
        assert_eq!(seconds(&[("cache-control", "max-age=3600")]), Some(60));
        assert_eq!(seconds(&[("cache-control", "max-age=20"), ("age", "15")]), Some(5));
        assert_eq!(seconds(&[("cache-control", "max-age=20, s-maxage=3")]), Some(3));
        assert_eq!(seconds(&[("vary", "Accept, Prefer"), ("etag", "W/\"1\"")]), Some(60));
    }

    #[test]
    fn what_must_not_be_kept_is_not() {
        for never in [
            [("cache-control", "no-store")],
            [("cache-control", "max-age=9, private")],
            [("cache-control", "no-cache")],
            [("cache-control", "max-age=0")],
            [("cache-control", "max-age=soon")],
            [("expires", "0")],
            [("pragma", "no-cache")],
            [("vary", "*")],
            [("vary", "Accept, X-Request-Id")],
            [("set-cookie", "a=b")],
            [("age", "60")],
            [("age", "x")],
        ] {
            assert_eq!(seconds(&never), None, "{never:?}");
        }
        assert_eq!(
            seconds(&[("cache-control", "no-cache"), ("etag", "\"1\"")]),
            Some(0),
            "asked about each time"
        );
        assert_eq!(seconds(&[("cache-control", "no-store"), ("etag", "\"1\"")]), None);
    }
}
