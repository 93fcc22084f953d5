//! A window over a reader that grows no larger than one document, and where it stands.

use std::io::{ErrorKind, Read};

use super::{StreamError, StreamErrorKind};
use crate::document::scan::{count, next_bound, next_stop};
use crate::document::{Limits, Position, SyntaxError, SyntaxErrorKind};

/// How much is asked of the reader at once, in bytes.
const CHUNK: usize = 64 << 10;

/// A place in a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    offset: u64,
    line: usize,
    column: usize,
    after_return: bool,
}

impl Place {
    const START: Place = Place { offset: 0, line: 1, column: 1, after_return: false };

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    /// The position in the stream of a position in what begins here.
    pub fn of(&self, inside: Position) -> Position {
        if inside.line == 1 {
            Position { line: self.line, column: self.column + inside.column - 1 }
        } else {
            Position { line: self.line + inside.line - 1, column: inside.column }
        }
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        let Some(last) = bytes.last() else { return };
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let feeds = count(bytes, |byte| byte == b'\n');
        let returns = count(bytes, |byte| byte == b'\r');
        let joined = if returns == 0 { 0 } else { bytes.windows(2).filter(|pair| *pair == b"\r\n").count() };
        let joined = joined + usize::from(self.after_return && bytes.first() == Some(&b'\n'));
        self.line += feeds + returns - joined;
        let mut tail = bytes;
        if feeds + returns > 0 {
            let ended = bytes.iter().rposition(is_end).map_or(0, |at| at + 1);
            tail = bytes.get(ended..).unwrap_or_default();
            self.column = 1;
        }
        self.column += count(tail, |byte| byte & 0xC0 != 0x80);
        self.after_return = *last == b'\r';
    }
}

/// The window. Offsets count from the place that is not yet taken.
pub(super) struct Source<R> {
    reader: R,
    /// What has been read and not taken stands at `start..end`; the rest is room.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    place: Place,
    ended: bool,
    longest: usize,
}

impl<R: Read> Source<R> {
    pub fn new(reader: R, limits: &Limits) -> Source<R> {
        Source {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            place: Place::START,
            ended: false,
            longest: limits.bytes,
        }
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// What has been read and not taken.
    pub fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The byte at an offset, read if need be; `None` past the end of the stream.
    pub fn byte(&mut self, at: usize) -> Result<Option<u8>, StreamError> {
        loop {
            if let Some(&byte) = self.window().get(at) {
                return Ok(Some(byte));
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Reads on. At the end of the stream, nothing changes but that it is known.
    pub fn fill(&mut self) -> Result<(), StreamError> {
        if self.buffer.len() - self.end < CHUNK {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            let size = self.buffer.len().max(self.end + CHUNK);
            self.buffer.resize(size, 0);
        }
        let read = loop {
            match self.reader.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|error| StreamError::at(error, &self.place))?,
            }
        };
        self.ended = read == 0;
        self.end = self.end.saturating_add(read).min(self.buffer.len());
        Ok(())
    }

    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Passes over this many bytes of the window.
    pub fn take(&mut self, count: usize) {
        let taken = self.start.saturating_add(count).min(self.end);
        self.place.advance(self.buffer.get(self.start..taken).unwrap_or_default());
        self.start = taken;
    }

    /// Passes over white space; the byte after it.
    pub fn skip_space(&mut self) -> Result<Option<u8>, StreamError> {
        loop {
            let blank = |byte: &&u8| matches!(**byte, b' ' | b'\n' | b'\r' | b'\t');
            let count = self.window().iter().take_while(blank).count();
            self.take(count);
            match self.byte(0)? {
                Some(byte) if blank(&&byte) => {}
                other => return Ok(other),
            }
        }
    }

    /// The length of the value that begins here: up to its closing bracket or quote, or up to what can't be
    /// part of it. Whether it is a value is for the parser to say.
    pub fn value_length(&mut self) -> Result<usize, StreamError> {
        let (mut at, mut depth, mut in_string) = (0usize, 0usize, false);
        loop {
            let window = self.window();
            while at < window.len() {
                if in_string {
                    at = next_stop(window, at);
                    match window.get(at) {
                        None => break,
                        Some(b'"') => in_string = false,
                        // What is escaped may be read later: it is passed over unseen.
                        Some(b'\\') => at += 1,
                        // The parser will refuse the control character.
                        Some(_) => {}
                    }
                    at += 1;
                    if !in_string && depth == 0 {
                        return Ok(at);
                    }
                    continue;
                }
                if depth > 0 {
                    at = next_bound(window, at);
                }
                match window.get(at) {
                    Some(b'"') => in_string = true,
                    Some(b'{' | b'[') => depth += 1,
                    Some(b'}' | b']') if depth > 0 => {
                        depth -= 1;
                        if depth == 0 {
                            return Ok(at + 1);
                        }
                    }
                    Some(b',' | b':' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') => return Ok(at),
                    Some(_) => {}
                    None => break,
                }
                at += 1;
            }
            if at > self.longest {
                return Err(self.fault(SyntaxErrorKind::TooLarge(self.longest)));
            }
            if self.ended {
                let whole = depth == 0 && !in_string;
                return if whole {
                    Ok(at)
                } else {
                    Err(self.fault_after(at, SyntaxErrorKind::UnexpectedEnd))
                };
            }
            self.fill()?;
        }
    }

    pub fn fault(&self, kind: impl Into<StreamErrorKind>) -> StreamError {
        StreamError::at(kind, &self.place)
    }

    /// An error this many bytes further on.
    pub fn fault_after(&self, count: usize, kind: impl Into<StreamErrorKind>) -> StreamError {
        let mut place = self.place;
        place.advance(self.window().get(..count).unwrap_or(self.window()));
        StreamError::at(kind, &place)
    }

    /// An error in what begins here.
    pub fn inside(&self, error: &SyntaxError) -> StreamError {
        StreamError {
            kind: error.kind.into(),
            offset: self.place.offset() + error.offset as u64,
            position: self.place.of(error.position),
        }
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }
}
