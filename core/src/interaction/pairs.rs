//! Names and values of a query or form (WHATWG URL §5.1, `application/x-www-form-urlencoded`).

use super::error::{InteractionError, ShownName};
use super::percent::decode_parameter;
use super::search::MOST_PARAMETERS;

/// The longest query and the longest form that are read, in bytes.
pub const LONGEST_QUERY: usize = 64 << 10;

/// A decoded name and value.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
}

/// Appends the pairs of a query or form.
pub(super) fn read(raw: &[u8], pairs: &mut Vec<Pair>) -> Result<(), InteractionError> {
    if raw.len() > LONGEST_QUERY {
        return Err(InteractionError::TooMuch { what: "bytes of parameters", limit: LONGEST_QUERY });
    }
    for piece in raw.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()) {
        if pairs.len() >= MOST_PARAMETERS {
            return Err(InteractionError::TooMuch { what: "parameters", limit: MOST_PARAMETERS });
        }
        let mut halves = piece.splitn(2, |&byte| byte == b'=');
        let name = decode_parameter(halves.next().unwrap_or_default())?;
        let value = decode_parameter(halves.next().unwrap_or_default())?;
        if name.is_empty() || value.is_empty() {
            return Err(InteractionError::BadValue {
                name: ShownName::of(name.split(':').next().unwrap_or_default()),
                expected: "given: leave the parameter out instead of leaving it empty",
            });
        }
        pairs.push(Pair { name, value });
    }
    Ok(())
}
