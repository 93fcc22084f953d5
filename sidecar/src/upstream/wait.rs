//! How long the next piece of a body is waited for: for so long since the last one, and for no longer than the whole may take.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::timer::Timer;

/// What lasted too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The silence since the last piece.
    Idle,
    /// The whole.
    Whole,
}

/// The wait for pieces of one body. It reads the clock, and has a timer, only once a piece was not there at once.
#[derive(Debug)]
pub(super) struct Wait {
    idle: Duration,
    deadline: Instant,
    timer: Timer,
    /// Until when the next piece is waited for, where it is.
    until: Option<Instant>,
}

impl Wait {
    /// So long for each piece, and until then for all of them.
    pub fn new(idle: Duration, deadline: Instant) -> Wait {
        Wait { idle, deadline, timer: Timer::default(), until: None }
    }

    /// Another one with the same bounds.
    pub fn anew(&self) -> Wait {
        Wait::new(self.idle, self.deadline)
    }

    /// A piece came: false where it is not the last, and the time for the whole is over.
    pub fn came(&mut self, last: bool) -> bool {
        self.until = None;
        last || Instant::now() < self.deadline
    }

    /// Nothing is there: ready once that has lasted too long.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Over> {
        let (idle, deadline) = (self.idle, self.deadline);
        let until = *self.until.get_or_insert_with(|| (Instant::now() + idle).min(deadline));
        ready!(self.timer.poll(until, context));
        Poll::Ready(if until >= deadline { Over::Whole } else { Over::Idle })
    }
}
