//! One pass over a message: where its segments and fields are, and which rules it breaks.

use std::borrow::Cow;

use super::Reading;
use super::character_set::CharacterSet;
use super::delimiters::Delimiters;
use super::error::{Hl7v2Error, Hl7v2ErrorKind, Note};
use super::escape;
use super::message::{FieldEntry, Message, SegmentEntry};

/// Most notes kept of one message.
const MOST_NOTES: usize = 64;
/// What a byte means to the scan. Delimiters below the level of fields pass as text.
const TEXT: u8 = 0;
const FIELD: u8 = 1;
const LINE_END: u8 = 2;
const ESCAPE: u8 = 3;
const CONTROL: u8 = 4;

pub(super) fn read<'m>(bytes: &'m [u8], reading: &Reading) -> Result<Message<'m>, Hl7v2Error> {
    let at_start = |kind| Hl7v2Error { kind, offset: 0, segment: 0, field: 0 };
    if bytes.len() > reading.bytes || u32::try_from(bytes.len()).is_err() {
        return Err(at_start(Hl7v2ErrorKind::TooLarge));
    }
    let header = bytes.strip_prefix(b"MSH").ok_or_else(|| at_start(Hl7v2ErrorKind::NoHeader))?;
    let &[field, ref rest @ ..] = header else { return Err(at_start(Hl7v2ErrorKind::EncodingCharacters)) };
    let length = rest.iter().position(|byte| *byte == field || is_line_end(*byte)).unwrap_or(rest.len());
    let in_header = |kind, field| Hl7v2Error { kind, offset: 3, segment: 1, field };
    let delimiters = Delimiters::read(field, &rest[..length]).map_err(|kind| in_header(kind, 2))?;
    let mut notes = Vec::new();
    let text = decode(bytes, &delimiters, reading, &mut notes)?;
    // Latin-1 text is longer as UTF-8 than its bytes.
    if u32::try_from(text.len()).is_err() {
        return Err(at_start(Hl7v2ErrorKind::TooLarge));
    }
    let mut scan = Scan {
        classes: classes(&delimiters),
        delimiters,
        reading,
        segments: Vec::with_capacity(16),
        fields: Vec::with_capacity(text.len() / 6 + 8),
        notes,
    };
    scan.all(text.as_bytes())?;
    let Scan { segments, fields, notes, .. } = scan;
    Ok(Message { text, delimiters, segments, fields, notes })
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\r' || byte == b'\n'
}

fn classes(delimiters: &Delimiters) -> [u8; 256] {
    let mut classes = [TEXT; 256];
    classes[..32].fill(CONTROL);
    classes[127] = CONTROL;
    classes[usize::from(b'\t')] = TEXT;
    classes[usize::from(b'\r')] = LINE_END;
    classes[usize::from(b'\n')] = LINE_END;
    classes[usize::from(delimiters.field)] = FIELD;
    classes[usize::from(delimiters.escape)] = ESCAPE;
    classes
}

/// The text of the message, by MSH-18 or by what the reading allows.
fn decode<'m>(
    bytes: &'m [u8],
    delimiters: &Delimiters,
    reading: &Reading,
    notes: &mut Vec<Note>,
) -> Result<Cow<'m, str>, Hl7v2Error> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.is_ascii()
    {
        return Ok(Cow::Borrowed(text));
    }
    let header = bytes.split(|byte| is_line_end(*byte)).next().unwrap_or_default();
    // MSH-1 is the separator itself, so MSH-18 is the 18th of the parts, counted from 1.
    let declared = header.split(|byte| *byte == delimiters.field).nth(17).unwrap_or_default();
    let first = declared.split(|byte| *byte == delimiters.repetition).next().unwrap_or_default();
    let fault = |kind, offset| Hl7v2Error { kind, offset, segment: 0, field: 0 };
    let named = match CharacterSet::named(first) {
        Ok(named) => named,
        Err(kind) if !reading.guess_character_set => {
            return Err(Hl7v2Error { kind, offset: 0, segment: 1, field: 18 });
        }
        Err(kind) => {
            notes.push(Hl7v2Error { kind, offset: 0, segment: 1, field: 18 });
            None
        }
    };
    let strict = named.unwrap_or(CharacterSet::Ascii).decode(bytes);
    if !reading.guess_character_set {
        return strict.map_err(|offset| fault(Hl7v2ErrorKind::CharacterSet, offset));
    }
    // Bytes that are UTF-8 by accident are all but impossible; a wrong declaration is not.
    let (text, guessed) = match (std::str::from_utf8(bytes), named) {
        (Ok(text), named) => (Cow::Borrowed(text), named != Some(CharacterSet::Utf8)),
        (Err(_), Some(set @ (CharacterSet::Latin1 | CharacterSet::Latin9))) => {
            return set.decode(bytes).map_err(|offset| fault(Hl7v2ErrorKind::CharacterSet, offset));
        }
        (Err(_), _) => match CharacterSet::Latin1.decode(bytes) {
            Ok(text) => (text, true),
            Err(offset) => return Err(fault(Hl7v2ErrorKind::CharacterSet, offset)),
        },
    };
    if guessed {
        let offset = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
        notes.push(fault(Hl7v2ErrorKind::CharacterSet, offset));
    }
    Ok(text)
}

struct Scan<'r> {
    classes: [u8; 256],
    delimiters: Delimiters,
    reading: &'r Reading,
    segments: Vec<SegmentEntry>,
    fields: Vec<FieldEntry>,
    notes: Vec<Note>,
}

impl Scan<'_> {
    fn all(&mut self, text: &[u8]) -> Result<(), Hl7v2Error> {
        let mut at = 0;
        while at < text.len() {
            if is_line_end(text[at]) {
                at = self.blank(text, at)?;
                continue;
            }
            if self.segments.len() >= self.reading.segments {
                return Err(self.fault(Hl7v2ErrorKind::TooManySegments, at, 0));
            }
            at = self.segment(text, at)?;
        }
        Ok(())
    }

    fn fault(&self, kind: Hl7v2ErrorKind, offset: usize, field: usize) -> Hl7v2Error {
        Hl7v2Error { kind, offset, segment: self.segments.len() + 1, field }
    }

    /// Refuses, or notes where the reading tolerates it.
    fn tolerate(&mut self, tolerated: bool, fault: Hl7v2Error) -> Result<(), Hl7v2Error> {
        if !tolerated {
            return Err(fault);
        }
        if self.notes.len() < MOST_NOTES {
            self.notes.push(fault);
        }
        Ok(())
    }

    /// A line end with nothing before it: the LF of CRLF, or a blank line.
    fn blank(&mut self, text: &[u8], at: usize) -> Result<usize, Hl7v2Error> {
        let closes = text[at] == b'\n' && at > 0 && text[at - 1] == b'\r';
        let (tolerated, kind) = if closes {
            (self.reading.any_line_end, Hl7v2ErrorKind::LineEnd)
        } else {
            (self.reading.stray_lines, Hl7v2ErrorKind::SegmentName)
        };
        // One note says that lines end so: not one a line.
        let known = tolerated && closes && self.notes.iter().any(|note| note.kind == kind);
        if !known {
            self.tolerate(tolerated, self.fault(kind, at, 0))?;
        }
        Ok(at + 1)
    }

    fn segment(&mut self, text: &[u8], start: usize) -> Result<usize, Hl7v2Error> {
        let named = match text.get(start..start + 3) {
            Some(&[a, b, c]) => {
                let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
                let next = text.get(start + 3);
                let ended = next.is_none_or(|next| *next == self.delimiters.field || is_line_end(*next));
                a.is_ascii_uppercase() && rest(b) && rest(c) && ended
            }
            _ => false,
        };
        if !named {
            self.tolerate(self.reading.stray_lines, self.fault(Hl7v2ErrorKind::SegmentName, start, 0))?;
            let length = text[start..].iter().position(|byte| is_line_end(*byte));
            return Ok(length.map_or(text.len(), |length| start + length + 1));
        }
        let first_field = self.fields.len();
        let header = matches!(&text[start..start + 3], b"MSH" | b"BHS" | b"FHS");
        let mut at = start + 3;
        if header && text.get(at) == Some(&self.delimiters.field) {
            self.push(at, at + 1, true);
            let length =
                text[at + 1..].iter().position(|byte| *byte == self.delimiters.field || is_line_end(*byte));
            let end = length.map_or(text.len(), |length| at + 1 + length);
            self.push(at + 1, end, true);
            at = end;
        }
        let end = self.fields_of(text, at, first_field)?;
        if text.get(end) == Some(&b'\n')
            && !self.notes.iter().any(|note| note.kind == Hl7v2ErrorKind::LineEnd)
        {
            self.tolerate(self.reading.any_line_end, self.fault(Hl7v2ErrorKind::LineEnd, end, 0))?;
        }
        self.segments.push(SegmentEntry {
            start: offset(start),
            end: offset(end),
            first_field: offset(first_field),
            fields: offset(self.fields.len() - first_field),
        });
        Ok((end + 1).min(text.len()))
    }

    /// The fields from a separator on; the end of the segment.
    fn fields_of(&mut self, text: &[u8], separator: usize, first_field: usize) -> Result<usize, Hl7v2Error> {
        if text.get(separator) != Some(&self.delimiters.field) {
            return Ok(separator);
        }
        let mut start = separator + 1;
        let mut at = start;
        while let Some(byte) = text.get(at) {
            match self.classes[usize::from(*byte)] {
                TEXT => at += 1,
                FIELD => {
                    self.push(start, at, false);
                    at += 1;
                    start = at;
                }
                LINE_END => break,
                ESCAPE => {
                    let known = escape::end(text, at, &self.delimiters);
                    at = match known {
                        Some((end, true)) => end + 1,
                        _ => {
                            let field = self.fields.len() - first_field + 1;
                            self.tolerate(
                                self.reading.unknown_escapes,
                                self.fault(Hl7v2ErrorKind::Escape, at, field),
                            )?;
                            at + 1
                        }
                    };
                }
                _ => {
                    let field = self.fields.len() - first_field + 1;
                    self.tolerate(
                        self.reading.unknown_escapes,
                        self.fault(Hl7v2ErrorKind::ControlCharacter, at, field),
                    )?;
                    at += 1;
                }
            }
        }
        self.push(start, at, false);
        Ok(at)
    }

    fn push(&mut self, start: usize, end: usize, whole: bool) {
        self.fields.push(FieldEntry { start: offset(start), end: offset(end), whole });
    }
}

/// An offset in a text that is known to be shorter than 4 GiB.
fn offset(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
