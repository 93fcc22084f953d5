//! One process follows another, and no request is lost: the new one gets the listening sockets and what the old one alone
//! knows, is ready, and only then does the old one take no more connections ([`wire`] has the exchange).
//!
//! Invariants:
//! 1. At any time at least one process takes connections: those that arrive in between wait in the socket.
//! 2. Both write to the store meanwhile. Each write asks for the trail's end within its own transaction, so the chain of audit
//!    records is one; work beside requests is done by one process at a time.
//! 3. If the new process fails before it is ready, the old one goes on; if the old one dies, the new one goes on alone.
//!
//! Bounds: the times below. Metric: `varco_handoffs_total`, by result.

mod give;
mod overlap;
mod take;
mod wire;

use std::io;
use std::time::Duration;

pub use give::{Giver, Offer};
pub use overlap::Overlap;
pub use take::{Said, Taken};
pub use wire::Bequest;

/// The version of the exchange.
const VERSION: u32 = 1;
/// Time for a message that only has to be written.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// Time for a new process to start: definitions, plugins, keys.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Longest time that an old process may take to end: its rest and its drain are shorter.
const REST_AND_DRAIN: Duration = Duration::from_secs(900);

fn failed(cause: impl Into<String>) -> io::Error {
    io::Error::other(cause.into())
}
