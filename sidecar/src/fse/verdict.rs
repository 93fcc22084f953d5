//! What an attempt comes to: a pure decision by status.
//!
//! | the national gateway | the message |
//! |---|---|
//! | 2xx | is done |
//! | no answer; 408, 425, 429, 502, 503, 504 | waits, and so does its route |
//! | another 5xx | waits by itself, for a bounded number of times |
//! | 401, 403, where no caller is told | waits for new tokens: what was refused is who signed, not what |
//! | anything else | is refused: its chain goes on, the operator is told |

use http::StatusCode;

use super::forward::{Answered, Silence};

/// How often a message may be answered with a fault of the gateway's own before it counts as refused.
const MOST_FAULTS: u32 = 10;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is published.
    Done,
    /// It is not, and won't be as it is.
    Refused,
    /// It waits for new tokens.
    NeedsToken,
    /// It waits.
    Waits {
        /// True where the whole route rests.
        route: bool,
        /// True where the attempt may have been taken.
        unsure: bool,
    },
}

/// The verdict on an attempt. `told` where a caller gets the answer, `faults` how often the gateway failed on it before.
pub fn of(outcome: &Result<Answered, Silence>, told: bool, faults: u32) -> Verdict {
    let status = match outcome {
        Ok(answer) => answer.status,
        Err(Silence::Request(_)) => return Verdict::Refused,
        Err(silence) => return Verdict::Waits { route: true, unsure: silence.unsure() },
    };
    match status.as_u16() {
        200..=299 => Verdict::Done,
        408 | 425 | 429 | 503 => Verdict::Waits { route: true, unsure: false },
        502 | 504 => Verdict::Waits { route: true, unsure: true },
        500..=599 if faults < MOST_FAULTS => Verdict::Waits { route: false, unsure: true },
        401 | 403 if !told => Verdict::NeedsToken,
        _ => Verdict::Refused,
    }
}

/// For how long the gateway asks to be left alone, in milliseconds (RFC 9110 §10.2.3, in seconds): an hour at most.
pub fn asked_for(outcome: &Result<Answered, Silence>) -> i64 {
    let Ok(answer) = outcome else { return 0 };
    let busy = matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = answer
        .headers
        .get("retry-after")
        .filter(|_| busy)
        .and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    seconds.unwrap_or_default().clamp(0, 3_600).saturating_mul(1_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answered(status: u16) -> Result<Answered, Silence> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "7".parse().unwrap());
        Ok(Answered { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::new() })
    }

    #[test]
    fn what_concerns_one_message_ends_it_and_what_concerns_all_makes_it_wait() {
        for status in [200, 201] {
            assert_eq!(of(&answered(status), false, 0), Verdict::Done);
        }
        for status in [301, 400, 404, 409, 413, 415, 422] {
            assert_eq!(of(&answered(status), false, 0), Verdict::Refused, "{status}");
        }
        for status in [401, 403] {
            assert_eq!(of(&answered(status), false, 0), Verdict::NeedsToken);
            assert_eq!(of(&answered(status), true, 0), Verdict::Refused);
        }
        for (status, unsure) in [(408, false), (429, false), (503, false), (502, true), (504, true)] {
            assert_eq!(of(&answered(status), true, 99), Verdict::Waits { route: true, unsure }, "{status}");
        }
        assert_eq!(of(&answered(500), false, 9), Verdict::Waits { route: false, unsure: true });
        assert_eq!(of(&answered(500), false, 10), Verdict::Refused);
        let not_sent = Err(Silence::NotSent(String::new()));
        assert_eq!(of(&not_sent, true, 0), Verdict::Waits { route: true, unsure: false });
        assert_eq!(of(&Err(Silence::Slow(1)), true, 0), Verdict::Waits { route: true, unsure: true });
    }

    #[test]
    fn the_gateway_may_ask_for_a_pause() {
        assert_eq!((asked_for(&answered(429)), asked_for(&answered(500))), (7_000, 0));
        assert_eq!(asked_for(&Err(Silence::Slow(1))), 0);
    }
}
