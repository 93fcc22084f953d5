//! Texts to numbers: one probe or two where a sorted list takes a dozen comparisons.
//!
//! The texts stay with their owner, who is asked whether a number's text is the one that is sought.

use crate::document::name::hash;

/// An open-addressing table, at most half full.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CodeIndex {
    /// Hash and number plus one; 0 for an empty slot.
    slots: Box<[(u32, u32)]>,
}

impl CodeIndex {
    /// The index of these texts by their place. Of equal texts the first is found.
    pub fn of<'t>(texts: impl ExactSizeIterator<Item = &'t str>) -> CodeIndex {
        let size = (texts.len() * 2 + 1).next_power_of_two();
        let mut slots = vec![(0u32, 0u32); size];
        for (number, text) in (1u32..).zip(texts) {
            let hash = hash(text.as_bytes()) as u32;
            let mut slot = hash as usize & (size - 1);
            while slots.get(slot).is_some_and(|(_, number)| *number != 0) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = slots.get_mut(slot) {
                *free = (hash, number);
            }
        }
        CodeIndex { slots: slots.into() }
    }

    /// The number whose text is this one; `is` compares.
    pub fn find(&self, text: &str, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = hash(text.as_bytes()) as u32;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots.get(slot)? {
                (_, 0) => return None,
                (own, number) if *own == hash && is(*number as usize - 1) => {
                    return Some(*number as usize - 1);
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_code_is_found_where_it_stands(codes in prop::collection::vec("[a-c]{0,3}|[a-z]{20,30}", 0..40), other in "[a-d]{0,3}") {
            let index = CodeIndex::of(codes.iter().map(String::as_str));
            for code in codes.iter().chain([&other]) {
                let found = index.find(code, |number| codes.get(number) == Some(code));
                prop_assert_eq!(found.and_then(|number| codes.get(number)), codes.iter().find(|it| *it == code));
            }
        }
    }
}
