//! Where one HTTP/1.1 request ends and the next begins, read strictly from the bytes themselves.
//!
//! The HTTP library repairs what it can: a `Content-Length` beside `Transfer-Encoding` is taken away, equal lengths are
//! merged, lines may end with a bare line feed. Another program on the way may repair otherwise, and what lies between the two
//! readings is a smuggled request. Here nothing is repaired (RFC 9112 §2.2, §5.1, §6.3, §7.1): the first byte with two
//! meanings is a fault of the whole connection.
//!
//! Invariant: however the bytes are cut into pieces, the same bytes give the same fault.

use std::fmt;
use std::io::BufRead;

/// Longest line that is kept while its end has not come, in bytes; longer ones are refused by the HTTP library's own bound.
const LONGEST_LINE: usize = 64 * 1024;
/// How a connection in HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A framing with two meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingFault {
    /// `Content-Length` and `Transfer-Encoding` in one request.
    LengthAndEncoding,
    /// More than one `Content-Length`, even if equal.
    SeveralLengths,
    /// A `Content-Length` that is not a number alone.
    Length,
    /// A `Transfer-Encoding` that is not `chunked` alone.
    Encoding,
    /// A line that ends with a line feed alone.
    BareLineFeed,
    /// A header line that goes on in the next.
    Folded,
    /// A chunk's size or end that is not as it must be.
    Chunk,
    /// A line without an end.
    LongLine,
}

impl FramingFault {
    /// What is wrong, in words.
    pub fn text(self) -> &'static str {
        match self {
            FramingFault::LengthAndEncoding => "Content-Length together with Transfer-Encoding",
            FramingFault::SeveralLengths => "several Content-Length headers",
            FramingFault::Length => "a Content-Length that is not a number",
            FramingFault::Encoding => "a Transfer-Encoding other than chunked",
            FramingFault::BareLineFeed => "a line that ends without a carriage return",
            FramingFault::Folded => "a header line that is folded",
            FramingFault::Chunk => "a chunk whose size or end is malformed",
            FramingFault::LongLine => "a line that is too long",
        }
    }
}

impl fmt::Display for FramingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request's first line.
    Between,
    /// In its header.
    Header,
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// Before a chunk's size.
    ChunkSize,
    /// In a chunk of which so many bytes are to come.
    Chunk(u64),
    /// Before the line break that ends a chunk.
    ChunkEnd,
    /// After the last chunk.
    Trailer,
    /// The connection speaks HTTP/2, which frames by itself.
    Http2,
    Faulty(FramingFault),
}

/// Follows one connection's bytes.
#[derive(Debug)]
pub struct Framing {
    state: State,
    length: Option<u64>,
    chunked: bool,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing { state: State::Between, length: None, chunked: false, partial: Vec::new() }
    }
}

impl Framing {
    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// The first fault, again at each call after it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), FramingFault> {
        let mut rest = bytes;
        loop {
            match self.state {
                State::Faulty(fault) => return Err(fault),
                _ if rest.is_empty() => return Ok(()),
                State::Http2 => return Ok(()),
                State::Body(left) | State::Chunk(left) => {
                    let here = left.min(rest.len() as u64);
                    rest = rest.get(usize::try_from(here).unwrap_or(rest.len())..).unwrap_or_default();
                    let left = left - here;
                    self.state = match (self.state, left) {
                        (State::Body(_), 0) => State::Between,
                        (State::Body(_), left) => State::Body(left),
                        (_, 0) => State::ChunkEnd,
                        (_, left) => State::Chunk(left),
                    };
                }
                State::Between | State::Header | State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    match self.take_line(rest) {
                        Ok(left) => rest = left,
                        Err(fault) => {
                            self.state = State::Faulty(fault);
                            self.partial = Vec::new();
                        }
                    }
                }
            }
        }
    }

    /// True before the first byte of a request.
    pub fn is_between(&self) -> bool {
        self.state == State::Between && self.partial.is_empty()
    }

    /// True in a request's header.
    pub fn is_in_header(&self) -> bool {
        self.state == State::Header || (self.state == State::Between && !self.partial.is_empty())
    }

    /// True in a request's body.
    pub fn is_in_body(&self) -> bool {
        matches!(
            self.state,
            State::Body(_) | State::ChunkSize | State::Chunk(_) | State::ChunkEnd | State::Trailer
        )
    }

    /// True once the connection speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.state == State::Http2
    }

    /// Takes one line, or the beginning of one; gives what is left.
    fn take_line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], FramingFault> {
        let mut rest = bytes;
        // Bytes in memory can be read.
        let length = rest.skip_until(b'\n').unwrap_or(bytes.len());
        let line = bytes.get(..length).unwrap_or(bytes);
        if !line.ends_with(b"\n") {
            if self.partial.len() + line.len() > LONGEST_LINE {
                return Err(FramingFault::LongLine);
            }
            self.partial.extend_from_slice(line);
            return Ok(rest);
        }
        if self.partial.is_empty() {
            self.line(line)?;
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(line);
            self.line(&whole)?;
        }
        Ok(rest)
    }

    /// One line with its end.
    fn line(&mut self, line: &[u8]) -> Result<(), FramingFault> {
        let line = line.strip_suffix(b"\r\n").ok_or(FramingFault::BareLineFeed)?;
        self.state = match self.state {
            // An empty line before a request is passed over (RFC 9112 §2.2).
            State::Between if line.is_empty() => State::Between,
            State::Between if line == &PREFACE[..PREFACE.len() - 2] => State::Http2,
            State::Between => State::Header,
            State::Header if line.is_empty() => {
                let length = self.length.take().unwrap_or_default();
                match (std::mem::take(&mut self.chunked), length) {
                    (true, _) => State::ChunkSize,
                    (false, 0) => State::Between,
                    (false, length) => State::Body(length),
                }
            }
            State::Header => {
                self.header(line)?;
                State::Header
            }
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(FramingFault::Chunk),
            State::Trailer if line.is_empty() => State::Between,
            State::Trailer if line.starts_with(b" ") || line.starts_with(b"\t") => {
                return Err(FramingFault::Folded);
            }
            other => other,
        };
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), FramingFault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(FramingFault::Folded);
        }
        if let Some(value) = value_of(line, b"content-length") {
            if self.chunked {
                return Err(FramingFault::LengthAndEncoding);
            }
            if self.length.is_some() {
                return Err(FramingFault::SeveralLengths);
            }
            let digits =
                std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            self.length = Some(digits.and_then(|text| text.parse().ok()).ok_or(FramingFault::Length)?);
        } else if let Some(value) = value_of(line, b"transfer-encoding") {
            if self.length.is_some() {
                return Err(FramingFault::LengthAndEncoding);
            }
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(FramingFault::Encoding);
            }
            self.chunked = true;
        }
        Ok(())
    }
}

/// The value of a header line that has this name in small letters.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    if line.get(name.len()) != Some(&b':') || !line.get(..name.len())?.eq_ignore_ascii_case(name) {
        return None;
    }
    Some(line.get(name.len() + 1..)?.trim_ascii())
}

/// The size that a chunk's first line tells; what follows a semicolon is an extension and means nothing here.
fn chunk_size(line: &[u8]) -> Result<u64, FramingFault> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    // Up to 2^60: what is longer is never meant.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(FramingFault::Chunk);
    }
    let text = std::str::from_utf8(digits).map_err(|_| FramingFault::Chunk)?;
    u64::from_str_radix(text, 16).map_err(|_| FramingFault::Chunk)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(text: &str) -> Result<Framing, FramingFault> {
        let mut framing = Framing::default();
        framing.feed(text.as_bytes()).map(|()| framing)
    }

    #[test]
    fn a_request_ends_where_its_framing_says() {
        for whole in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n4;why=not\r\nabcd\r\n0\r\nX: y\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(after(whole).unwrap().is_between(), "{whole}");
        }
        assert!(after("GET / HT").unwrap().is_in_header());
        assert!(after("GET / HTTP/1.1\r\nHo").unwrap().is_in_header());
        assert!(after("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabc").unwrap().is_in_body());
        assert!(after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0").unwrap().is_http2());
    }

    #[test]
    fn what_has_two_meanings_is_a_fault() {
        let post = "POST / HTTP/1.1\r\n";
        for (header, fault) in [
            ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", FramingFault::LengthAndEncoding),
            ("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n", FramingFault::LengthAndEncoding),
            ("Content-Length: 4\r\nContent-Length: 4\r\n\r\n", FramingFault::SeveralLengths),
            ("Content-Length: 4, 4\r\n\r\n", FramingFault::Length),
            ("Content-Length: +4\r\n\r\n", FramingFault::Length),
            ("Content-Length:\r\n\r\n", FramingFault::Length),
            ("Content-Length: 99999999999999999999\r\n\r\n", FramingFault::Length),
            ("Transfer-Encoding: chunked, identity\r\n\r\n", FramingFault::Encoding),
            ("Transfer-Encoding: xchunked\r\n\r\n", FramingFault::Encoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", FramingFault::Encoding),
            ("X: y\nZ: 1\r\n\r\n", FramingFault::BareLineFeed),
            ("X: y\r\n Content-Length: 4\r\n\r\n", FramingFault::Folded),
            ("Transfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n", FramingFault::BareLineFeed),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\nabcdef\r\n0\r\n\r\n", FramingFault::Chunk),
            ("Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n", FramingFault::Chunk),
            ("Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n", FramingFault::Chunk),
            ("Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nabcd\r\n0\r\n\r\n", FramingFault::Chunk),
        ] {
            assert_eq!(after(&format!("{post}{header}")).unwrap_err(), fault, "{header}");
        }
        let endless = "x".repeat(LONGEST_LINE + 1);
        assert_eq!(after(&endless).unwrap_err(), FramingFault::LongLine);
    }

    proptest! {
        #[test]
        fn the_same_bytes_in_any_pieces_give_the_same(
            text in "(POST / HTTP/1.1\r\n)((Content-Length: [0-9]{1,2}|Transfer-Encoding: chunked|X: y)(\r\n|\n)){0,3}(\r\n)[0-9a-f;\r\n]{0,40}",
            cuts in proptest::collection::vec(1_usize..9, 1..40),
        ) {
            let mut whole = Framing::default();
            let at_once = whole.feed(text.as_bytes());
            let (mut pieces, mut rest, mut outcome) = (Framing::default(), text.as_bytes(), Ok(()));
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                outcome = outcome.and(pieces.feed(piece));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(at_once, outcome);
            prop_assert_eq!(whole.state, pieces.state);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut framing = Framing::default();
            let first = framing.feed(&bytes);
            if let Err(fault) = first {
                prop_assert_eq!(framing.feed(b"x"), Err(fault));
            }
        }
    }
}
