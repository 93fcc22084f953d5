//! A minute of requests without a known caller becomes records once it is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::pipeline::Gateway;
use crate::store::{ClosedMinutes, StoreError};
use crate::telemetry::background;

/// How often it is looked whether a minute is over.
const EVERY: Duration = Duration::from_secs(5);
/// How long a request of the minute before may take to be counted.
const GRACE: i64 = 5;

/// Makes records of minutes that are over, until `stopping` becomes true.
pub async fn watch(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    loop {
        match close(&gateway, Timestamp::now()).await {
            Ok(()) => background::done(Some(EVERY)),
            Err(error) => {
                background::failed(&error.to_string(), Some(EVERY));
                tracing::error!(%error, "requests without a known caller stay counted and are recorded later");
            }
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn close(gateway: &Gateway, at: Timestamp) -> Result<(), StoreError> {
    let before = at.as_second().saturating_sub(GRACE).div_euclid(60);
    while gateway.store().has_refused(before)? {
        let recorder = gateway.config().site.recorder();
        gateway.store().close_refused(ClosedMinutes { before, at, recorder }).await?;
    }
    Ok(())
}
