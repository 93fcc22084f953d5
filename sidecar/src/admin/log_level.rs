//! `/log-level`: the level of the log, read by GET, changed by PUT with the word as its body. It holds until it is changed again, by
//! this or by another `log.level` in the configuration, or until the sidecar ends.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, Limited};

use crate::config::Level;
use crate::listen::Coming;
use crate::telemetry;

/// Longest body, in bytes.
const MOST: usize = 64;
/// Time for the body.
const WITHIN: Duration = Duration::from_secs(5);

/// The level, as a line.
pub(super) fn show() -> (StatusCode, String) {
    match telemetry::level() {
        Some(level) => (StatusCode::OK, format!("{level}\n")),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no log is open\n".to_owned()),
    }
}

/// Changes it to what the body says.
pub(super) async fn change(body: Coming) -> (StatusCode, String) {
    let read = tokio::time::timeout(WITHIN, Limited::new(body, MOST).collect()).await;
    let bytes = match read {
        Ok(Ok(body)) => body.to_bytes(),
        _ => return (StatusCode::BAD_REQUEST, "the body did not arrive, or is too long\n".to_owned()),
    };
    let level = match bytes.trim_ascii() {
        b"error" => Level::Error,
        b"warn" => Level::Warn,
        b"info" => Level::Info,
        b"debug" => Level::Debug,
        _ => return (StatusCode::BAD_REQUEST, "write error, warn, info or debug\n".to_owned()),
    };
    let before = telemetry::level().unwrap_or("unknown");
    telemetry::set_level(level);
    let (status, now) = show();
    if status == StatusCode::OK {
        tracing::warn!(before, now = now.trim(), "the level of the log was changed at the operator's port");
    }
    (status, now)
}
