//! `base64Binary` (FHIR R4 §2.24.0.1, RFC 4648 §4).
//!
//! White space may stand between groups of four characters, as the specification's grammar
//! `(\s*([0-9a-zA-Z\+\/=]){4}\s*)+` allows; padding stands at the end only.

use super::{Primitive, PrimitiveError};

const SPACE: u8 = 1;
const PAD: u8 = 2;
const OTHER: u8 = 4;

/// What each byte is: 0 for the 64 characters of the alphabet.
const CLASS: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || b == b'+' || b == b'/' {
            table[byte] = 0;
        } else if b == b' ' || b == b'\t' || b == b'\n' || b == b'\r' {
            table[byte] = SPACE;
        } else if b == b'=' {
            table[byte] = PAD;
        }
        byte += 1;
    }
    table
};

fn class(byte: u8) -> u8 {
    CLASS[usize::from(byte)]
}

pub(super) fn base64(text: &str) -> Result<(), PrimitiveError> {
    let grammar = PrimitiveError::Grammar(Primitive::Base64Binary);
    let mut rest = text.as_bytes();
    let mut groups = 0usize;
    let mut ended = false;
    loop {
        if let Some((&[a, b, c, d], after)) = rest.split_first_chunk::<4>()
            && class(a) | class(b) | class(c) | class(d) == 0
            && !ended
        {
            groups += 1;
            rest = after;
            continue;
        }
        let skipped = rest.iter().take_while(|&&byte| class(byte) == SPACE).count();
        rest = rest.get(skipped..).unwrap_or_default();
        if rest.is_empty() {
            return if groups > 0 { Ok(()) } else { Err(PrimitiveError::Empty) };
        }
        let Some((&[a, b, c, d], after)) = rest.split_first_chunk::<4>() else { return Err(grammar) };
        if ended || class(a) | class(b) != 0 {
            return Err(grammar);
        }
        ended = match (class(c), class(d)) {
            (0, 0) => false,
            (0, PAD) | (PAD, PAD) => true,
            _ => return Err(grammar),
        };
        groups += 1;
        rest = after;
    }
}
