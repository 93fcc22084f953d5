//! How long a step of a request waits for its worker thread.
//!
//! Looked at by an empty task that takes its turn behind all steps that are ready, as the step of an alarm would: at most one
//! each millisecond on a thread, begun when a request comes, so that a gateway at rest does nothing. What it finds decides
//! how many places there are ([`super::giving_way`]). Gauge: `varco_places`, by lane.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::giving_way::{GivingWay, Room};
use crate::listen::workers::{self, Side};

/// The time between two looks on one thread.
const EVERY: Duration = Duration::from_millis(1);

thread_local! {
    /// When this thread may be looked at again.
    static NEXT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What was found, and the places that follow from it.
#[derive(Debug)]
pub(super) struct Lag {
    decides: Mutex<GivingWay>,
    shared: AtomicU32,
    bulk: AtomicU32,
}

impl Lag {
    /// Nothing was found yet.
    pub fn new(decides: GivingWay) -> Arc<Lag> {
        let Room { shared, bulk } = decides.room();
        Arc::new(Lag {
            decides: Mutex::new(decides),
            shared: AtomicU32::new(shared),
            bulk: AtomicU32::new(bulk),
        })
    }

    /// The places that there are now.
    pub fn room(&self) -> Room {
        Room { shared: self.shared.load(Ordering::Relaxed), bulk: self.bulk.load(Ordering::Relaxed) }
    }

    /// Looks at this thread, where that is due. That alarms wait for each other takes nobody's place: there is nothing to look at
    /// on their thread.
    pub fn look(self: &Arc<Lag>) {
        if workers::side() == Side::Alarms {
            return;
        }
        let begun = Instant::now();
        if NEXT.get().is_some_and(|next| next > begun) {
            return;
        }
        NEXT.set(Some(begun + EVERY));
        if let Ok(runtime) = Handle::try_current() {
            let own = self.clone();
            runtime.spawn(async move { own.note(begun, Instant::now()) });
        }
    }

    /// A step that was ready when this `begun` has its turn `now`.
    pub fn note(&self, begun: Instant, now: Instant) {
        let mut decides = match self.decides.try_lock() {
            Ok(decides) => decides,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another thread notes what it found: there will be a next time.
            Err(TryLockError::WouldBlock) => return,
        };
        let room = decides.note(workers::index(), now.saturating_duration_since(begun), now);
        self.shared.store(room.shared, Ordering::Relaxed);
        self.bulk.store(room.bulk, Ordering::Relaxed);
    }
}
