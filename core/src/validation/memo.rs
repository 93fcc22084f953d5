//! Answers that were found once and hold for good: asking again is one comparison and takes no lock.
//!
//! Real data says the same few things over and over. A [`Memo`] keeps answers that follow from the definitions
//! alone, in a table of fixed size: what finds no room is worked out again. Invariant: an answer once kept never
//! changes, and nothing that grows with the input is kept beyond the table.

use std::sync::OnceLock;

/// How many slots may hold a key.
const PROBES: usize = 4;

type Kept<const N: usize, V> = OnceLock<([Box<str>; N], V)>;

/// Values by keys of `N` texts.
#[derive(Debug)]
pub(super) struct Memo<const N: usize, V> {
    size: usize,
    /// Made when the first answer is kept.
    slots: OnceLock<Box<[Kept<N, V>]>>,
}

impl<const N: usize, V> Memo<N, V> {
    /// A memo of at most `size` answers, a power of two.
    pub const fn new(size: usize) -> Memo<N, V> {
        Memo { size, slots: OnceLock::new() }
    }

    /// The answer kept for this key.
    #[inline]
    pub fn get(&self, key: [&str; N]) -> Option<&V> {
        let slots = self.slots.get()?;
        let start = hash(key);
        for probe in 0..PROBES {
            let (own, value) = slots.get((start + probe) & (self.size - 1))?.get()?;
            if own.iter().zip(key).all(|(own, text)| **own == *text) {
                return Some(value);
            }
        }
        None
    }

    /// Keeps an answer, where there is room.
    #[cold]
    pub fn keep(&self, key: [&str; N], value: V) {
        let slots = self.slots.get_or_init(|| (0..self.size).map(|_| OnceLock::new()).collect());
        let start = hash(key);
        let free = (0..PROBES).find_map(|probe| {
            slots.get((start + probe) & (self.size - 1)).filter(|slot| slot.get().is_none())
        });
        if let Some(free) = free {
            // Another thread may have been quicker: then the answer is worked out again next time.
            let _ = free.set((key.map(Box::from), value));
        }
    }
}

/// Spreads texts over the table. Whoever chooses texts that collide only makes them slower.
#[inline]
fn hash<const N: usize>(key: [&str; N]) -> usize {
    let mut mixed = 0u64;
    let mut add = |word: u64| mixed = (mixed.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for text in key {
        let (words, tail) = text.as_bytes().as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        add(u64::from_le_bytes(last) ^ (text.len() as u64) << 56);
    }
    (mixed >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_and_nothing_else() {
        let memo: Memo<2, usize> = Memo::new(64);
        assert_eq!(memo.get(["http://loinc.org", "718-7"]), None);
        memo.keep(["http://loinc.org", "718-7"], 1);
        memo.keep(["http://loinc.org", "718-8"], 2);
        assert_eq!(memo.get(["http://loinc.org", "718-7"]), Some(&1));
        assert_eq!(memo.get(["http://loinc.org", "718-8"]), Some(&2));
        assert_eq!(memo.get(["http://loinc.org7", "18-7"]), None);
    }

    #[test]
    fn a_full_memo_forgets_the_new_and_keeps_the_old() {
        let memo: Memo<1, usize> = Memo::new(8);
        for number in 0..100 {
            memo.keep([&number.to_string()], number);
        }
        let kept = (0..100).filter(|number| memo.get([&number.to_string()]) == Some(number)).count();
        assert!((1..=8).contains(&kept), "{kept}");
    }
}
