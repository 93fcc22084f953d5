//! A part of a segment: a field, one of its repetitions, a component or a subcomponent.
//!
//! Invariant: parts are counted from 1, as HL7 counts; a part that is not sent is `None`, one that is sent as `""`
//! is null (§2.5.3): the receiver deletes what it has.

use std::borrow::Cow;

use super::delimiters::Delimiters;
use super::escape::unescape;

/// Some of a message's text, with its place.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
    pub(super) delimiters: &'a Delimiters,
    /// True for MSH-1 and MSH-2, where delimiters mean themselves.
    pub(super) whole: bool,
}

impl<'a> Part<'a> {
    /// As it is written, escapes and delimiters included.
    pub fn raw(self) -> &'a str {
        self.text
    }

    /// Where it begins, in bytes of the message's text.
    pub fn offset(self) -> usize {
        self.offset
    }

    /// True where nothing was sent.
    pub fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// True for `""`: the sender wants the value deleted.
    pub fn is_null(self) -> bool {
        self.text == "\"\""
    }

    /// The value, escapes resolved: of its first subcomponent where it has parts (§2.8.2: a receiver that expects
    /// one takes the first). `None` where nothing or null was sent.
    pub fn value(self) -> Option<Cow<'a, str>> {
        let leaf = if self.whole { self } else { self.first() };
        if leaf.text.is_empty() || leaf.is_null() {
            return None;
        }
        Some(if leaf.whole { Cow::Borrowed(leaf.text) } else { unescape(leaf.text, self.delimiters) })
    }

    fn first(self) -> Part<'a> {
        let Delimiters { component, repetition, subcomponent, .. } = *self.delimiters;
        let end = self
            .text
            .bytes()
            .position(|byte| byte == component || byte == repetition || byte == subcomponent);
        Part { text: end.map_or(self.text, |end| &self.text[..end]), ..self }
    }

    /// The repetitions of a field; one for a field that is sent once, none for one that is not sent.
    pub fn repetitions(self) -> impl Iterator<Item = Part<'a>> {
        let sent = !self.text.is_empty();
        self.split(self.delimiters.repetition).filter(move |_| sent)
    }

    /// The components of a repetition (of the first, if it is a whole field).
    pub fn components(self) -> impl Iterator<Item = Part<'a>> {
        self.leading(self.delimiters.repetition).split(self.delimiters.component)
    }

    /// A component, counted from 1. `None` where it isn't sent or is empty.
    pub fn component(self, number: usize) -> Option<Part<'a>> {
        self.components().nth(number.checked_sub(1)?).filter(|part| !part.is_empty())
    }

    /// The subcomponents of a component (of the first, if it is more than one).
    pub fn subcomponents(self) -> impl Iterator<Item = Part<'a>> {
        self.leading(self.delimiters.repetition)
            .leading(self.delimiters.component)
            .split(self.delimiters.subcomponent)
    }

    /// A subcomponent, counted from 1. `None` where it isn't sent or is empty.
    pub fn subcomponent(self, number: usize) -> Option<Part<'a>> {
        self.subcomponents().nth(number.checked_sub(1)?).filter(|part| !part.is_empty())
    }

    /// The value of a component: `component(n)` and [`Part::value`].
    pub fn text(self, component: usize) -> Option<Cow<'a, str>> {
        self.component(component)?.value()
    }

    fn leading(self, delimiter: u8) -> Part<'a> {
        let end = if self.whole { None } else { self.text.bytes().position(|byte| byte == delimiter) };
        Part { text: end.map_or(self.text, |end| &self.text[..end]), ..self }
    }

    fn split(self, delimiter: u8) -> Split<'a> {
        Split { rest: Some(self), delimiter }
    }
}

/// The parts of a text between delimiters.
struct Split<'a> {
    rest: Option<Part<'a>>,
    delimiter: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = self.rest?;
        let found = if rest.whole { None } else { rest.text.bytes().position(|byte| byte == self.delimiter) };
        let Some(end) = found else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = Some(Part { text: &rest.text[end + 1..], offset: rest.offset + end + 1, ..rest });
        Some(Part { text: &rest.text[..end], ..rest })
    }
}
