//! The terms of records that stand side by side in the trail: what becomes rows of its index.
//!
//! Most terms are those of nearly every record. Each is kept once, with a bit for each record of the [`BLOCK`] that has it.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use jiff::Timestamp;
use varco_core::audit::{AuditRecord, SearchTerm};

/// Records whose places one row of the index tells: those with the same number divided by this.
pub(super) const BLOCK: i64 = u128::BITS as i64;
/// Most blocks whose terms are kept until they are indexed: some 5 MB. Records after them are read again for it.
const MOST: usize = 64;

/// The block that a record is in.
pub(super) fn block_of(seq: i64) -> i64 {
    seq.div_euclid(BLOCK)
}

/// The terms of records of one block.
#[derive(Clone)]
pub(super) struct Postings {
    first: i64,
    last: i64,
    times: Option<(Timestamp, Timestamp)>,
    terms: HashTable<(SearchTerm, u128)>,
    hashing: DefaultHashBuilder,
}

impl Postings {
    /// Those of no record, to begin with this one.
    pub fn beginning_with(first: i64) -> Postings {
        let (terms, hashing) = (HashTable::new(), DefaultHashBuilder::default());
        Postings { first, last: first - 1, times: None, terms, hashing }
    }

    /// The block.
    pub fn block(&self) -> i64 {
        block_of(self.first)
    }

    /// The number of the first record.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// True where no record was counted.
    pub fn is_empty(&self) -> bool {
        self.last < self.first
    }

    /// The number of the last record.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// When the first and the last of them by their times were recorded.
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        self.times
    }

    /// Counts a record of the same block, and then takes its terms one by one.
    pub fn begin(&mut self, seq: i64, recorded: Option<Timestamp>) {
        self.last = self.last.max(seq);
        if let Some(at) = recorded {
            let (first, last) = self.times.unwrap_or((at, at));
            self.times = Some((first.min(at), last.max(at)));
        }
    }

    /// A term of this record.
    pub fn add(&mut self, seq: i64, parameter: &'static str, value: &str, system: &str) {
        let hash =
            |parameter: &str, value: &str, system: &str| self.hashing.hash_one((parameter, value, system));
        let place = 1u128 << seq.rem_euclid(BLOCK);
        let same = |(term, _): &(SearchTerm, u128)| {
            term.value == value && term.parameter == parameter && term.system == system
        };
        let entry = self.terms.entry(hash(parameter, value, system), same, |(term, _)| {
            hash(term.parameter, &term.value, &term.system)
        });
        entry.and_modify(|(_, places)| *places |= place).or_insert_with(|| {
            (SearchTerm { parameter, value: value.to_owned(), system: system.to_owned() }, place)
        });
    }

    /// Each term with the records from this one on that have it, as bits; in no order.
    pub fn terms(&self, from: i64) -> impl Iterator<Item = (&SearchTerm, u128)> {
        let skipped = from.saturating_sub(self.block() * BLOCK).clamp(0, BLOCK);
        let kept = u32::try_from(skipped).ok().and_then(|skipped| u128::MAX.checked_shl(skipped));
        let terms = self.terms.iter().map(move |(term, places)| (term, places & kept.unwrap_or_default()));
        terms.filter(|(_, places)| *places != 0)
    }
}

/// The terms of what was appended here and is not indexed yet, by rising number, as far as they are kept. A place that another
/// process appended at, or that brought its event ready, is left out.
#[derive(Default)]
pub(super) struct Ahead(VecDeque<Postings>);

impl Ahead {
    /// Takes the terms of records that were appended with numbers from this one on.
    pub fn note(&mut self, first: i64, records: &[AuditRecord]) {
        for (seq, record) in (first..).zip(records) {
            let goes_on = |last: &Postings| last.last() + 1 == seq && last.block() == block_of(seq);
            if !self.0.back().is_some_and(goes_on) {
                if self.0.len() >= MOST {
                    return;
                }
                self.0.push_back(Postings::beginning_with(seq));
            }
            if let Some(postings) = self.0.back_mut() {
                postings.begin(seq, Some(record.recorded));
                record.each_term(|parameter, value, system| postings.add(seq, parameter, value, system));
            }
        }
    }

    /// The block after so many others.
    pub fn after(&self, others: usize) -> Option<&Postings> {
        self.0.get(others)
    }

    /// Drops what goes no further than this record.
    pub fn drop_through(&mut self, seq: i64) {
        while self.0.front().is_some_and(|first| first.last() <= seq) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "postings_tests.rs"]
mod tests;
