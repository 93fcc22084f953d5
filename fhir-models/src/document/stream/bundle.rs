//! A Bundle, entry by entry (FHIR R4 §2.36).
//!
//! Invariant: what is handed out over a whole stream without an error is what parsing the same text at once
//! would give. Members of the Bundle other than `entry` are few and are kept: they are its frame.

use std::collections::HashSet;
use std::io::Read;

use super::source::Source;
use super::{StreamError, StreamErrorKind, Streamed};
use crate::document::{Document, Limits, SyntaxErrorKind, Tape};

/// The entries of a Bundle in JSON, one by one.
///
/// An entry is handed out before the rest of the Bundle is known: that it is a Bundle at all, and well-formed,
/// is only sure once [`BundleStream::next_entry`] has given `None`.
pub struct BundleStream<R> {
    source: Source<R>,
    tape: Tape,
    limits: Limits,
    state: State,
    /// Length of the entry handed out last.
    pending: usize,
    /// The members met so far other than `entry`, each with a comma before it.
    members: Vec<u8>,
    /// Those members as an object.
    frame: Vec<u8>,
    frame_tape: Tape,
    names: HashSet<String>,
    is_bundle: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// Between the Bundle's members.
    Members,
    /// Between its entries; the first is yet to come.
    FirstEntry,
    Entries,
    End,
    Failed,
}

impl<R: Read> BundleStream<R> {
    /// A stream from a reader, which need not be buffered. The limits hold for each entry, and for all other
    /// members together.
    pub fn new(reader: R, limits: Limits) -> BundleStream<R> {
        BundleStream {
            source: Source::new(reader, &limits),
            tape: Tape::new(),
            limits,
            state: State::Start,
            pending: 0,
            members: Vec::new(),
            frame: Vec::new(),
            frame_tape: Tape::new(),
            names: HashSet::new(),
            is_bundle: false,
        }
    }

    /// The next entry, the whole object with `fullUrl`, `resource` and all; `None` at the end of the Bundle.
    ///
    /// # Errors
    /// [`StreamError`] where the stream is not a Bundle, not JSON or beyond the limits, and where reading
    /// fails. After an error nothing more is handed out.
    pub fn next_entry(&mut self) -> Result<Option<Streamed<'_>>, StreamError> {
        self.source.take(std::mem::take(&mut self.pending));
        let found = self.find_entry();
        if found.is_err() {
            self.state = State::Failed;
        }
        let Some(length) = found? else { return Ok(None) };
        let place = self.source.place();
        let text = self.source.window().get(..length).unwrap_or_default();
        match self.tape.parse_json(text, &self.limits) {
            Ok(document) if document.root().is_object() => {
                self.pending = length;
                Ok(Some(Streamed { document, place }))
            }
            other => {
                self.state = State::Failed;
                Err(match other {
                    Ok(_) => self.source.fault(StreamErrorKind::EntryNotObject),
                    Err(error) => self.source.inside(&error),
                })
            }
        }
    }

    /// The Bundle without its entries, as far as it has been read: whole once [`BundleStream::next_entry`]
    /// has given `None`. Positions in it are not those of the stream.
    ///
    /// # Errors
    /// [`StreamErrorKind::Failed`] after an error.
    pub fn frame(&mut self) -> Result<Document<'_>, StreamError> {
        let failed = self.source.fault(StreamErrorKind::Failed);
        if self.state == State::Failed {
            return Err(failed);
        }
        self.frame.clear();
        self.frame.push(b'{');
        self.frame.extend_from_slice(self.members.get(1..).unwrap_or_default());
        self.frame.push(b'}');
        let limits = Limits { bytes: usize::MAX, ..self.limits };
        self.frame_tape.parse_json(&self.frame, &limits).map_err(|_| failed)
    }

    /// Goes on to the next entry; its length.
    fn find_entry(&mut self) -> Result<Option<usize>, StreamError> {
        loop {
            let next = self.source.skip_space()?;
            match self.state {
                State::Start => self.begin(next)?,
                State::Members => self.member(next)?,
                State::FirstEntry | State::Entries => {
                    if next == Some(b']') {
                        self.source.take(1);
                        self.state = State::Members;
                        continue;
                    }
                    if self.state == State::Entries {
                        self.comma(next, b']')?;
                    }
                    self.state = State::Entries;
                    return self.value().map(Some);
                }
                State::End => return Ok(None),
                State::Failed => return Err(self.source.fault(StreamErrorKind::Failed)),
            }
        }
    }

    fn begin(&mut self, next: Option<u8>) -> Result<(), StreamError> {
        match next {
            Some(b'{') => {}
            Some(0xEF) => return Err(self.source.fault(SyntaxErrorKind::ByteOrderMark)),
            Some(_) => return Err(self.source.fault(StreamErrorKind::NotABundle)),
            None => return Err(self.source.fault(SyntaxErrorKind::UnexpectedEnd)),
        }
        self.source.take(1);
        self.state = State::Members;
        Ok(())
    }

    /// One member of the Bundle, up to its value where that is the entries; or the Bundle's end.
    fn member(&mut self, next: Option<u8>) -> Result<(), StreamError> {
        if next == Some(b'}') {
            self.source.take(1);
            return self.end();
        }
        if !self.names.is_empty() {
            self.comma(next, b'}')?;
        }
        if self.source.byte(0)? != Some(b'"') {
            return Err(self.unexpected(SyntaxErrorKind::ExpectedName));
        }
        let place = self.source.place();
        let length = self.value()?;
        let raw = self.source.window().get(..length).unwrap_or_default().to_vec();
        let parsed = self.frame_tape.parse_json(&raw, &self.limits);
        let name = parsed.map_err(|error| self.source.inside(&error))?.root().as_str().unwrap_or_default();
        let (is_entry, is_type) = (name == "entry", name == "resourceType");
        if !self.names.insert(name.into_owned()) {
            return Err(StreamError::at(SyntaxErrorKind::DuplicateName, &place));
        }
        self.source.take(length);
        if self.source.skip_space()? != Some(b':') {
            return Err(self.unexpected(SyntaxErrorKind::ExpectedColon));
        }
        self.source.take(1);
        let next = self.source.skip_space()?;
        if is_entry {
            if next != Some(b'[') {
                return Err(self.unexpected(StreamErrorKind::EntryNotArray));
            }
            self.source.take(1);
            self.state = State::FirstEntry;
            return Ok(());
        }
        let length = self.value()?;
        if self.members.len() + raw.len() + length > self.limits.bytes {
            return Err(self.source.fault(SyntaxErrorKind::TooLarge(self.limits.bytes)));
        }
        let value = self.source.window().get(..length).unwrap_or_default();
        let parsed = self.frame_tape.parse_json(value, &self.limits);
        let parsed = parsed.map_err(|error| self.source.inside(&error))?;
        if is_type {
            if !parsed.root().is_str("Bundle") {
                return Err(self.source.fault(StreamErrorKind::NotABundle));
            }
            self.is_bundle = true;
        }
        self.members.push(b',');
        self.members.extend_from_slice(&raw);
        self.members.push(b':');
        self.members.extend_from_slice(value);
        self.source.take(length);
        Ok(())
    }

    fn end(&mut self) -> Result<(), StreamError> {
        if self.source.skip_space()?.is_some() {
            return Err(self.source.fault(SyntaxErrorKind::TrailingText));
        }
        if !self.is_bundle {
            return Err(self.source.fault(StreamErrorKind::NotABundle));
        }
        self.state = State::End;
        Ok(())
    }

    fn comma(&mut self, next: Option<u8>, close: u8) -> Result<(), StreamError> {
        if next != Some(b',') {
            return Err(self.unexpected(SyntaxErrorKind::ExpectedCommaOrEnd));
        }
        self.source.take(1);
        if self.source.skip_space()? == Some(close) {
            return Err(self.source.fault(SyntaxErrorKind::TrailingComma));
        }
        Ok(())
    }

    /// The length of the value that must begin here.
    fn value(&mut self) -> Result<usize, StreamError> {
        match self.source.value_length()? {
            0 => Err(self.unexpected(SyntaxErrorKind::ExpectedValue)),
            length => Ok(length),
        }
    }

    fn unexpected(&self, kind: impl Into<StreamErrorKind>) -> StreamError {
        if self.source.window().is_empty() && self.source.is_ended() {
            return self.source.fault(SyntaxErrorKind::UnexpectedEnd);
        }
        self.source.fault(kind)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.source.held()
    }
}

impl<R> std::fmt::Debug for BundleStream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundleStream").finish_non_exhaustive()
    }
}
