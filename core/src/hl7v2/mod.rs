//! HL7 v2 messages in their usual encoding, ER7 (HL7 v2.5.1 chapter 2).
//!
//! A message is read once into two flat lists, segments and fields, over its own text; repetitions,
//! components and subcomponents are split where somebody asks. Everything knows its byte offset, so that a
//! fault can be shown and an acknowledgment can name its place.
//!
//! Invariants: no byte is lost (what isn't understood stays in the text), no input panics, and a message that
//! breaks a rule is refused with its place unless [`Reading`] tolerates that rule; what was tolerated is noted.

mod acknowledgment;
mod batch;
mod character_set;
mod delimiters;
mod document;
mod error;
mod escape;
#[cfg(test)]
mod hl7v2_tests;
mod message;
mod mllp;
mod moment;
mod part;
mod path;
mod read;
mod structure;

pub use acknowledgment::{Acknowledgment, AcknowledgmentCode, ErrorCode, MessageError};
pub use batch::split_batch;
pub use character_set::CharacterSet;
pub use delimiters::Delimiters;
pub(crate) use document::urn;
pub use document::{message_document, place_of};
pub use error::{Hl7v2Error, Hl7v2ErrorKind, Note};
pub use escape::escape;
pub use message::{Message, MessageType, Segment};
pub use mllp::{FrameError, MllpDecoder, mllp_frame};
pub use moment::{Moment, MomentFault, time_of_day};
pub use part::Part;
pub use path::{Path, PathError};
pub use structure::{Group, Grouped, Member, Structure};

/// What is tolerated, and the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Segments may end with LF or CRLF beside CR (§2.5.1 allows CR alone).
    pub any_line_end: bool,
    /// An escape that is unknown or not closed stays as it is written (§2.7).
    pub unknown_escapes: bool,
    /// Bytes beyond ASCII without a declared character set (MSH-18) are taken as UTF-8, or else as Latin-1; a
    /// declaration that the bytes contradict is passed over.
    pub guess_character_set: bool,
    /// Blank lines and lines that are no segments are passed over.
    pub stray_lines: bool,
    /// Most bytes of a message.
    pub bytes: usize,
    /// Most segments of a message.
    pub segments: usize,
}

impl Reading {
    /// By the letter of the standard; 16 MiB, 65,536 segments.
    pub const STRICT: Reading = Reading {
        any_line_end: false,
        unknown_escapes: false,
        guess_character_set: false,
        stray_lines: false,
        bytes: 16 << 20,
        segments: 1 << 16,
    };

    /// All that hospitals are known to send; the bounds of [`Reading::STRICT`].
    pub const LENIENT: Reading = Reading {
        any_line_end: true,
        unknown_escapes: true,
        guess_character_set: true,
        stray_lines: true,
        ..Reading::STRICT
    };
}

impl Default for Reading {
    /// [`Reading::STRICT`].
    fn default() -> Reading {
        Reading::STRICT
    }
}
