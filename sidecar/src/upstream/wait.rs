//! How long the next piece of a body is waited for: for so long since the last one, and for no longer than the whole may take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// What lasted too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The silence since the last piece.
    Idle,
    /// The whole.
    Whole,
}

/// The wait for pieces of one body. It has a timer only once a piece was not there at once.
#[derive(Debug)]
pub(super) struct Wait {
    idle: Duration,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Wait {
    /// So long for each piece, and until then for all of them.
    pub fn new(idle: Duration, deadline: Instant) -> Wait {
        Wait { idle, deadline, timer: None, waits: false }
    }

    /// Another one with the same bounds.
    pub fn anew(&self) -> Wait {
        Wait::new(self.idle, self.deadline)
    }

    /// A piece came: false where the time for the whole is over.
    pub fn came(&mut self) -> bool {
        self.waits = false;
        Instant::now() < self.deadline
    }

    /// Nothing is there: ready once that has lasted too long.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Over> {
        let until = |now: Instant| (now + self.idle).min(self.deadline);
        let timer = match &mut self.timer {
            Some(timer) => {
                if !self.waits {
                    timer.as_mut().reset(until(Instant::now()));
                }
                timer
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(until(Instant::now())))),
        };
        self.waits = true;
        ready!(timer.as_mut().poll(context));
        Poll::Ready(if timer.deadline() >= self.deadline { Over::Whole } else { Over::Idle })
    }
}
