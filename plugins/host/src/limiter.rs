//! Holds one call to its memory and table limits.
//!
//! A guest that asks for more is stopped there and then, and the reason is kept, so that it isn't mistaken for a panic.

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
}

impl CallLimiter {
    pub fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes }
    }
}

impl ResourceLimiter for CallLimiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory_bytes {
            return Err(wasmtime::Error::new(LimitReached::Memory));
        }
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
