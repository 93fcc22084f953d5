//! NDJSON: one document a line.

use std::io::Read;

use super::source::Source;
use super::{StreamError, StreamErrorKind, Streamed};
use crate::document::scan::next_line_feed;
use crate::document::{Limits, SyntaxErrorKind, Tape};

/// Documents from NDJSON, one a line; blank lines are passed over.
///
/// A line that is not a document is an error of that line: the next call goes on with the line after it.
/// After an error of the reader nothing more is read.
pub struct NdjsonStream<R> {
    source: Source<R>,
    tape: Tape,
    limits: Limits,
    /// Length of the line handed out last, its end included.
    pending: usize,
    /// The rest of the line is longer than allowed and is passed over.
    overlong: bool,
    failed: bool,
}

impl<R: Read> NdjsonStream<R> {
    /// A stream from a reader, which need not be buffered. The limits hold for each line.
    pub fn new(reader: R, limits: Limits) -> NdjsonStream<R> {
        let source = Source::new(reader, &limits);
        NdjsonStream { source, tape: Tape::new(), limits, pending: 0, overlong: false, failed: false }
    }

    /// The next document; `None` at the end.
    ///
    /// # Errors
    /// [`StreamError`] for a line that is not a document, and where reading fails.
    pub fn next_document(&mut self) -> Result<Option<Streamed<'_>>, StreamError> {
        if self.failed {
            return Err(self.source.fault(StreamErrorKind::Failed));
        }
        let line = self.next_line();
        self.failed = matches!(&line, Err(error) if matches!(error.kind, StreamErrorKind::Read(_)));
        if line?.is_none() {
            return Ok(None);
        }
        let place = self.source.place();
        let line = self.source.window().get(..self.pending).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let parsed = self.tape.parse_json(line, &self.limits);
        let document = parsed.map_err(|error| self.source.inside(&error))?;
        Ok(Some(Streamed { document, place }))
    }

    /// Brings the next line that is not blank into the window; its length is then pending.
    fn next_line(&mut self) -> Result<Option<()>, StreamError> {
        self.source.take(std::mem::take(&mut self.pending));
        let mut seen = 0;
        loop {
            let window = self.source.window();
            let end = next_line_feed(window, seen);
            let known = end.map_or(window.len(), |at| at + 1);
            if self.overlong {
                self.source.take(known);
                self.overlong = end.is_none() && !self.source.is_ended();
                if end.is_none() {
                    if self.source.is_ended() {
                        return Ok(None);
                    }
                    self.source.fill()?;
                }
                continue;
            }
            if known > self.limits.bytes.saturating_add(1) {
                self.overlong = true;
                return Err(self.source.fault(SyntaxErrorKind::TooLarge(self.limits.bytes)));
            }
            if end.is_none() && !self.source.is_ended() {
                seen = known;
                self.source.fill()?;
                continue;
            }
            let line = self.source.window().get(..known).unwrap_or_default();
            if !line.trim_ascii().is_empty() {
                self.pending = known;
                return Ok(Some(()));
            }
            self.source.take(known);
            seen = 0;
            if end.is_none() {
                return Ok(None);
            }
        }
    }
}

impl<R> std::fmt::Debug for NdjsonStream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NdjsonStream").finish_non_exhaustive()
    }
}
