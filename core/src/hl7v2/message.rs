//! A message that was read, and its segments.

use std::borrow::Cow;

use super::Reading;
use super::delimiters::Delimiters;
use super::error::{Hl7v2Error, Note};
use super::part::Part;
use super::path::Path;
use super::read::read;

#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentEntry {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) first_field: u32,
    pub(super) fields: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct FieldEntry {
    pub(super) start: u32,
    pub(super) end: u32,
    /// MSH-1 and MSH-2: delimiters mean themselves there.
    pub(super) whole: bool,
}

/// A message over its text.
#[derive(Debug, Clone)]
pub struct Message<'m> {
    pub(super) text: Cow<'m, str>,
    pub(super) delimiters: Delimiters,
    pub(super) segments: Vec<SegmentEntry>,
    pub(super) fields: Vec<FieldEntry>,
    pub(super) notes: Vec<Note>,
}

/// MSH-9: what a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageType<'a> {
    /// MSH-9.1, such as `ADT`.
    pub code: Cow<'a, str>,
    /// MSH-9.2, such as `A01`; empty where it isn't sent.
    pub event: Cow<'a, str>,
    /// MSH-9.3, such as `ADT_A01`; empty where it isn't sent.
    pub structure: Cow<'a, str>,
}

impl<'m> Message<'m> {
    /// Reads a message.
    ///
    /// # Errors
    /// The first rule that the message breaks and `reading` doesn't tolerate, with its place.
    pub fn parse(bytes: &'m [u8], reading: &Reading) -> Result<Message<'m>, Hl7v2Error> {
        read(bytes, reading)
    }

    /// The message as text, whatever its character set was.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The delimiters that MSH-1 and MSH-2 name.
    pub fn delimiters(&self) -> &Delimiters {
        &self.delimiters
    }

    /// The rules that the message breaks and the reading tolerates, at most 64.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Its segments in order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_>> {
        self.segments.iter().enumerate().map(|(index, entry)| Segment { message: self, entry, index })
    }

    /// The segments with a name.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Segment<'a>> {
        self.segments().filter(move |segment| segment.name() == name)
    }

    /// The first segment with a name.
    pub fn first(&self, name: &str) -> Option<Segment<'_>> {
        self.named(name).next()
    }

    /// A field of the header, MSH.
    pub fn header(&self, field: usize) -> Option<Part<'_>> {
        self.segments().next()?.field(field)
    }

    /// MSH-9.
    pub fn message_type(&self) -> MessageType<'_> {
        let part = |number| self.header(9).and_then(|field| field.text(number)).unwrap_or_default();
        MessageType { code: part(1), event: part(2), structure: part(3) }
    }

    /// The values at a path, escapes resolved; none for what is not sent.
    pub fn values<'a>(&'a self, path: &Path) -> impl Iterator<Item = Cow<'a, str>> {
        path.parts(self).filter_map(Part::value)
    }

    /// The first value at a path.
    pub fn value(&self, path: &Path) -> Option<Cow<'_, str>> {
        self.values(path).next()
    }
}

/// One segment of a message.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    message: &'a Message<'a>,
    entry: &'a SegmentEntry,
    index: usize,
}

impl<'a> Segment<'a> {
    /// Its name, three characters such as `PID`.
    pub fn name(self) -> &'a str {
        let start = self.entry.start as usize;
        self.message.text.get(start..start + 3).unwrap_or_default()
    }

    /// The whole segment as it is written, without its end.
    pub fn raw(self) -> &'a str {
        self.message.text.get(self.entry.start as usize..self.entry.end as usize).unwrap_or_default()
    }

    /// Which segment of the message it is, counted from 1.
    pub fn position(self) -> usize {
        self.index + 1
    }

    /// Where it begins, in bytes of the message's text.
    pub fn offset(self) -> usize {
        self.entry.start as usize
    }

    /// How many fields are sent, empty ones between others included.
    pub fn field_count(self) -> usize {
        self.entry.fields as usize
    }

    /// A field, counted from 1 as HL7 counts (MSH-1 is the field separator). `None` where it isn't sent or is empty.
    pub fn field(self, number: usize) -> Option<Part<'a>> {
        if number == 0 || number > self.field_count() {
            return None;
        }
        let entry = self.message.fields.get(self.entry.first_field as usize + number - 1)?;
        let text = self.message.text.get(entry.start as usize..entry.end as usize)?;
        let part = Part {
            text,
            offset: entry.start as usize,
            delimiters: &self.message.delimiters,
            whole: entry.whole,
        };
        Some(part).filter(|part| !part.is_empty())
    }

    /// The value of a field: `field(n)` and [`Part::value`].
    pub fn text(self, field: usize) -> Option<Cow<'a, str>> {
        self.field(field)?.value()
    }
}
