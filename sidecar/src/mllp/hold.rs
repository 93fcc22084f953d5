//! A sender that sends faster than it may is slowed down: its next message is taken up when its turn in time has come, and what
//! it sends meanwhile stays in its own queue.
//!
//! A refusal would be the wrong answer here. A sender of HL7 v2 sends one message, waits for its acknowledgment and keeps the rest
//! in a queue of its own (HL7 v2.5.1 §2.9.2); what is answered `AE` or `AR` many of them set aside for a person to look
//! at, or skip, and with it the order is gone. An acknowledgment that comes later costs nothing: nothing is lost, nothing
//! overtakes. So it is with the places that messages share with requests ([`crate::limit::Lanes`]).
//!
//! Bound: [`PATIENCE`], since senders give up waiting; then, and where the day's quota is used up, the answer is "send it again
//! later" (`AR`, `CE`). Metric: `varco_mllp_held_total`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Counter, counter};
use tokio::time::{Instant, sleep};

use super::fault::Fault;
use crate::config::MllpSender;
use crate::limit::{Pace, Place, QuotaBook};
use crate::pipeline::Gateway;

/// Longest time that a message is held back.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for a place.
const LOOK: Duration = Duration::from_millis(20);

/// What one sender may send.
pub(super) struct Hold {
    pace: Pace,
    held: Counter,
}

impl Hold {
    /// As its settings say.
    pub fn new(sender: &MllpSender, quotas: Arc<QuotaBook>) -> Hold {
        let held = counter!("varco_mllp_held_total", "sender" => sender.name.clone());
        Hold { pace: Pace::new("mllp".to_owned(), &sender.limits, quotas), held }
    }

    /// Waits until the sender's next message may be worked on; gives its place.
    pub async fn wait(&self, sender: &MllpSender, gateway: &Gateway) -> Result<Place, Fault> {
        let until = Instant::now() + PATIENCE;
        let mut held = false;
        let mut hold = async |wait: Duration| {
            if !std::mem::replace(&mut held, true) {
                self.held.increment(1);
            }
            sleep(wait).await;
        };
        while let Err(wait) = self.pace.ready_after(&sender.name) {
            if Instant::now() + wait > until {
                return Err(Fault::too_fast());
            }
            hold(wait).await;
        }
        self.pace
            .count_day(&sender.name, Timestamp::now())
            .map_err(|exceeded| Fault::quota(exceeded.policy.most, exceeded.retry_after))?;
        loop {
            match gateway.place_for_feed(sender.lane) {
                Some(place) => return Ok(place),
                None if Instant::now() > until => return Err(Fault::busy()),
                None => hold(LOOK).await,
            }
        }
    }
}
