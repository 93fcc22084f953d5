//! Records checked side by side, their results taken in the order of the input.
//!
//! Records are gathered into batches, and batches go to the threads in turn; results are taken back in the same
//! turn. No more than two batches a thread are under way, so that memory is bounded by them and by the longest
//! record. The first batch of a small input is checked where it stands: no thread is started for it.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use fhir_models::document::Tape;

use super::checker::{Checked, Checker};
use super::input::Record;

/// A batch is full with so many records or bytes.
const RECORDS: usize = 64;
const BYTES: usize = 1 << 18;
/// Most batches that wait for or come from one thread.
const WAITING: usize = 2;

/// A record whose text stands in its batch.
#[derive(Debug)]
struct Kept {
    /// The number of its input.
    input: usize,
    text: Range<usize>,
    line: usize,
    of_many: bool,
    byte_order_mark: bool,
    read: usize,
}

/// Records under way, and what was found in them.
#[derive(Debug, Default)]
struct Batch {
    texts: Vec<u8>,
    records: Vec<Kept>,
    checked: Vec<Checked>,
}

impl Batch {
    fn add(&mut self, input: usize, record: &Record<'_>) {
        let start = self.texts.len();
        self.texts.extend_from_slice(record.text);
        self.records.push(Kept {
            input,
            text: start..self.texts.len(),
            line: record.line,
            of_many: record.of_many,
            byte_order_mark: record.byte_order_mark,
            read: record.read,
        });
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS || self.texts.len() >= BYTES
    }

    fn record(&self, kept: &Kept) -> Record<'_> {
        Record {
            text: self.texts.get(kept.text.clone()).unwrap_or_default(),
            line: kept.line,
            of_many: kept.of_many,
            byte_order_mark: kept.byte_order_mark,
            read: kept.read,
        }
    }

    fn check(&mut self, checker: &Checker, tape: &mut Tape) {
        self.checked =
            self.records.iter().map(|kept| checker.check(tape, &self.record(kept), None)).collect();
    }

    fn give(mut self, take: Taker<'_>) {
        let checked = std::mem::take(&mut self.checked);
        for (kept, checked) in self.records.iter().zip(checked) {
            take(kept.input, &self.record(kept), checked);
        }
    }
}

/// Takes the number of an input, a record of it and what was found there.
pub(super) type Taker<'t> = &'t mut dyn FnMut(usize, &Record<'_>, Checked);

/// The threads.
pub(super) struct Lanes<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    checker: Arc<Checker>,
    most: usize,
    tape: Tape,
    lanes: Vec<(SyncSender<Batch>, Receiver<Batch>)>,
    /// Lanes that have a batch, the oldest first.
    busy: VecDeque<usize>,
    next: usize,
    filling: Batch,
}

impl<'scope, 'env> Lanes<'scope, 'env> {
    /// At most so many threads.
    pub fn new(scope: &'scope Scope<'scope, 'env>, checker: Arc<Checker>, most: NonZeroUsize) -> Self {
        Lanes {
            scope,
            checker,
            most: most.get(),
            tape: Tape::new(),
            lanes: Vec::new(),
            busy: VecDeque::new(),
            next: 0,
            filling: Batch::default(),
        }
    }

    /// Adds a record; gives out what is done.
    pub fn add(&mut self, input: usize, record: &Record<'_>, take: Taker<'_>) {
        if self.most == 1 {
            let checked = self.checker.check(&mut self.tape, record, None);
            return take(input, record, checked);
        }
        self.filling.add(input, record);
        if self.filling.is_full() {
            self.send(take);
        }
    }

    /// Waits until everything is done and gives it out.
    pub fn finish(&mut self, take: Taker<'_>) {
        if self.lanes.is_empty() {
            let mut batch = std::mem::take(&mut self.filling);
            batch.check(&self.checker, &mut self.tape);
            return batch.give(take);
        }
        self.send(take);
        while !self.busy.is_empty() {
            self.receive(take);
        }
    }

    fn send(&mut self, take: Taker<'_>) {
        if self.lanes.len() < self.most {
            self.open();
        }
        if self.busy.len() >= self.lanes.len() * WAITING {
            self.receive(take);
        }
        let batch = std::mem::take(&mut self.filling);
        if let Some((lane, _)) = self.lanes.get(self.next) {
            // A thread that is gone has panicked, which ends the run when the threads are joined.
            if lane.send(batch).is_ok() {
                self.busy.push_back(self.next);
            }
        }
        self.next = (self.next + 1) % self.lanes.len();
    }

    fn receive(&mut self, take: Taker<'_>) {
        let done = self.busy.pop_front().and_then(|lane| self.lanes.get(lane)).map(|(_, done)| done.recv());
        if let Some(Ok(batch)) = done {
            batch.give(take);
        }
    }

    fn open(&mut self) {
        let (to, batches) = sync_channel::<Batch>(WAITING);
        let (done, from) = sync_channel(WAITING);
        let checker = Arc::clone(&self.checker);
        self.scope.spawn(move || {
            let mut tape = Tape::new();
            for mut batch in batches {
                batch.check(&checker, &mut tape);
                if done.send(batch).is_err() {
                    return;
                }
            }
        });
        self.next = self.lanes.len();
        self.lanes.push((to, from));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::definition::Definitions;
    use varco_core::validation::Validator;

    use super::*;

    /// Lines and issues of many small resources, every third of them wrong.
    fn run(threads: usize, count: usize) -> Vec<(usize, usize, usize)> {
        let checker = Arc::new(Checker::new(Validator::new(Definitions::r4())));
        let mut taken = Vec::new();
        std::thread::scope(|scope| {
            let mut lanes = Lanes::new(scope, checker, NonZeroUsize::new(threads).unwrap());
            let mut take = |input: usize, record: &Record<'_>, checked: Checked| {
                let expected = format!(r#""id":"p{}""#, record.line);
                assert!(String::from_utf8_lossy(record.text).contains(&expected));
                taken.push((input, record.line, checked.issues.len()));
            };
            for line in 0..count {
                let fault = if line % 3 == 0 { r#","cognome":"x""# } else { "" };
                let text =
                    format!(r#"{{"resourceType":"Basic","id":"p{line}","code":{{"text":"x"}}{fault}}}"#);
                let text = text.as_bytes();
                let record = Record { text, line, of_many: true, byte_order_mark: false, read: text.len() };
                lanes.add(line / 500, &record, &mut take);
                if line == 700 {
                    lanes.finish(&mut take);
                }
            }
            lanes.finish(&mut take);
        });
        taken
    }

    #[test]
    fn results_come_in_the_order_of_the_input_however_many_threads() {
        let alone = run(1, 1_000);
        assert_eq!(alone.len(), 1_000);
        assert!(alone.is_sorted());
        assert_eq!(alone.iter().filter(|(.., issues)| *issues > 0).count(), 334);
        for threads in [2, 3, 7] {
            assert_eq!(run(threads, 1_000), alone);
        }
        assert_eq!(run(4, 5), run(1, 5));
    }
}
