//! Errors of this gateway's own on the publication plane (RFC 7807, regional-middleware model §6): `mw/io_error` 504 where the
//! national gateway can't be reached, `mw/internal_error` 500, `mw/*` 4xx for the rest.
//!
//! Invariant: an error of the national gateway is never one of these, and never gets anything of them.

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::limit::Exceeded;

/// What became of a message that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk under this id, and is sent as soon as that is possible.
    Waits(String),
    /// There is no place for it: it must be sent again.
    NoPlace,
    /// It publishes nothing, so nothing is kept.
    NotNeeded,
}

/// An error of the middleware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The national gateway gave no answer.
    Unreachable(Kept),
    /// An earlier message about the same document waits for new tokens; this one waits behind it, under this id.
    Behind(String),
    /// Something here failed.
    Internal,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// Too many messages at once.
    Busy,
    /// More than the caller may send at a time or in a second.
    Rate(Box<Exceeded>),
    /// More than it may send in a day.
    Quota(Box<Exceeded>),
    /// The request can be read in two ways.
    Framing(&'static str),
    /// The path leads out of the route.
    Path,
    /// The body did not come in time.
    Slow,
    /// The body ended too early.
    Broken,
    /// Nobody says who calls.
    Unknown,
    /// The caller is not one of those who may.
    NotAdmitted,
}

impl Problem {
    /// `type`, `title` and status.
    pub fn row(&self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Problem::Unreachable(_) => {
                ("mw/io_error", "Errore comunicazione con GTW nazionale", StatusCode::GATEWAY_TIMEOUT)
            }
            Problem::Internal => ("mw/internal_error", "Errore Interno", StatusCode::INTERNAL_SERVER_ERROR),
            Problem::Behind(_) => {
                ("mw/earlier_message_waits", "An earlier message waits", StatusCode::CONFLICT)
            }
            Problem::TooLarge(_) => {
                ("mw/payload_too_large", "The message is too large", StatusCode::PAYLOAD_TOO_LARGE)
            }
            Problem::Busy | Problem::Rate(_) => {
                ("mw/too_many_requests", "Too many messages", StatusCode::TOO_MANY_REQUESTS)
            }
            Problem::Quota(_) => {
                ("mw/limit_exceeded", "The day's quota is used up", StatusCode::TOO_MANY_REQUESTS)
            }
            Problem::Framing(_) => ("mw/framing", "The request is not clear", StatusCode::BAD_REQUEST),
            Problem::Path => ("mw/path", "There is no such path", StatusCode::BAD_REQUEST),
            Problem::Slow => ("mw/body_timeout", "The message came too slowly", StatusCode::REQUEST_TIMEOUT),
            Problem::Broken => ("mw/body_incomplete", "The message broke off", StatusCode::BAD_REQUEST),
            Problem::Unknown => ("mw/unauthorized", "The caller is not known", StatusCode::UNAUTHORIZED),
            Problem::NotAdmitted => ("mw/not_admitted", "The caller may not publish", StatusCode::FORBIDDEN),
        }
    }

    fn detail(&self) -> String {
        match self {
            Problem::Unreachable(Kept::Waits(id)) => format!(
                "The national gateway gave no answer. The message is kept as {id} and is sent in its order once the gateway \
                 answers; sending it again does not publish it twice, and brings new tokens where the old ones have ended."
            ),
            Problem::Unreachable(Kept::NoPlace) => {
                "The national gateway gave no answer, and there is no place to keep the message: send it again.".to_owned()
            }
            Problem::Unreachable(Kept::NotNeeded) => {
                "The national gateway gave no answer. Nothing was kept: send the message again.".to_owned()
            }
            Problem::Behind(id) => format!(
                "An earlier message about this document waits for new tokens: send that one again. This one is kept as {id} \
                 and follows it."
            ),
            Problem::Internal => "The gateway failed; the operator has the cause.".to_owned(),
            Problem::TooLarge(most) => format!("The message is larger than {most} bytes."),
            Problem::Busy => "Too many messages are being forwarded; send it again in a few seconds.".to_owned(),
            Problem::Rate(exceeded) => format!(
                "This application sends more than it may: nothing was forwarded or kept, send it again in {} s.",
                exceeded.retry_after
            ),
            Problem::Quota(exceeded) => format!(
                "This application may send {} messages a day, and has: nothing was forwarded or kept, send it again in {} s.",
                exceeded.policy.most, exceeded.retry_after
            ),
            Problem::Framing(what) => format!("The request is refused: {what}."),
            Problem::Path => "The path leads out of the national gateway's interface.".to_owned(),
            Problem::Slow => "The message did not arrive in time.".to_owned(),
            Problem::Broken => "The message ended before its end.".to_owned(),
            Problem::Unknown => "This gateway wants to know who calls; the operator has the cause.".to_owned(),
            Problem::NotAdmitted => {
                "The caller is not among those who may publish here; the operator has the cause.".to_owned()
            }
        }
    }

    /// The id of the message that it speaks of, where it is kept.
    pub fn kept(&self) -> Option<&str> {
        match self {
            Problem::Unreachable(Kept::Waits(id)) | Problem::Behind(id) => Some(id),
            _ => None,
        }
    }

    /// The fields that tell of limits, and when to come again.
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Problem::Rate(exceeded) | Problem::Quota(exceeded) => exceeded.headers(),
            Problem::Busy => vec![(RETRY_AFTER, HeaderValue::from_static("5"))],
            _ => Vec::new(),
        }
    }

    /// True where the cause lies with this installation or beyond it, not with the caller.
    pub fn is_operational(&self) -> bool {
        self.row().2.is_server_error()
    }

    /// The body of an `application/problem+json` answer. `traceID` and `spanID` stand in every error of the national
    /// gateway, so that callers look for them.
    pub fn to_json(&self, trace: &str, span: &str) -> Vec<u8> {
        let (kind, title, status) = self.row();
        let instance = match self.kept() {
            Some(id) => Value::from(format!("mw/outbox/{id}")),
            None => Value::from(kind),
        };
        let body = json!({
            "traceID": trace, "spanID": span, "type": kind, "title": title, "status": status.as_u16(),
            "detail": self.detail(), "instance": instance,
        });
        body.to_string().into_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::limit::Policy;

    fn exceeded(name: &str, retry_after: u64) -> Box<Exceeded> {
        let policy = Policy { name: name.to_owned(), most: 9, seconds: Some(60) };
        Box::new(Exceeded { policy, retry_after })
    }

    #[test]
    fn both_limits_are_told_apart_and_say_when_to_come_again() {
        let (rate, quota) = (Problem::Rate(exceeded("client", 3)), Problem::Quota(exceeded("day", 60)));
        assert_ne!(rate.row().0, quota.row().0);
        for (problem, expected) in [(rate, "3"), (quota, "60"), (Problem::Busy, "5")] {
            let headers = problem.headers();
            assert!(headers.iter().any(|(name, value)| *name == RETRY_AFTER && value == expected));
        }
        assert!(Problem::Path.headers().is_empty());
    }

    fn all() -> Vec<Problem> {
        vec![
            Problem::Unreachable(Kept::Waits("7".to_owned())),
            Problem::Unreachable(Kept::NoPlace),
            Problem::Unreachable(Kept::NotNeeded),
            Problem::Behind("7".to_owned()),
            Problem::Internal,
            Problem::TooLarge(1),
            Problem::Busy,
            Problem::Rate(exceeded("client", 3)),
            Problem::Quota(exceeded("day", 60)),
            Problem::Framing("x"),
            Problem::Path,
            Problem::Slow,
            Problem::Broken,
            Problem::Unknown,
            Problem::NotAdmitted,
        ]
    }

    #[test]
    fn each_error_has_the_status_that_its_type_is_bound_to() {
        for problem in all() {
            let (kind, _, status) = problem.row();
            let bound = match kind {
                "mw/io_error" => status == StatusCode::GATEWAY_TIMEOUT,
                "mw/internal_error" => status == StatusCode::INTERNAL_SERVER_ERROR,
                other => other.starts_with("mw/") && status.is_client_error(),
            };
            assert!(bound, "{kind} {status}");
            let body: Value = serde_json::from_slice(&problem.to_json("t", "s")).unwrap();
            assert_eq!((&body["type"], &body["status"]), (&json!(kind), &json!(status.as_u16())));
            assert!(
                ["title", "detail", "instance", "traceID"].iter().all(|name| body[*name].is_string()),
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_says_what_became_of_the_message() {
        let body = Problem::Unreachable(Kept::Waits("42".to_owned())).to_json("t", "s");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["instance"], "mw/outbox/42");
        assert_eq!(body["title"], "Errore comunicazione con GTW nazionale");
        assert!(body["detail"].as_str().unwrap().contains("kept as 42"));
    }
}
