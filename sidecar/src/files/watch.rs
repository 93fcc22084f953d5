//! Takes up what stands in files when they have changed: all of it or nothing.
//!
//! Files are looked at every so often; what they hold is read off the requests' threads. A set with a fault is told in the
//! log, once for each state of the files, and what was there stays.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch::Receiver;

use super::Fingerprint;
use crate::telemetry::background;

/// Something that stands in files, and that requests work with.
pub(crate) trait Watched: Send + Sync + 'static {
    /// What is read from the files.
    type Set: Send + 'static;
    /// What the log calls it.
    const WHAT: &'static str;
    /// The counter of the times that it was read anew.
    const COUNTER: &'static str;

    /// The files as they were when what holds now was read.
    fn in_use(&self) -> Fingerprint;
    /// The files as they are.
    fn on_disk(&self) -> Fingerprint;
    /// Reads them: a set without fault, or why there is none.
    fn read(&self) -> Result<Self::Set, String>;
    /// Lets a set take the place of the one that holds; gives what changed, for the log.
    fn take_up(&self, set: Self::Set) -> String;
}

/// Watches until `stopping` turns true; never where `every` is zero.
pub(crate) async fn watch<W: Watched>(watched: W, every: Duration, mut stopping: Receiver<bool>) {
    if every.is_zero() {
        return;
    }
    let watched = Arc::new(watched);
    let mut seen = watched.in_use();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let (files, known) = (Arc::clone(&watched), seen.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let now = files.on_disk();
            (now != known).then(|| (now, files.read()))
        });
        let refused = || counter!(W::COUNTER, "result" => "refused").increment(1);
        match reading.await {
            Ok(None) => background::done(Some(every)),
            Ok(Some((now, Ok(set)))) => {
                seen = now;
                let change = watched.take_up(set);
                tracing::info!(what = W::WHAT, change, "read anew");
                background::done(Some(every));
                counter!(W::COUNTER, "result" => "done").increment(1);
            }
            Ok(Some((now, Err(cause)))) => {
                seen = now;
                tracing::error!(what = W::WHAT, cause, "a fault: those that were there stay");
                background::failed(&cause, Some(every));
                refused();
            }
            Err(error) => {
                tracing::error!(what = W::WHAT, %error, "reading ended badly: those that were there stay");
                refused();
            }
        }
    }
}
