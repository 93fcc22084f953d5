//! Why bytes are not a message, and what was tolerated. No text quotes the message: it may be a person's data.

use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Hl7v2ErrorKind {
    /// The first segment is not MSH.
    #[error("a message begins with an MSH segment (§2.5): the first three characters are others")]
    NoHeader,
    /// MSH-1 and MSH-2 do not name four or five different delimiters.
    #[error(
        "MSH-1 and MSH-2 name the delimiters, five or six different punctuation characters, by custom |^~\\& \
         (§2.5.4)"
    )]
    EncodingCharacters,
    /// A segment's name is not three capitals or digits followed by the field separator.
    #[error(
        "a segment begins with its name, a capital and two capitals or digits, then the field separator (§2.5.1)"
    )]
    SegmentName,
    /// A segment ends with LF.
    #[error(
        "segments end with CR alone (§2.5.1), not with LF: have the sender mend it, or tolerate any line end"
    )]
    LineEnd,
    /// An escape without its end, or one that the standard does not know.
    #[error(
        "an escape is unknown or not closed (§2.7): have the sender escape the escape character as \\E\\"
    )]
    Escape,
    /// A control character.
    #[error("a control character stands in a value (§2.5.3)")]
    ControlCharacter,
    /// Bytes that MSH-18 does not account for.
    #[error("the bytes do not fit the character set that MSH-18 declares (ASCII where it is empty)")]
    CharacterSet,
    /// A character set that can't be read.
    #[error(
        "MSH-18 names a character set that is not supported: send UNICODE UTF-8, 8859/1 or 8859/15 (table 0211)"
    )]
    UnknownCharacterSet,
    /// More bytes than allowed.
    #[error("the message is larger than the limit allows")]
    TooLarge,
    /// More segments than allowed.
    #[error("the message has more segments than the limit allows")]
    TooManySegments,
    /// A segment that the message's structure demands.
    #[error("the structure of the message demands the segment {0} here, and it is missing")]
    MissingSegment(&'static str),
    /// A batch whose trailer counts other messages than there are.
    #[error("the batch trailer (BTS-1) counts other messages than the batch holds: it was cut or mixed up")]
    BatchCount,
}

/// A fault and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hl7v2Error {
    /// What is wrong.
    pub kind: Hl7v2ErrorKind,
    /// Where, in bytes from the start of the message.
    pub offset: usize,
    /// In which segment, counted from 1; 0 where there is none yet.
    pub segment: usize,
    /// In which of its fields, counted as HL7 counts; 0 where it is the segment itself.
    pub field: usize,
}

impl Hl7v2Error {
    /// The place as people write it, `OBX[2]-5`, where the fault stands in a segment that has a name; `message` is what
    /// was read.
    pub fn place_in(&self, message: &[u8]) -> Option<String> {
        // These stand beside a segment, not in it.
        if matches!(self.kind, Hl7v2ErrorKind::SegmentName | Hl7v2ErrorKind::LineEnd) {
            return None;
        }
        let separator = message.get(3)?;
        let lines = message.split(|byte| matches!(byte, b'\r' | b'\n'));
        let names = lines.filter_map(|line| {
            let name = line.get(..3).filter(|_| line.get(3).is_none_or(|byte| byte == separator))?;
            let fits = name[0].is_ascii_uppercase()
                && name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            std::str::from_utf8(name).ok().filter(|_| fits)
        });
        let names: Vec<&str> = names.take(self.segment).collect();
        let last = names.last().filter(|_| names.len() == self.segment)?;
        let mut place = (*last).to_owned();
        match names.iter().filter(|name| *name == last).count() {
            1 => {}
            number => place.push_str(&format!("[{number}]")),
        }
        if self.field > 0 {
            place.push_str(&format!("-{}", self.field));
        }
        Some(place)
    }
}

impl fmt::Display for Hl7v2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.segment, self.field) {
            (0, _) => write!(f, "byte {}: {}", self.offset, self.kind),
            (segment, 0) => write!(f, "segment {segment}, byte {}: {}", self.offset, self.kind),
            (segment, field) => {
                write!(f, "segment {segment}, field {field}, byte {}: {}", self.offset, self.kind)
            }
        }
    }
}

impl std::error::Error for Hl7v2Error {}

/// A rule that a message breaks and [`super::Reading`] tolerates.
pub type Note = Hl7v2Error;
