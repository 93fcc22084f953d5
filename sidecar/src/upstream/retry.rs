//! Which requests are made a second time: those that ask and change nothing, after a failure that may be over in a moment.
//!
//! A write is never repeated here, whatever its method: that its answer was lost does not say that it was not done (RFC 9110
//! §9.2.2 permits it for PUT and DELETE; what stands in the audit trail about it would then be one of two). Bounds: two
//! retries a request, the budget ([`super::retry_budget`]), the request's own time.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};

use super::UpstreamError;

/// Most retries of one request.
pub(super) const MOST: u32 = 2;
/// The longest pause before the first retry; each later one may be four times as long.
const PAUSE: Duration = Duration::from_millis(25);

/// True where a request with this method may be made again after such an answer, `made` being the retries so far.
pub(super) fn may_be_repeated(
    method: &Method,
    answer: Result<(StatusCode, &HeaderMap), &UpstreamError>,
    made: u32,
) -> bool {
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let passing = match answer {
        // A server that says when to come again says that now is too early.
        Ok((status, headers)) => is_out_of_order(status) && !headers.contains_key(RETRY_AFTER),
        Err(UpstreamError::Unreachable(_) | UpstreamError::NoHead(_) | UpstreamError::Stalled(_)) => true,
        Err(_) => false,
    };
    safe && passing && made < MOST
}

/// Statuses that say that the server, or its way, is out of order. 500 is not one of them: it may be one request's own.
pub(super) fn is_out_of_order(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// The pause before the next retry: at random, so that requests that failed together do not come back together.
pub(super) fn pause(made: u32, random: u64) -> Duration {
    let longest = PAUSE.saturating_mul(4_u32.saturating_pow(made));
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % micros.saturating_add(1))
}

/// A random number; good enough to spread retries, and for nothing else.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_questions_are_repeated_and_only_after_what_may_pass() {
        let lost = UpstreamError::Unreachable("reset".to_owned());
        let again = |method: &Method, made| may_be_repeated(method, Err(&lost), made);
        let answered = |status, headers: &HeaderMap| {
            may_be_repeated(&Method::GET, Ok((StatusCode::from_u16(status).unwrap_or_default(), headers)), 0)
        };
        let (plain, mut later) = (HeaderMap::new(), HeaderMap::new());
        later.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        assert!(again(&Method::GET, 0) && again(&Method::HEAD, 1) && answered(503, &plain));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert!(!again(&method, 0), "{method}");
        }
        for (status, headers) in [(200, &plain), (404, &plain), (429, &plain), (500, &plain), (503, &later)] {
            assert!(!answered(status, headers), "{status}");
        }
        for error in
            [UpstreamError::Timeout(1), UpstreamError::TooLarge(1), UpstreamError::Busy { seconds: 1 }]
        {
            assert!(!may_be_repeated(&Method::GET, Err(&error), 0));
        }
        assert!(!again(&Method::GET, MOST));
    }

    proptest! {
        #[test]
        fn pauses_are_short(made in 0..MOST, random: u64) {
            prop_assert!(pause(made, random) <= PAUSE * 4_u32.pow(made));
        }
    }
}
