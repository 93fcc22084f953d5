//! What becomes of audit records after they were written: old ones are removed ([`keep`]). Minutes of requests without a
//! known caller become records ([`refused`]).
//!
//! Nothing here is waited for by a request.

pub mod keep;
pub mod refused;

use std::sync::Arc;

use tokio::sync::watch;

use crate::pipeline::Gateway;

/// Starts what the configuration asks for; it ends when `stopping` becomes true.
pub fn start(gateway: &Arc<Gateway>, stopping: &watch::Receiver<bool>) {
    tokio::spawn(refused::watch(gateway.clone(), stopping.clone()));
    if gateway.config().audit.keep.is_some() {
        tokio::spawn(keep::watch(gateway.clone(), stopping.clone()));
    }
}
