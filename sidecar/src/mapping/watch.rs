//! Takes up maps whose files have changed: all of them or none.
//!
//! Files are looked at every `mapping.reload_seconds`; a set is read and compiled off the requests' threads. One with a
//! fault is told in the log, once for each state of the files, and the maps that were there stay.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch::Receiver;

use super::{MapSet, Maps, files};
use crate::config::Config;

/// Watches until `stopping` turns true.
pub async fn watch(maps: Arc<Maps>, config: Config, mut stopping: Receiver<bool>) {
    let every = Duration::from_secs(config.mapping.reload_seconds);
    if every.is_zero() || config.mapping.maps.is_empty() {
        return;
    }
    let config = Arc::new(config);
    let mut seen = maps.fingerprint();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let (paths, known) = (Arc::clone(&config), seen.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let now = files::fingerprint(&paths.mapping.maps);
            (now != known).then(|| (now, MapSet::load(&paths)))
        });
        match reading.await {
            Ok(None) => {}
            Ok(Some((now, Ok(set)))) => {
                seen = now;
                tracing::info!(maps = set.len(), "the maps were read anew");
                counter!("varco_map_reloads_total", "result" => "done").increment(1);
                maps.replace(set);
            }
            Ok(Some((now, Err(error)))) => {
                seen = now;
                tracing::error!(cause = %error, "the maps have a fault: those that were there stay");
                counter!("varco_map_reloads_total", "result" => "refused").increment(1);
            }
            Err(error) => {
                tracing::error!(%error, "reading the maps ended badly: those that were there stay");
                counter!("varco_map_reloads_total", "result" => "refused").increment(1);
            }
        }
    }
}
