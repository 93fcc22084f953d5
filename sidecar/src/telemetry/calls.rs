//! Calls that a request makes side by side, from tasks of their own: gathered here, and put among its spans when they are over.
//!
//! Bound: as many as a request has stages ([`super::spans::MOST`]); the rest is counted. A call that was given up has no end and is
//! not told of. Only a traced request has this.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::spans::{Call, MOST};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub begins: u64,
    pub ends: u64,
    pub call: Call,
}

/// The calls of one stage.
#[derive(Debug)]
pub struct Calls {
    /// The stage that they are part of.
    pub(super) inside: Option<usize>,
    clock: Instant,
    made: Mutex<(Vec<Made>, u32)>,
}

impl Calls {
    pub(super) fn new(inside: Option<usize>, clock: Instant) -> Calls {
        Calls { inside, clock, made: Mutex::default() }
    }

    /// A call that ended now. `template` is its path with nothing in it of what was asked.
    pub fn ended(&self, began: Instant, method: &'static str, template: &str, status: Option<u16>) {
        let nanos = |at: Instant| u64::try_from(at.duration_since(self.clock).as_nanos()).unwrap_or(u64::MAX);
        let call = Call { method, template: template.to_owned(), status };
        let mut made = self.lock();
        if made.0.len() < MOST {
            made.0.push(Made { begins: nanos(began), ends: nanos(Instant::now()), call });
        } else {
            made.1 = made.1.saturating_add(1);
        }
    }

    /// What was gathered, and how many calls more there were.
    pub(super) fn take(&self) -> (Vec<Made>, u32) {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Made>, u32)> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
