//! `/outbox`: what waits for the national gateway, and what an operator does about it.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use super::answer;
use crate::fse::{Operated, Operation};
use crate::pipeline::Gateway;

/// What waits, and what ended without being published.
pub(super) fn show(gateway: &Gateway) -> Response<Full<Bytes>> {
    match gateway.publication().map(|plane| plane.listing()) {
        None => none(),
        Some(Ok(listing)) => answer(StatusCode::OK, "application/json", format!("{listing}\n")),
        Some(Err(error)) => answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{error}\n")),
    }
}

/// Sends a message at once, or no more.
pub(super) async fn operate(gateway: &Gateway, id: &str, operation: Operation) -> Response<Full<Bytes>> {
    let Some(plane) = gateway.publication() else { return none() };
    let (status, text) = match plane.operate(id, operation).await {
        Ok(Operated::Done) => (StatusCode::OK, "done".to_owned()),
        Ok(Operated::Unknown) => (StatusCode::NOT_FOUND, "no message of this id waits".to_owned()),
        Ok(Operated::UnderWay) => (StatusCode::CONFLICT, "it is being sent this moment".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    answer(status, "text/plain", format!("{text}\n"))
}

fn none() -> Response<Full<Bytes>> {
    answer(StatusCode::NOT_FOUND, "text/plain", "no [publication] is configured\n")
}
