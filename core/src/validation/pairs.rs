//! Tables of what was checked against which profile: by node, and by the address of the profile.
//!
//! Both are numbers of our own, so that the keyed hash of the standard tables guards against nothing here.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use fhir_models::document::NodeId;

/// Nodes with profiles.
pub(super) type PairSet = HashSet<(NodeId, usize), BuildHasherDefault<Mixer>>;
/// The same with a value each.
pub(super) type PairMap<V> = HashMap<(NodeId, usize), V, BuildHasherDefault<Mixer>>;

/// Mixes a few numbers.
#[derive(Debug, Default)]
pub(super) struct Mixer(u64);

impl Mixer {
    fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.add(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        // The tables look at both ends.
        self.0 ^ self.0 >> 32
    }
}
