//! What can be wrong with a stream.

use std::io;

use super::source::Place;
use crate::document::{Position, SyntaxErrorKind};

/// A stream that can't be read on: what is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{kind} ({position})")]
pub struct StreamError {
    /// What is wrong.
    pub kind: StreamErrorKind,
    /// Byte offset in the stream.
    pub offset: u64,
    /// The same place as line and column.
    pub position: Position,
}

/// Why a stream can't be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamErrorKind {
    /// The reader failed.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// The text is not a document.
    #[error("{0}")]
    Syntax(#[from] SyntaxErrorKind),
    /// The outermost value is not a Bundle.
    #[error("this is not a Bundle: its resourceType must be \"Bundle\"")]
    NotABundle,
    /// `entry` is not an array.
    #[error("Bundle.entry must be an array")]
    EntryNotArray,
    /// An entry is not an object.
    #[error("an entry of a Bundle must be an object")]
    EntryNotObject,
    /// The stream is read on after an error.
    #[error("the stream failed before; what follows is not known")]
    Failed,
}

impl StreamError {
    pub(super) fn at(kind: impl Into<StreamErrorKind>, place: &Place) -> StreamError {
        StreamError { kind: kind.into(), offset: place.offset(), position: place.position() }
    }

    /// True where a limit, not the grammar, was broken: a server answers 413 rather than 400.
    pub fn is_limit(&self) -> bool {
        matches!(&self.kind, StreamErrorKind::Syntax(kind) if kind.is_limit())
    }
}
