//! A guest's turns: it computes for a slice, gives its thread back, and goes on when what waited there had its turn.
//!
//! A worker thread drives many connections, and a guest that computed to its deadline at one go would hold them all up. The
//! first turn lasts one to two ticks of the epoch, so that a call of less than a tick never leaves its thread; later turns last
//! one at most. Between any two turns on a thread the thread looks at its sockets: guests stand in a line there.
//!
//! The deadline is time in turns: what a guest waits for others is not its fault, and would end in a quarantine that
//! it doesn't deserve whenever the machine is busy. What a call takes in all is bounded by [`PATIENCE`].

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::yield_now,
    time::timeout,
};
use wasmtime::{StoreContextMut, UpdateDeadline};

use crate::{call::CallState, plugin::Identity};

/// Ticks of the first turn, of which the first has begun already.
pub const FIRST: u64 = 2;
/// Ticks of each later turn.
const LATER: u64 = 1;
/// The longest that a call may take with all its waiting. Longer than any deadline.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest wait in a line, should the one in front be left where it stands.
const LINE: Duration = Duration::from_millis(200);

thread_local! {
    /// The line of the guests that go on, on this thread.
    static IN_FRONT: Arc<Semaphore> = Arc::new(Semaphore::new(1));
}

/// The turns of one call.
#[derive(Debug)]
pub struct Turns {
    begun: Instant,
    deadline: Duration,
    spent: Duration,
    /// None in the first turn.
    later: Option<Arc<Later>>,
}

/// What a guest in a later turn shares with what gave it the turn.
#[derive(Debug)]
struct Later {
    plugin: Arc<Identity>,
    /// When the turn began, in nanoseconds since the call's beginning.
    since: AtomicU64,
    in_front: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turns {
    /// Of a call that began then and may compute for so long.
    pub fn new(begun: Instant, deadline: Duration) -> Self {
        Self { begun, deadline, spent: Duration::ZERO, later: None }
    }
}

/// A turn ends: by a pause, or with the call.
pub fn ended(mut store: StoreContextMut<'_, CallState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    state.plugin.engine.used();
    let turns = &mut state.turns;
    let (begun, now) = (turns.begun, turns.begun.elapsed());
    let since = turns.later.as_ref().map_or(Duration::ZERO, |later| later.ended());
    turns.spent = turns.spent.saturating_add(now.saturating_sub(since));
    if turns.spent >= turns.deadline || now >= PATIENCE {
        return Ok(UpdateDeadline::Interrupt);
    }
    state.plugin.standing.tally.paused();
    let later = turns.later.get_or_insert_with(|| Arc::new(Later::new(&state.plugin))).clone();
    let pause = async move {
        let in_front = come_to_the_front().await;
        // Who stands in front lets the thread look at its sockets first.
        yield_now().await;
        later.began(begun.elapsed(), in_front);
    };
    Ok(UpdateDeadline::YieldCustom(LATER, Box::pin(pause)))
}

async fn come_to_the_front() -> Option<OwnedSemaphorePermit> {
    let line = IN_FRONT.with(Arc::clone);
    match line.clone().try_acquire_owned() {
        Ok(permit) => Some(permit),
        Err(_) => timeout(LINE, line.acquire_owned()).await.ok()?.ok(),
    }
}

impl Later {
    fn new(plugin: &Arc<Identity>) -> Self {
        plugin.standing.tally.pausing(1.0);
        Self { plugin: plugin.clone(), since: AtomicU64::new(0), in_front: Mutex::default() }
    }

    fn began(&self, since: Duration, in_front: Option<OwnedSemaphorePermit>) {
        self.since.store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        *self.in_front.lock().unwrap_or_else(PoisonError::into_inner) = in_front;
    }

    /// When the turn that ends now began.
    fn ended(&self) -> Duration {
        drop(self.in_front.lock().unwrap_or_else(PoisonError::into_inner).take());
        Duration::from_nanos(self.since.load(Ordering::Relaxed))
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        self.plugin.standing.tally.pausing(-1.0);
    }
}
