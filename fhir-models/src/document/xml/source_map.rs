//! From the JSON that a document was translated to, back to its source: XML, or JSON that had to be mended.

use crate::document::{FormFault, Format};

/// Where the parts of a translated document stand in its source.
#[derive(Debug, Clone)]
pub(in crate::document) struct SourceMap {
    format: Format,
    source: String,
    /// Offset in the translation, offset in the source; by rising offset in the translation.
    marks: Vec<(u32, u32)>,
    /// Offsets in the translation.
    misplaced: Vec<u32>,
    faults: Vec<FormFault>,
    more_faults: bool,
}

impl Default for SourceMap {
    fn default() -> SourceMap {
        SourceMap {
            format: Format::Xml,
            source: String::new(),
            marks: Vec::new(),
            misplaced: Vec::new(),
            faults: Vec::new(),
            more_faults: false,
        }
    }
}

impl SourceMap {
    /// Forgets everything and takes another source.
    pub fn begin(&mut self, format: Format, source: &str) {
        self.format = format;
        self.faults.clear();
        self.more_faults = false;
        self.source.clear();
        self.source.push_str(source);
        self.marks.clear();
        self.misplaced.clear();
    }

    /// What begins at this offset of the translation stands at this offset of the source.
    pub fn mark(&mut self, translated: usize, source: u32) {
        self.marks.push((translated as u32, source));
    }

    /// What stands at these offsets of the source stands out of order.
    pub fn misplace(&mut self, mut sources: Vec<u32>) {
        sources.sort_unstable();
        let mut told = vec![false; sources.len()];
        let mut marks = self.marks.iter().peekable();
        while let Some(&(translated, source)) = marks.next() {
            // An array's first item stands where the array does: the item is meant.
            if sources.is_empty() || marks.peek().is_some_and(|(_, next)| *next == source) {
                continue;
            }
            // An element's second mark is that of its underscored twin.
            let found = sources.binary_search(&source).ok().and_then(|found| told.get_mut(found));
            if found.is_some_and(|told| !std::mem::replace(told, true)) {
                self.misplaced.push(translated);
            }
        }
    }

    /// Takes back all marks from this offset of the translation on.
    pub fn unmark(&mut self, translated: usize) {
        let keep = self.marks.partition_point(|(at, _)| (*at as usize) < translated);
        self.marks.truncate(keep);
    }

    /// What was put up with.
    pub fn tolerate(&mut self, (faults, more): (Vec<FormFault>, bool)) {
        self.faults = faults;
        self.more_faults = more;
    }

    /// How the source is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What was put up with, by rising offset in the source.
    pub fn faults(&self) -> &[FormFault] {
        &self.faults
    }

    /// True where more was put up with than is kept.
    pub fn has_more_faults(&self) -> bool {
        self.more_faults
    }

    /// The text that was translated.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The offset in the source of what stands at an offset of the translation.
    pub fn source_offset(&self, translated: usize) -> usize {
        let after = self.marks.partition_point(|(at, _)| *at as usize <= translated);
        after.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(0, |(_, source)| *source as usize)
    }

    /// Offsets in the translation of what stands out of order in the source.
    pub fn misplaced(&self) -> &[u32] {
        &self.misplaced
    }
}
