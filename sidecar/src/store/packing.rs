//! Compression in LZ4's block format against one text whose index is made by the compiler.
//!
//! A general compressor indexes its dictionary again for each block, which takes longer than to compress a record. Here
//! matches are found in the dictionary, and among the record's own bytes that did not come from it. Any LZ4 decoder
//! reads what is written, given the dictionary.
//!
//! Invariants of the format: a match is at least four bytes long, at most 65,535 back, begins twelve bytes before the end
//! and ends five before it, or earlier.

/// The shortest match that is looked for: shorter ones save nothing.
const SHORTEST: usize = 6;
/// The least length that the format writes.
const LEAST: usize = 4;
/// Bytes at the end in which no match begins.
const TAIL: usize = 12;
/// Bytes at the end that no match reaches.
const LITERAL_TAIL: usize = 5;
/// Furthest that a match may look back.
const FURTHEST: usize = 65_535;
const SLOTS: usize = 1 << 13;
const OWN_SLOTS: usize = 1 << 9;

/// A text that others are compressed against.
pub(super) struct Dictionary {
    text: &'static [u8],
    /// By the hash of the six bytes there: one more than the last place where they stand.
    places: [u16; SLOTS],
}

/// The eight bytes of a text from a place on, which must be there.
const fn word(text: &[u8], at: usize) -> u64 {
    let mut word = 0;
    let mut number = 8;
    while number > 0 {
        number -= 1;
        word = word << 8 | text[at + number] as u64;
    }
    word
}

/// Of the first six bytes of a word.
const fn hash(word: u64) -> u64 {
    (word << 16).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

const fn slot(hash: u64) -> usize {
    (hash >> 51) as usize
}

const fn own_slot(hash: u64) -> usize {
    (hash >> 55) as usize
}

impl Dictionary {
    /// Indexes a text of less than 64 KB.
    pub const fn new(text: &'static [u8]) -> Dictionary {
        assert!(text.len() < FURTHEST);
        let mut places = [0; SLOTS];
        let mut at = 0;
        while at + 8 <= text.len() {
            places[slot(hash(word(text, at)))] = at as u16 + 1;
            at += 1;
        }
        Dictionary { text, places }
    }

    /// The text.
    pub const fn text(&self) -> &'static [u8] {
        self.text
    }

    /// Adds the compressed record to `out`.
    pub fn compress(&self, record: &[u8], out: &mut Vec<u8>) {
        let matched = record.len().saturating_sub(LITERAL_TAIL);
        let mut own = [0u16; OWN_SLOTS];
        let (mut at, mut written) = (0, 0);
        while at + TAIL <= record.len() {
            let Some(next) = record.get(at..).and_then(|rest| rest.first_chunk()) else { break };
            let hash = hash(u64::from_le_bytes(*next));
            let rest = record.get(at..matched).unwrap_or_default();
            let found = self.find(hash, rest, at).or_else(|| {
                let place = usize::from(own[own_slot(hash)]).checked_sub(1)?;
                usable(common(rest, record.get(place..at)?), at - place)
            });
            let Some((length, back)) = found else {
                // What stands further on than can be said here is not found again.
                own[own_slot(hash)] = u16::try_from(at + 1).unwrap_or_default();
                at += 1;
                continue;
            };
            sequence(record.get(written..at).unwrap_or_default(), Some((length, back)), out);
            at += length;
            written = at;
        }
        sequence(record.get(written..).unwrap_or_default(), None, out);
    }

    /// The length of a match in the dictionary, and how far back it begins.
    #[inline(always)]
    fn find(&self, hash: u64, rest: &[u8], at: usize) -> Option<(usize, usize)> {
        let place = usize::from(self.places[slot(hash)]).checked_sub(1)?;
        let back = at + self.text.len() - place;
        usable(common(rest, self.text.get(place..)?), back)
    }
}

/// A match of this length, so far back, where it saves something and the format can say it.
#[inline(always)]
fn usable(length: usize, back: usize) -> Option<(usize, usize)> {
    (length >= SHORTEST && back <= FURTHEST).then_some((length, back))
}

/// How many bytes two texts begin with alike.
#[inline(always)]
fn common(one: &[u8], other: &[u8]) -> usize {
    let mut length = 0;
    for (one, other) in one.as_chunks().0.iter().zip(other.as_chunks().0) {
        let differing = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differing != 0 {
            return length + (differing.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = one.iter().skip(length).zip(other.iter().skip(length));
    length + rest.take_while(|(one, other)| one == other).count()
}

/// Literals, and the match after them: its length and how far back it begins.
fn sequence(literals: &[u8], found: Option<(usize, usize)>, out: &mut Vec<u8>) {
    let (length, back) = found.map_or((0, None), |(length, back)| (length - LEAST, Some(back)));
    out.push((literals.len().min(15) << 4 | length.min(15)) as u8);
    more(literals.len(), out);
    out.extend_from_slice(literals);
    if let Some(back) = back {
        out.extend_from_slice(&(back as u16).to_le_bytes());
        more(length, out);
    }
}

/// The part of a length that its four bits don't hold.
fn more(length: usize, out: &mut Vec<u8>) {
    let Some(mut left) = length.checked_sub(15) else { return };
    while left >= 255 {
        out.push(255);
        left -= 255;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use lz4_flex::block::{compress_with_dict, decompress_with_dict};
    use proptest::prelude::*;

    use super::*;

    static WORDS: Dictionary =
        Dictionary::new(b"the patient's consent was given in May, withdrawn by letter and confirmed on call");

    fn round(record: &[u8]) -> usize {
        let mut packed = Vec::new();
        WORDS.compress(record, &mut packed);
        assert_eq!(decompress_with_dict(&packed, record.len(), WORDS.text()).unwrap(), record);
        packed.len()
    }

    #[test]
    fn a_whole_dictionary_is_one_match_and_the_tail() {
        assert_eq!(round(WORDS.text()), 1 + 2 + 1 + 1 + LITERAL_TAIL);
    }

    #[test]
    fn what_stands_twice_is_found_in_the_record_itself() {
        let id = b"0199c2f1-aaaa-7bbb-8ccc-0123456789ab";
        let twice = [id.as_slice(), b"; ", id, b"; the end of it"].concat();
        assert!(round(&twice) < id.len() + 24);
    }

    #[test]
    fn what_stands_further_back_than_the_format_can_say_is_written_again() {
        let id = b"0199c2f1-aaaa-7bbb-8ccc-0123456789ab";
        round(&[id.as_slice(), &WORDS.text().repeat(2_000), id, b"; the end of it"].concat());
    }

    #[test]
    fn a_long_record_is_packed_within_what_the_format_says() {
        let long: Vec<u8> =
            (0..200_000u32).flat_map(|number| (number / 7).to_string().into_bytes()).collect();
        round(&long);
        round(&vec![b'a'; 300_000]);
    }

    proptest! {
        #[test]
        fn any_decoder_gives_the_record_back(record in proptest::collection::vec(97u8..101, 0..3_000)) {
            round(&record);
        }

        #[test]
        fn what_repeats_over_more_than_the_format_looks_back(
            record in proptest::collection::vec(97u8..101, 1..300), times in 1usize..400
        ) {
            round(&record.repeat(times));
        }

        #[test]
        fn pieces_of_the_dictionary_between_anything(
            pieces in proptest::collection::vec((0usize..60, 0usize..30, any::<[u8; 3]>()), 0..60)
        ) {
            let mut record = Vec::new();
            for (from, length, between) in pieces {
                record.extend_from_slice(&WORDS.text()[from..(from + length).min(WORDS.text().len())]);
                record.extend_from_slice(&between);
            }
            let ours = round(&record);
            // No worse than a general compressor by more than what short records differ by.
            prop_assert!(ours <= compress_with_dict(&record, WORDS.text()).len() + record.len() / 4 + 16);
        }
    }
}
