//! Scanning bytes many at a time, without unsafe code.
//!
//! The comparisons over arrays are written so that the compiler turns them into vector instructions on
//! every machine that has them; the answer is the same where it does not.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;

/// True for the bytes that end a plain run of a JSON string: `"`, `\` and control characters.
#[inline(always)]
fn is_stop(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// True for the bytes that open or close something in JSON: brackets and quotes.
#[inline(always)]
fn is_bound(byte: u8) -> bool {
    // `[` and `{`, `]` and `}` differ in one bit.
    (byte == b'"') | (byte | 0x20 == b'{') | (byte | 0x20 == b'}')
}

/// How many bytes of the chunk stand before the first that is picked: 16 where none is.
#[inline(always)]
fn run(chunk: &[u8; 16], is: impl Fn(u8) -> bool) -> usize {
    let mut marks = [0u8; 16];
    let mut at = 0;
    while at < 16 {
        marks[at] = if is(chunk[at]) { 0xFF } else { 0 };
        at += 1;
    }
    ((u128::from_le_bytes(marks) & HIGHS).trailing_zeros() / 8) as usize
}

#[inline(always)]
fn plain_run(chunk: &[u8; 16]) -> usize {
    run(chunk, is_stop)
}

/// How many bytes are picked.
pub(super) fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    // No byte-wide sum overflows over so few bytes.
    let few = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(u8::from(is(byte))));
    bytes.chunks(192).map(|bytes| usize::from(few(bytes))).sum()
}

/// The offset of the next byte from `at` on that is picked, or the text's end.
#[inline(always)]
pub(super) fn find(bytes: &[u8], mut at: usize, is: impl Fn(u8) -> bool) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let run = run(chunk, &is);
        at += run;
        if run < 16 {
            return at;
        }
    }
    while bytes.get(at).is_some_and(|&byte| !is(byte)) {
        at += 1;
    }
    at
}

/// [`find`] for what is far away as a rule.
pub(super) fn find_far(bytes: &[u8], mut at: usize, is: impl Fn(u8) -> bool) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
        if chunk.iter().fold(false, |any, &byte| any | is(byte)) {
            break;
        }
        at += 32;
    }
    find(bytes, at, is)
}

/// The offset of the next bracket or quote from `at` on, or the text's end.
pub(super) fn next_bound(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, is_bound)
}

/// The offset of the next quote, backslash or control character from `at` on, or the text's end.
#[inline(always)]
pub(super) fn next_stop(bytes: &[u8], at: usize) -> usize {
    let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) else {
        return next_stop_far(bytes, at);
    };
    let run = plain_run(chunk);
    if run < 16 { at + run } else { next_stop_far(bytes, at + 16) }
}

/// [`next_stop`] for long strings and near the text's end.
#[inline(never)]
fn next_stop_far(bytes: &[u8], at: usize) -> usize {
    find_far(bytes, at, is_stop)
}

/// True where a text can stand in a JSON string as it is (RFC 8259 §7): most are short, and looked at by eights.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    const HIGH: u64 = HIGHS as u64;
    // A byte's high bit is set where the byte, or one below it that is found too, is looked for.
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGH;
    let stops = |word: u64| {
        less(word, b' ') | less(word ^ (ONES * b'"' as u64), 1) | less(word ^ (ONES * b'\\' as u64), 1)
    };
    let Some(last) = bytes.last_chunk::<8>() else { return !bytes.iter().any(|&byte| is_stop(byte)) };
    let (words, _) = bytes.as_chunks::<8>();
    let found = words.iter().chain([last]).fold(0, |found, word| found | stops(u64::from_le_bytes(*word)));
    found == 0
}

/// The offset of the next line feed from `at` on.
pub(super) fn next_line_feed(bytes: &[u8], at: usize) -> Option<usize> {
    let found = find_far(bytes, at, |byte| byte == b'\n');
    (found < bytes.len()).then_some(found)
}

/// The offset of the next byte that is not JSON's white space (RFC 8259 §2), or the text's end.
#[inline(always)]
pub(super) fn skip_space(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(&byte) if byte <= b' ' => skip_blank(bytes, at),
        _ => at,
    }
}

/// [`skip_space`] where one space is likely: after a colon.
#[inline(always)]
pub(super) fn skip_one_space(bytes: &[u8], at: usize) -> usize {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b' '), Some(&byte)) if byte > b' ' => at + 1,
        _ => skip_space(bytes, at),
    }
}

#[inline(never)]
fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => at += 1,
            _ => return at,
        }
        // Indentation: a run of spaces.
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let other = u64::from_le_bytes(*chunk) ^ (ONES * b' ' as u64);
            at += other.trailing_zeros() as usize / 8;
            if other != 0 {
                break;
            }
        }
    }
}

/// The text from `at` to the next quote, where that is less than sixteen bytes: as two little-endian words
/// with zeros after its end, and its length. Escapes and control characters are not looked for.
#[inline(always)]
pub(super) fn short_name(bytes: &[u8], at: usize) -> Option<([u64; 2], usize)> {
    let word = u128::from_le_bytes(*bytes.get(at..)?.first_chunk::<16>()?);
    let (low, high) = (word as u64, (word >> 64) as u64);
    let quote = first_quote(low);
    if quote != 0 {
        return Some(([low & below(quote), 0], quote.trailing_zeros() as usize / 8));
    }
    let quote = first_quote(high);
    (quote != 0).then(|| ([low, high & below(quote)], 8 + quote.trailing_zeros() as usize / 8))
}

/// The high bit of the first quote in a word is the lowest bit of the answer; no quote gives 0.
#[inline(always)]
fn first_quote(word: u64) -> u64 {
    let zeros = word ^ (ONES * b'"' as u64);
    zeros.wrapping_sub(ONES) & !zeros & HIGHS as u64
}

/// The bits of the bytes below the one whose high bit is the lowest of `mark`.
#[inline(always)]
fn below(mark: u64) -> u64 {
    (mark ^ mark.wrapping_sub(1)) >> 8
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> usize {
        bytes[at..].iter().position(|&byte| is(byte)).map_or(bytes.len(), |found| at + found)
    }

    proptest! {
        #[test]
        fn wide_scans_agree_with_byte_by_byte(text in r#"[a\\"\x01\n\t\r \x7Fè\[\]{}]{0,90}|[a è]{60,90}["\\]?"#, pick: prop::sample::Index) {
            let bytes = text.as_bytes();
            let at = pick.index(bytes.len() + 1);
            prop_assert_eq!(next_stop(bytes, at), plain(bytes, at, is_stop));
            prop_assert_eq!(is_plain(bytes), !bytes.iter().any(|&byte| is_stop(byte)));
            prop_assert_eq!(is_plain(&bytes[at..]), plain(bytes, at, is_stop) == bytes.len());
            let line = plain(bytes, at, |byte| byte == b'\n');
            prop_assert_eq!(next_line_feed(bytes, at), (line < bytes.len()).then_some(line));
            prop_assert_eq!(next_bound(bytes, at), plain(bytes, at, |byte| b"\"[]{}".contains(&byte)));
            prop_assert_eq!(count(bytes, |byte| byte == b'a'), text.matches('a').count());
            let after_space = plain(bytes, at, |byte| !b" \n\r\t".contains(&byte));
            prop_assert_eq!(skip_space(bytes, at), after_space);
            prop_assert_eq!(skip_one_space(bytes, at), after_space);
            let quote = plain(bytes, at, |byte| byte == b'"');
            let expected = (at + 16 <= bytes.len() && quote < at + 16).then_some(quote - at);
            prop_assert_eq!(short_name(bytes, at).map(|(_, len)| len), expected);
            if let Some(([low, high], len)) = short_name(bytes, at) {
                let words = [low.to_le_bytes(), high.to_le_bytes()].concat();
                prop_assert_eq!(&words[..len], &bytes[at..at + len]);
                prop_assert!(words[len..].iter().all(|&byte| byte == 0));
            }
        }
    }
}
