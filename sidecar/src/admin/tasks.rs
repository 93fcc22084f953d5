//! `/tasks`: what is under way at this moment. Ids, times, stages and the callers' applications; nothing of a patient.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::telemetry::reporting::Tasks;

/// The requests, the longest under way first, and the tasks beside them.
pub(super) fn told(tasks: &Tasks) -> Value {
    let now = Timestamp::now();
    let requests = tasks.requests.seen().into_iter().map(|seen| {
        let since = SignedDuration::try_from(seen.since).ok().and_then(|since| now.checked_sub(since).ok());
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "id": seen.id.to_string(),
            "since": since.map(|since| format!("{since:.3}")),
            "seconds": seen.since.as_secs_f64(),
            "stage": seen.stage.name(),
            "interaction": known(seen.interaction),
            "client": known(&seen.client),
        })
    });
    json!({
        "requests": requests.collect::<Vec<Value>>(),
        "requests_not_shown": tasks.requests.untold(),
        "background": tasks.background.told(),
    })
}
