//! Bytes as hexadecimal digits (RFC 4648 §8): digests and identifiers in files, headers and settings.

/// The digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    all
};

/// Two small digits for each byte.
pub fn write(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len().saturating_mul(2)];
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits.copy_from_slice(&DIGITS[usize::from(*byte)]);
    }
    // Digits are ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// The bytes of exactly so many digits, small or large; `None` for anything else.
pub fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

/// A digest as people write it: colons may stand between the digits.
pub fn read_fingerprint(text: &str) -> Option<[u8; 32]> {
    read(&text.replace(':', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        assert_eq!(write(&[0, 0x0f, 0xa5, 0xff]), "000fa5ff");
        assert_eq!(read("000fA5ff"), Some([0, 0x0f, 0xa5, 0xff]));
        for bad in ["", "000fa5f", "000fa5ff0", "+00fa5ff", "000fa5fg", "000fa5è"] {
            assert_eq!(read::<4>(bad), None, "{bad}");
        }
        assert_eq!(read_fingerprint(&["0F"; 32].join(":")), Some([15; 32]));
    }
}
