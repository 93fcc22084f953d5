//! Faults of form that a tolerant reading puts up with (FHIR R4 §2.6.1, §2.6.2).
//!
//! Traffic is read strictly: the first fault refuses the text. A validator that stopped there would hide
//! all the rest, so it reads tolerantly: what is wrong is noted, and the reading goes on where what follows
//! can still be understood. Invariant: a text without fault reads the same either way, and a text with one
//! never reads without a note of it. No more than [`MOST_FAULTS`] notes are kept.

use super::SyntaxErrorKind;

/// Most faults of one text that are kept; further ones are only known to be there.
pub const MOST_FAULTS: usize = 100;

/// One place where a text breaks the grammar, and was read all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormFault {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// Byte offset in [`super::Document::source`].
    pub offset: usize,
    /// Byte offset in [`super::Document::text`] of what stands there or next before; 0 for XML.
    pub near: usize,
    /// In XML, the innermost element around the place as an XPath of the form that `OperationOutcome.issue.location`
    /// has (FHIR R4 §6.6.1): `/f:Bundle/f:entry[2]/f:resource`.
    pub path: Option<String>,
}

/// Whether faults are put up with, and those met so far.
#[derive(Debug)]
pub(super) struct Tolerance {
    most: usize,
    /// Kind, offset in the source, offset in the translation.
    met: Vec<(SyntaxErrorKind, usize, usize)>,
    more: bool,
}

impl Tolerance {
    /// The first fault ends the reading.
    pub fn none() -> Tolerance {
        Tolerance { most: 0, met: Vec::new(), more: false }
    }

    /// Faults are noted.
    pub fn some() -> Tolerance {
        Tolerance { most: MOST_FAULTS, met: Vec::new(), more: false }
    }

    pub fn is_some(&self) -> bool {
        self.most > 0
    }

    /// Notes a fault, or gives it back where none is put up with.
    #[cold]
    pub fn note(&mut self, fault: (SyntaxErrorKind, usize)) -> Result<(), (SyntaxErrorKind, usize)> {
        self.note_near(fault, 0)
    }

    /// [`Tolerance::note`] with the place in the translation.
    #[cold]
    pub fn note_near(
        &mut self,
        (kind, offset): (SyntaxErrorKind, usize),
        near: usize,
    ) -> Result<(), (SyntaxErrorKind, usize)> {
        if self.most == 0 || kind.is_limit() {
            return Err((kind, offset));
        }
        if self.met.len() < self.most {
            self.met.push((kind, offset, near));
        } else {
            self.more = true;
        }
        Ok(())
    }

    /// Forgets what was noted inside these offsets of the source: the whole of it is a fault already.
    pub fn forget(&mut self, inside: std::ops::Range<usize>) {
        if !self.met.is_empty() {
            self.met.retain(|(_, offset, _)| !inside.contains(offset));
        }
    }

    /// The translation was cut off at this offset.
    pub fn cut(&mut self, translated: usize) {
        self.met.iter_mut().for_each(|(.., near)| *near = translated.min(*near));
    }

    /// What was noted, by rising offset, and whether there was more.
    pub fn into_faults(mut self) -> (Vec<FormFault>, bool) {
        self.met.sort_by_key(|(_, offset, _)| *offset);
        let faults = self.met.into_iter();
        let faults = faults.map(|(kind, offset, near)| FormFault { kind, offset, near, path: None });
        (faults.collect(), self.more)
    }
}
