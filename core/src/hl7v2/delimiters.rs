//! The characters that separate the parts of a message (HL7 v2.5.1 §2.5.4): each message names its own in MSH-1
//! and MSH-2.
//!
//! Invariant: all of them are different printable ASCII characters, neither letters, digits nor space.

use super::error::Hl7v2ErrorKind;

/// The delimiters of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiters {
    /// Between fields: MSH-1, `|` by custom.
    pub field: u8,
    /// Between components: `^`.
    pub component: u8,
    /// Between repetitions of a field: `~`.
    pub repetition: u8,
    /// Around escapes: `\`.
    pub escape: u8,
    /// Between subcomponents: `&`.
    pub subcomponent: u8,
    /// Marks a truncated value, from v2.7 on: `#`.
    pub truncation: Option<u8>,
}

impl Default for Delimiters {
    /// `|^~\&`, as the standard recommends.
    fn default() -> Delimiters {
        Delimiters {
            field: b'|',
            component: b'^',
            repetition: b'~',
            escape: b'\\',
            subcomponent: b'&',
            truncation: None,
        }
    }
}

impl Delimiters {
    /// Reads them from MSH-1 and MSH-2.
    pub(super) fn read(field: u8, encoding: &[u8]) -> Result<Delimiters, Hl7v2ErrorKind> {
        let &[component, repetition, escape, subcomponent, ref rest @ ..] = encoding else {
            return Err(Hl7v2ErrorKind::EncodingCharacters);
        };
        let truncation = match rest {
            [] => None,
            [one] => Some(*one),
            _ => return Err(Hl7v2ErrorKind::EncodingCharacters),
        };
        let all = [field, component, repetition, escape, subcomponent, truncation.unwrap_or(0)];
        for (index, one) in all.iter().enumerate() {
            let absent = index == 5 && truncation.is_none();
            if !absent && (!one.is_ascii_punctuation() || all[..index].contains(one)) {
                return Err(Hl7v2ErrorKind::EncodingCharacters);
            }
        }
        Ok(Delimiters { field, component, repetition, escape, subcomponent, truncation })
    }

    /// MSH-2 as it is written.
    pub fn encoding_characters(&self) -> String {
        [
            Some(self.component),
            Some(self.repetition),
            Some(self.escape),
            Some(self.subcomponent),
            self.truncation,
        ]
        .into_iter()
        .flatten()
        .map(char::from)
        .collect()
    }
}
