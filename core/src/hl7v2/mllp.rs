//! MLLP, the frame around a message on a connection (HL7 Minimal Lower Layer Protocol, Release 1): `<VT> message <FS><CR>`.
//!
//! Invariants: what comes out does not depend on how the bytes were cut on their way; the decoder never holds more
//! than its limit and what was last fed; after a fault it gives nothing more, because where the next message begins is
//! then a guess.

/// Begins a message.
const VT: u8 = 0x0B;
/// Ends it, together with a carriage return.
const FS: u8 = 0x1C;
const CR: u8 = b'\r';
/// A buffer that grew beyond this is given back once it is empty, in bytes.
const KEPT: usize = 64 << 10;

/// Why bytes are no frame. The connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Something else than `<VT>` where a message should begin.
    #[error(
        "a message begins with the byte 0B (VT), and another came: the sender does not speak MLLP, or speaks TLS"
    )]
    Outside,
    /// `<FS>` without `<CR>`.
    #[error("a message ends with the bytes 1C 0D (FS CR), and after 1C came another")]
    End,
    /// A second `<VT>` before the end.
    #[error("a message began inside of another: the end of the first, 1C 0D, was not sent")]
    Nested,
    /// More bytes than allowed.
    #[error("the message is larger than the limit allows")]
    TooLarge,
}

/// Cuts messages out of the bytes of a connection.
///
/// ```
/// use varco_core::hl7v2::{MllpDecoder, mllp_frame};
///
/// let mut decoder = MllpDecoder::new(1000, false);
/// decoder.feed(&mllp_frame(b"MSH|..."));
/// assert_eq!(decoder.message(), Ok(Some(b"MSH|...".to_vec())));
/// assert_eq!(decoder.message(), Ok(None));
/// ```
#[derive(Debug, Clone)]
pub struct MllpDecoder {
    buffer: Vec<u8>,
    /// Up to here there is no end of the message that is being read.
    scanned: usize,
    /// True once `<VT>` was read; then the buffer begins after it.
    inside: bool,
    limit: usize,
    lenient: bool,
    fault: Option<FrameError>,
}

impl MllpDecoder {
    /// A decoder for messages of at most `limit` bytes. A lenient one passes over CR and LF between messages.
    pub fn new(limit: usize, lenient: bool) -> MllpDecoder {
        MllpDecoder { buffer: Vec::new(), scanned: 0, inside: false, limit, lenient, fault: None }
    }

    /// Takes what came next.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.fault.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next message; `None` where more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`], and the same again on every later call.
    pub fn message(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        match self.fault {
            Some(fault) => Err(fault),
            None => self.advance().inspect_err(|fault| self.fault = Some(*fault)),
        }
    }

    /// True where a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// What is there of the message that has begun.
    pub fn begun(&self) -> &[u8] {
        if self.inside { &self.buffer } else { &[] }
    }

    fn advance(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if !self.inside {
            let passed = |byte: &u8| self.lenient && matches!(byte, b'\r' | b'\n');
            let blank = self.buffer.iter().take_while(|byte| passed(byte)).count();
            match self.buffer.get(blank) {
                Some(&VT) => {
                    self.buffer.drain(..=blank);
                    self.inside = true;
                    self.scanned = 0;
                }
                Some(_) => return Err(FrameError::Outside),
                None => {
                    self.buffer.clear();
                    self.give_back();
                    return Ok(None);
                }
            }
        }
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let found = rest.iter().position(|byte| matches!(*byte, VT | FS));
        let end = found.map_or(self.buffer.len(), |found| self.scanned + found);
        self.scanned = end;
        if end > self.limit {
            return Err(FrameError::TooLarge);
        }
        match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (None, _) | (Some(&FS), None) => Ok(None),
            (Some(&FS), Some(&CR)) => {
                let rest = self.buffer.split_off(end + 2);
                let mut message = std::mem::replace(&mut self.buffer, rest);
                message.truncate(end);
                self.inside = false;
                Ok(Some(message))
            }
            (Some(&FS), Some(_)) => Err(FrameError::End),
            _ => Err(FrameError::Nested),
        }
    }

    fn give_back(&mut self) {
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }
}

/// A message in its frame. The message must hold neither VT nor FS: no message of HL7 v2 does.
pub fn mllp_frame(message: &[u8]) -> Vec<u8> {
    [&[VT], message, &[FS, CR]].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that comes out of these pieces.
    fn decoded(pieces: &[&[u8]], limit: usize, lenient: bool) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut decoder = MllpDecoder::new(limit, lenient);
        let mut messages = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            loop {
                match decoder.message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.message(), Err(error), "a fault stays");
                        return (messages, Some(error));
                    }
                }
            }
        }
        (messages, None)
    }

    fn fault(bytes: &[u8], lenient: bool) -> Option<FrameError> {
        decoded(&[bytes], 10, lenient).1
    }

    #[test]
    fn two_messages_in_one_write_are_two() {
        let bytes = [mllp_frame(b"MSH|1"), mllp_frame(b"MSH|2")].concat();
        assert_eq!(decoded(&[&bytes], 10, false), (vec![b"MSH|1".to_vec(), b"MSH|2".to_vec()], None));
    }

    #[test]
    fn what_is_no_frame_is_named() {
        assert_eq!(fault(b"MSH|", false), Some(FrameError::Outside));
        assert_eq!(fault(b"\x16\x03\x01", true), Some(FrameError::Outside));
        assert_eq!(fault(b"\x0bA\x1cB", false), Some(FrameError::End));
        assert_eq!(fault(b"\x0bA\x0bB\x1c\r", false), Some(FrameError::Nested));
        assert_eq!(fault(b"\x0bA\x1c\r\r\n\x0bB", false), Some(FrameError::Outside));
        assert_eq!(fault(b"\x0bA\x1c\r\r\n\x0bB\x1c\r\n", true), None);
    }

    #[test]
    fn a_message_of_the_limit_passes_and_one_more_byte_does_not() {
        assert_eq!(fault(&mllp_frame(b"0123456789"), false), None);
        assert_eq!(fault(&mllp_frame(b"0123456789A"), false), Some(FrameError::TooLarge));
        assert_eq!(fault(b"\x0b0123456789A", false), Some(FrameError::TooLarge));
        let mut decoder = MllpDecoder::new(10, false);
        decoder.feed(b"\x0bMSH|1");
        assert_eq!(
            (decoder.message(), decoder.is_inside(), decoder.begun()),
            (Ok(None), true, &b"MSH|1"[..])
        );
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_changes_nothing(
            bytes in prop::collection::vec(prop_oneof![Just(VT), Just(FS), Just(CR), Just(b'\n'), Just(b'A')], 0..60),
            size in 1..8_usize,
            lenient in any::<bool>(),
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(decoded(&pieces, 6, lenient), decoded(&[&bytes], 6, lenient));
        }

        #[test]
        fn what_is_framed_comes_back(
            messages in prop::collection::vec(prop::collection::vec(0x20..0xFF_u8, 0..40), 0..6),
            size in 1..50_usize,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| mllp_frame(message)).collect();
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(decoded(&pieces, 40, false), (messages, None));
        }
    }
}
