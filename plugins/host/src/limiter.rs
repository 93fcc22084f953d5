//! Holds one call to its memory and table limits.
//!
//! A guest that asks for more is stopped there and then, and the reason is kept, so that it isn't mistaken for a panic.
//! A component may be made of parts with a memory each: the limit holds for their sum.

use std::{error::Error, fmt};

use wasmtime::ResourceLimiter;

use crate::engine::TABLE_ELEMENTS;

/// The guest asked for more than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReached {
    /// Linear memory.
    Memory,
    /// Table elements.
    Table,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Memory => "the memory limit is reached",
            Self::Table => "the table limit is reached",
        })
    }
}

impl Error for LimitReached {}

/// The limits of one call.
#[derive(Debug)]
pub struct CallLimiter {
    memory_bytes: usize,
    held: usize,
}

impl CallLimiter {
    pub fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes, held: 0 }
    }

    /// Bytes of linear memory that the call holds. Memory only grows: this is also the most that it held.
    pub fn held(&self) -> usize {
        self.held
    }
}

impl ResourceLimiter for CallLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let held = self.held.saturating_add(desired.saturating_sub(current));
        if held > self.memory_bytes {
            return Err(wasmtime::Error::new(LimitReached::Memory));
        }
        self.held = held;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(wasmtime::Error::new(LimitReached::Table));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_memories_of_a_component_share_one_limit() {
        let mut limiter = CallLimiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 30, None).unwrap());
        let refused = limiter.memory_growing(30, 41, None).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&LimitReached::Memory));
        assert_eq!(limiter.held(), 90);
        assert!(limiter.memory_growing(60, 70, None).unwrap());
    }
}
