//! Records that wait for the answers of a terminology server, so that many are asked about at once.
//!
//! Invariant: records leave in the order in which they came. Bounds: bytes, records and questions held.

use std::collections::BTreeSet;

use varco_core::terminology::Question;

use super::checker::Checked;
use super::input::Record;

/// Most text that is held, in bytes.
const MOST_BYTES: usize = 32 << 20;
/// Most records that are held.
const MOST_RECORDS: usize = 10_000;
/// Questions that are worth a request.
const MOST_OPEN: usize = 1_000;

/// A record of its own, and what was found in it so far.
#[derive(Debug)]
pub(super) struct Held {
    /// The number of its input.
    pub input: usize,
    pub checked: Checked,
    text: Vec<u8>,
    line: usize,
    of_many: bool,
    byte_order_mark: bool,
    read: usize,
}

impl Held {
    pub fn record(&self) -> Record<'_> {
        let Held { line, of_many, byte_order_mark, read, .. } = *self;
        Record { text: &self.text, line, of_many, byte_order_mark, read }
    }
}

/// The records that wait.
#[derive(Debug, Default)]
pub(super) struct Window {
    held: Vec<Held>,
    bytes: usize,
    open: BTreeSet<Question>,
}

impl Window {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// True where no more should wait.
    pub fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES || self.held.len() >= MOST_RECORDS || self.open.len() >= MOST_OPEN
    }

    pub fn push(&mut self, input: usize, record: &Record<'_>, checked: Checked) {
        let Record { text, line, of_many, byte_order_mark, read } = *record;
        self.bytes += text.len();
        self.open.extend(checked.questions.iter().cloned());
        self.held.push(Held { input, checked, text: text.to_vec(), line, of_many, byte_order_mark, read });
    }

    /// All records, in their order.
    pub fn drain(&mut self) -> Vec<Held> {
        (self.bytes, self.open) = (0, BTreeSet::new());
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_leave_in_order_and_within_bounds() {
        let mut window = Window::default();
        let text = vec![b' '; MOST_BYTES / 2];
        for line in 0..2 {
            assert!(!window.is_full());
            let record =
                Record { text: &text, line, of_many: true, byte_order_mark: false, read: text.len() };
            window.push(7, &record, Checked::default());
        }
        assert!(window.is_full());
        let lines: Vec<usize> = window.drain().iter().map(|held| held.record().line).collect();
        assert_eq!(lines, [0, 1]);
        assert!(window.is_empty() && !window.is_full());
    }
}
