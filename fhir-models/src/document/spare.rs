//! The nodes of the document that was dropped last, for the next one on the same thread: a gateway reads one document after
//! the other, and memory that was just written to is in the processor's caches.

use std::cell::Cell;

use super::tape::Node;

/// Most nodes that a thread keeps room for: 96 KB.
const MOST: usize = 4096;

thread_local! {
    static SPARE: Cell<Vec<Node>> = const { Cell::new(Vec::new()) };
}

/// Room for nodes; none where this thread has none to spare.
pub(super) fn take() -> Vec<Node> {
    let mut nodes = SPARE.try_with(Cell::take).unwrap_or_default();
    nodes.clear();
    nodes
}

/// Keeps the room of these nodes, where it is more than what is kept.
pub(super) fn put(nodes: Vec<Node>) {
    if nodes.capacity() == 0 || nodes.capacity() > MOST {
        return;
    }
    // Where the thread is about to end, there is nobody to keep it for.
    let _ = SPARE.try_with(|spare| {
        let kept = spare.take();
        spare.set(if kept.capacity() < nodes.capacity() { nodes } else { kept });
    });
}

/// The same nodes in no more than half as much room again as they need.
pub(super) fn fitting(nodes: Vec<Node>) -> Vec<Node> {
    if nodes.capacity() <= nodes.len() + nodes.len() / 2 {
        return nodes;
    }
    let own = nodes.as_slice().to_vec();
    put(nodes);
    own
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::document::{Limits, OwnedDocument};

    fn array(items: usize) -> OwnedDocument {
        let text = format!("[{}]", vec!["12"; items].join(","));
        OwnedDocument::parse_json(text, &Limits::default()).unwrap()
    }

    fn room() -> usize {
        let nodes = take();
        let room = nodes.capacity();
        put(nodes);
        room
    }

    #[test]
    fn room_goes_from_one_document_to_the_next() {
        let first = array(1_000);
        assert_eq!(room(), 0);
        drop(first);
        let given_back = room();
        assert!(given_back > 1_000, "{given_back}");
        // A small one takes what it needs and leaves the rest.
        let small = array(3);
        assert_eq!(room(), given_back);
        let other = array(given_back - 10);
        assert_eq!(room(), 0);
        drop((small, other));
        assert_eq!(room(), given_back);
    }

    #[test]
    fn a_text_that_is_held_holds_no_nodes() {
        let document = array(50);
        let text = document.shared_text();
        drop(document);
        assert!(room() > 50);
        assert!(text.starts_with("[12,"), "{text}");
    }

    #[test]
    fn what_a_large_document_took_is_given_back_to_all() {
        drop(array(MOST + 1));
        assert_eq!(room(), 0);
    }

    #[test]
    fn a_document_that_cannot_be_read_leaves_nothing_behind() {
        drop(array(100));
        assert!(OwnedDocument::parse_json("[1,2,", &Limits::default()).is_err());
        let next = array(2);
        assert_eq!(next.document().len(), 3);
    }
}
