//! Numbers that look random and are always the same: SplitMix64.

/// A generator whose whole state is its seed.
#[derive(Debug, Clone)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// The numbers of one person or document of a population.
    pub(super) fn of(seed: u64, number: u64) -> Numbers {
        let mut mixed = Numbers(seed);
        let first = mixed.next();
        Numbers(first ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to and without `end`; 0 where `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// One of the choices; they must not be none.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T], first: &'a T) -> &'a T {
        let at = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices.get(at).unwrap_or(first)
    }

    /// True once in `times`.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
