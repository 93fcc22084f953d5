//! What is told of one request or message while it is under way: its place in `/tasks` and, where it is traced, its spans.

use std::sync::Arc;

use super::calls::Calls;
use super::spans::{Entered, Spans};
use super::stage::Stage;
use super::under_way::Ticket;

/// A stage that was entered and is to be left.
#[derive(Debug)]
#[must_use = "a stage that is not left lasts until the request ends"]
pub struct Within {
    before: Stage,
    /// Its span.
    pub entered: Entered,
}

/// Where a message stands.
#[derive(Debug, Default)]
pub struct Course {
    /// Its spans, where it is traced.
    pub spans: Option<Box<Spans>>,
    /// Its place among what is under way.
    pub ticket: Option<Ticket>,
    /// What it is, once that is understood: nothing that was merely claimed.
    pub kind: Option<String>,
}

impl Course {
    /// A stage begins.
    pub fn enter(&mut self, stage: Stage) -> Within {
        enter(self.ticket.as_ref(), self.spans.as_deref_mut(), stage)
    }

    /// It ends, and with it what began inside of it.
    pub fn leave(&mut self, within: &Within) {
        leave(self.ticket.as_ref(), self.spans.as_deref_mut(), within);
    }

    /// Where calls are gathered that are made side by side in the stage that is open.
    pub fn calls(&self) -> Option<Arc<Calls>> {
        self.spans.as_ref().map(|spans| Arc::new(spans.beside()))
    }

    /// Takes up what was gathered.
    pub fn made(&mut self, calls: Option<Arc<Calls>>) {
        if let (Some(spans), Some(calls)) = (&mut self.spans, calls) {
            spans.take_up(&calls);
        }
    }
}

/// A stage begins, for whoever keeps place and spans himself.
pub fn enter(ticket: Option<&Ticket>, spans: Option<&mut Spans>, stage: Stage) -> Within {
    let before = ticket.map_or(Stage::Arrived, |ticket| ticket.stage(stage));
    Within { before, entered: spans.map_or(Entered::NOTHING, |spans| spans.enter(stage)) }
}

/// It ends.
pub fn leave(ticket: Option<&Ticket>, spans: Option<&mut Spans>, within: &Within) {
    if let Some(ticket) = ticket {
        ticket.stage(within.before);
    }
    if let Some(spans) = spans {
        spans.leave(&within.entered);
    }
}
