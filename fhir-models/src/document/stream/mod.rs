//! Documents one by one from a reader: the lines of NDJSON, the entries of a Bundle.
//!
//! Memory is bounded by the largest single document ([`Limits::bytes`]), not by their number. Each document
//! is parsed as strictly as any other and says where in the stream it stands. What is handed out borrows the
//! stream's buffers, which the next document uses again.
//!
//! ```
//! use fhir_models::document::{Limits, stream::BundleStream};
//!
//! let text = r#"{"resourceType":"Bundle","entry":[{"fullUrl":"urn:x:1"},{"fullUrl":"urn:x:2"}],"total":2}"#;
//! let mut bundle = BundleStream::new(text.as_bytes(), Limits::default());
//! let mut entries = 0;
//! while let Some(entry) = bundle.next_entry()? {
//!     assert!(entry.document().root().get_key("fullUrl").is_some());
//!     entries += 1;
//! }
//! assert_eq!((entries, bundle.frame()?.text()), (2, r#"{"resourceType":"Bundle","total":2}"#));
//! # Ok::<(), fhir_models::document::stream::StreamError>(())
//! ```
//!
//! NDJSON: FHIR Bulk Data Access, and <http://ndjson.org>. Bundle: FHIR R4 §2.36.

mod bundle;
mod error;
mod ndjson;
mod source;

use super::{Document, Position};
use source::Place;

pub use bundle::BundleStream;
pub use error::{StreamError, StreamErrorKind};
pub use ndjson::NdjsonStream;

/// A document of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Streamed<'a> {
    document: Document<'a>,
    place: Place,
}

impl<'a> Streamed<'a> {
    /// The document. Its positions count from its own beginning.
    pub fn document(&self) -> Document<'a> {
        self.document
    }

    /// Where it begins in the stream, in bytes.
    pub fn offset(&self) -> u64 {
        self.place.offset()
    }

    /// Where it begins in the stream.
    pub fn start(&self) -> Position {
        self.place.position()
    }

    /// The position in the stream of a position in the document.
    pub fn position(&self, inside: Position) -> Position {
        self.place.of(inside)
    }
}

#[cfg(test)]
#[path = "../stream_tests.rs"]
mod tests;
