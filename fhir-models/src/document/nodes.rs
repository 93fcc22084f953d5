//! Walking the tape node by node, for those who visit many nodes and need few values.
//!
//! A [`Value`](super::Value) carries its document; a node of the tape is 24 bytes where it stands. Whoever
//! only compares names and kinds looks at nodes, and makes a value of the few that it reads.

use super::tape::{Node, UNDERSCORE};
use super::{Document, Kind, Name, NodeId};

impl Node {
    /// What it is.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name it stands under: see [`Value::name`](super::Value::name).
    #[inline]
    pub fn name(&self) -> Name {
        self.name
    }

    /// The number of the node after this one and all below it.
    #[inline]
    pub fn after(&self) -> u32 {
        self.next
    }

    /// True for a `_name` twin: see [`Value::is_underscored`](super::Value::is_underscored).
    #[inline]
    pub fn is_underscored(&self) -> bool {
        self.flags & UNDERSCORE != 0
    }
}

impl NodeId {
    /// The node with this number. Documents answer `None` for a number that they don't have.
    #[inline]
    pub fn at(number: u32) -> NodeId {
        NodeId(number)
    }

    /// Its number.
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl<'a> Document<'a> {
    /// All nodes, by number.
    #[inline]
    pub fn nodes(self) -> &'a [Node] {
        self.nodes
    }
}

/// The members of an object or the items of an array, in source order, with their numbers; none for other
/// kinds and for a number that is not one of these nodes.
#[inline]
pub fn children(nodes: &[Node], parent: NodeId) -> ChildNodes<'_> {
    let end = nodes.get(parent.index()).map_or(0, |node| node.next);
    ChildNodes { nodes, at: parent.0.saturating_add(1), end }
}

/// The children of a node.
#[derive(Debug, Clone)]
pub struct ChildNodes<'a> {
    nodes: &'a [Node],
    at: u32,
    end: u32,
}

impl<'a> Iterator for ChildNodes<'a> {
    type Item = (NodeId, &'a Node);

    #[inline]
    fn next(&mut self) -> Option<(NodeId, &'a Node)> {
        if self.at >= self.end {
            return None;
        }
        let id = NodeId(self.at);
        let node = self.nodes.get(id.index())?;
        self.at = node.next.max(self.at + 1);
        Some((id, node))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::document::{Limits, OwnedDocument};

    #[test]
    fn nodes_and_values_agree() {
        let text = r#"{"id":"a","name":[{"given":["x","y"]},{}],"_birthDate":{"id":"b"},"other":null}"#;
        let owned = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let document = owned.document();
        for value in std::iter::once(owned.root()).chain(owned.root().descendants()) {
            let nodes: Vec<_> = children(document.nodes(), value.id()).collect();
            let values: Vec<_> = value.children().collect();
            assert_eq!(nodes.len(), values.len());
            for ((id, node), value) in nodes.into_iter().zip(values) {
                assert_eq!((id, node.kind(), node.name()), (value.id(), value.kind(), value.name()));
                assert_eq!(node.is_underscored(), value.is_underscored());
            }
        }
    }
}
