//! Places in a message as people write them: `PID-3`, `PID-3.4.1`, `PID-3[2].1`, `OBX[2]-5`.
//!
//! A place without a number in brackets means every occurrence of the segment and every repetition of the field.

use std::fmt;
use std::str::FromStr;

use super::message::{Message, Segment};
use super::part::Part;

/// Why a text is not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place is written SEG-FIELD, with .COMPONENT and .SUBCOMPONENT and [REPETITION] where needed: PID-3[1].4.1"
)]
pub struct PathError;

/// A place in a message. Numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    segment: [u8; 3],
    /// Which occurrence of the segment; 0 for all.
    occurrence: u16,
    field: u16,
    /// Which repetition; 0 for all.
    repetition: u16,
    /// 0 for the whole repetition.
    component: u16,
    /// 0 for the whole component.
    subcomponent: u16,
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Path, PathError> {
        let bytes = text.as_bytes();
        let &[a, b, c, ref rest @ ..] = bytes else { return Err(PathError) };
        let capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if !a.is_ascii_uppercase() || !capital(b) || !capital(c) {
            return Err(PathError);
        }
        let (occurrence, rest) = bracketed(rest)?;
        let (field, rest) = number(rest.strip_prefix(b"-").ok_or(PathError)?)?;
        let (repetition, mut rest) = bracketed(rest)?;
        let mut parts = [0; 2];
        for part in &mut parts {
            if let Some(after) = rest.strip_prefix(b".") {
                (*part, rest) = number(after)?;
            }
        }
        if !rest.is_empty() {
            return Err(PathError);
        }
        let [component, subcomponent] = parts;
        Ok(Path { segment: [a, b, c], occurrence, field, repetition, component, subcomponent })
    }
}

fn bracketed(text: &[u8]) -> Result<(u16, &[u8]), PathError> {
    let Some(inner) = text.strip_prefix(b"[") else { return Ok((0, text)) };
    let (value, rest) = number(inner)?;
    Ok((value, rest.strip_prefix(b"]").ok_or(PathError)?))
}

fn number(text: &[u8]) -> Result<(u16, &[u8]), PathError> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    value.filter(|value| *value > 0).map(|value| (value, rest)).ok_or(PathError)
}

impl Path {
    /// The name of the segment.
    pub fn segment(&self) -> &str {
        std::str::from_utf8(&self.segment).unwrap_or_default()
    }

    /// The place of a part of one segment; `repetition`, `component` and `subcomponent` are 0 for the whole.
    pub fn of(segment: Segment<'_>, occurrence: u16, field: u16, repetition: u16, component: u16) -> Path {
        let mut name = [b'?'; 3];
        name.copy_from_slice(segment.name().as_bytes().get(..3).unwrap_or(b"???"));
        Path { segment: name, occurrence, field, repetition, component, subcomponent: 0 }
    }

    /// What stands there, in the order of the message.
    pub(super) fn parts<'a>(&self, message: &'a Message<'_>) -> impl Iterator<Item = Part<'a>> {
        let path = *self;
        let all = message.segments().filter(move |segment| segment.name().as_bytes() == path.segment);
        let chosen = all.enumerate().filter(move |(index, _)| chosen(path.occurrence, *index));
        chosen.flat_map(move |(_, segment)| path.within(segment))
    }

    /// What stands there in one segment.
    fn within<'a>(self, segment: Segment<'a>) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let repetitions = segment.field(usize::from(self.field)).into_iter().flat_map(Part::repetitions);
        repetitions.enumerate().filter(move |(index, _)| chosen(self.repetition, *index)).filter_map(
            move |(_, repetition)| {
                let component = match self.component {
                    0 => return Some(repetition),
                    number => repetition.component(usize::from(number))?,
                };
                match self.subcomponent {
                    0 => Some(component),
                    number => component.subcomponent(usize::from(number)),
                }
            },
        )
    }
}

fn chosen(wanted: u16, index: usize) -> bool {
    wanted == 0 || usize::from(wanted) == index + 1
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.segment())?;
        if self.occurrence > 0 {
            write!(f, "[{}]", self.occurrence)?;
        }
        write!(f, "-{}", self.field)?;
        if self.repetition > 0 {
            write!(f, "[{}]", self.repetition)?;
        }
        for part in [self.component, self.subcomponent].into_iter().take_while(|part| *part > 0) {
            write!(f, ".{part}")?;
        }
        Ok(())
    }
}

impl Path {
    /// The place as ERR-2 has it (type ERL): segment, occurrence, field, repetition, component, subcomponent.
    pub(super) fn components(&self, delimiter: char) -> String {
        let numbers =
            [self.occurrence.max(1), self.field, self.repetition.max(1), self.component, self.subcomponent];
        let sent = numbers.iter().rposition(|number| *number > 0).map_or(0, |last| last + 1);
        let sent = if self.component == 0 && self.repetition == 0 { sent.min(2) } else { sent };
        let mut out = self.segment().to_owned();
        for number in &numbers[..sent] {
            out.push(delimiter);
            out.push_str(&number.to_string());
        }
        out
    }
}
