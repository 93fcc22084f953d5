//! What a caller is told of its limits: `Retry-After`, and the fields `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-10) in the syntax of RFC 9651.
//!
//! A bucket that holds `q` requests and is filled again in `w` seconds is told as `"name";q=100;w=2`, what is left of it as
//! `"name";r=40;t=1`, where `t` is the time until it is full. Told are only limits that the caller has for itself: what is
//! left of a bucket that it shares would tell what others do.

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};

/// The limits' fields, in lower case.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The name of its rule: of letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// How many requests it holds.
    pub most: u64,
    /// In how many seconds it is filled again; `None` for what is bounded at a time.
    pub seconds: Option<u64>,
}

impl Policy {
    fn written(&self) -> String {
        let Policy { name, most, seconds } = self;
        match seconds {
            Some(seconds) => format!("\"{name}\";q={most};w={seconds}"),
            None => format!("\"{name}\";q={most};qu=\"concurrent-requests\""),
        }
    }
}

/// A limit and what is left of it for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub policy: Policy,
    /// How many requests may still come.
    pub left: u64,
    /// In how many seconds it is whole again.
    pub resets: u64,
}

/// A request above a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// The limit.
    pub policy: Policy,
    /// After how many seconds the caller should come again, from 1.
    pub retry_after: u64,
}

impl Exceeded {
    /// The fields that go with the refusal.
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let left = format!("\"{}\";r=0;t={}", self.policy.name, self.retry_after);
        let texts = [(POLICY, self.policy.written()), (LEFT, left)];
        let texts =
            texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)));
        std::iter::once((RETRY_AFTER, HeaderValue::from(self.retry_after))).chain(texts).collect()
    }
}

/// The fields that go with an answer: one member for each limit.
pub fn headers(standings: &[Standing]) -> Vec<(HeaderName, HeaderValue)> {
    if standings.is_empty() {
        return Vec::new();
    }
    let left = |own: &Standing| format!("\"{}\";r={};t={}", own.policy.name, own.left, own.resets);
    let policies: Vec<String> = standings.iter().map(|own| own.policy.written()).collect();
    let left: Vec<String> = standings.iter().map(left).collect();
    let texts = [(POLICY, policies.join(", ")), (LEFT, left.join(", "))];
    texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_in_the_drafts_words() {
        let rate = Policy { name: "client".to_owned(), most: 100, seconds: Some(2) };
        let day = Policy { name: "day".to_owned(), most: 10_000, seconds: Some(86_400) };
        let told = headers(&[
            Standing { policy: rate.clone(), left: 40, resets: 1 },
            Standing { policy: day, left: 9_999, resets: 3_600 },
        ]);
        let text = |at: usize| (told[at].0.as_str().to_owned(), told[at].1.to_str().unwrap().to_owned());
        assert_eq!(
            text(0),
            ("ratelimit-policy".into(), r#""client";q=100;w=2, "day";q=10000;w=86400"#.into())
        );
        assert_eq!(text(1), ("ratelimit".into(), r#""client";r=40;t=1, "day";r=9999;t=3600"#.into()));
        let refused = Exceeded { policy: rate, retry_after: 3 }.headers();
        let refused: Vec<_> = refused.iter().map(|(_, value)| value.to_str().unwrap()).collect();
        assert_eq!(refused, ["3", r#""client";q=100;w=2"#, r#""client";r=0;t=3"#]);
        assert!(headers(&[]).is_empty());
    }
}
