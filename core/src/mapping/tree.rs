//! What a map makes: a flat tree of nodes, most of them places in the source that are copied when it is written.
//!
//! Invariant: a node has at most one parent; siblings are in the order in which they were made, but for those
//! that were put first.

use std::borrow::Cow;

use fhir_models::document::Kind;

use super::types::TypeId;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// A place in a source document. For a primitive with extensions only, `node` is that of the twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceRef {
    pub document: u16,
    pub node: u32,
    /// 0 where there is none.
    pub twin: u32,
    pub ty: TypeId,
    /// Only the twin is there.
    pub bare: bool,
}

/// A computed or constant value of a primitive type. Numbers are kept as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar<'a> {
    pub ty: TypeId,
    pub kind: Kind,
    pub text: Cow<'a, str>,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Content<'a> {
    /// Its children.
    Parts,
    /// What stands there in the source, whole.
    Copied(SourceRef),
    /// The value of a primitive.
    Value(Kind, Cow<'a, str>),
}

#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub ty: TypeId,
    /// The number of its element in the type of its parent, and of its type among the element's.
    pub element: u16,
    pub choice: u16,
    pub parent: u32,
    pub first: u32,
    pub last: u32,
    pub next: u32,
    pub content: Content<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    pub nodes: Vec<Node<'a>>,
}

impl<'a> Tree<'a> {
    pub fn get(&self, node: u32) -> Option<&Node<'a>> {
        self.nodes.get(node as usize)
    }

    pub fn get_mut(&mut self, node: u32) -> Option<&mut Node<'a>> {
        self.nodes.get_mut(node as usize)
    }

    /// A node of its own, without parent.
    pub fn make(&mut self, ty: TypeId, content: Content<'a>) -> u32 {
        let node =
            Node { ty, element: 0, choice: 0, parent: NONE, first: NONE, last: NONE, next: NONE, content };
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    pub fn children(&self, parent: u32) -> impl Iterator<Item = (u32, &Node<'a>)> {
        let mut at = self.get(parent).map_or(NONE, |it| it.first);
        std::iter::from_fn(move || {
            let node = self.get(at)?;
            let own = at;
            at = node.next;
            Some((own, node))
        })
    }

    /// The last child that is this element.
    pub fn last_of(&self, parent: u32, element: u16) -> Option<u32> {
        self.children(parent).filter(|(_, it)| it.element == element).map(|(at, _)| at).last()
    }

    /// Puts a node below another, behind its siblings or before them.
    pub fn attach(&mut self, parent: u32, node: u32, (element, choice): (u16, u16), first: bool) {
        let (head, tail) = self.get(parent).map_or((NONE, NONE), |it| (it.first, it.last));
        if let Some(own) = self.get_mut(node) {
            (own.parent, own.element, own.choice) = (parent, element, choice);
            own.next = if first { head } else { NONE };
        }
        if let Some(last) = self.get_mut(tail).filter(|_| !first) {
            last.next = node;
        }
        if let Some(own) = self.get_mut(parent) {
            if first || own.first == NONE {
                own.first = node;
            }
            if !first || own.last == NONE {
                own.last = node;
            }
        }
    }

    /// True where a node is another or stands somewhere below it.
    pub fn is_within(&self, node: u32, whole: u32) -> bool {
        let above = std::iter::successors(Some(node), |at| self.get(*at).map(|it| it.parent));
        above.take_while(|at| *at != NONE).any(|at| at == whole)
    }

    /// Takes a child away.
    pub fn detach(&mut self, node: u32) {
        let Some((parent, next)) = self.get(node).map(|it| (it.parent, it.next)) else { return };
        let before = self.children(parent).take_while(|(at, _)| *at != node).last().map(|(at, _)| at);
        match before {
            Some(before) => {
                if let Some(own) = self.get_mut(before) {
                    own.next = next;
                }
            }
            None => {
                if let Some(own) = self.get_mut(parent) {
                    own.first = next;
                }
            }
        }
        if let Some(own) = self.get_mut(parent).filter(|it| it.last == node) {
            own.last = before.unwrap_or(NONE);
        }
        if let Some(own) = self.get_mut(node) {
            (own.parent, own.next) = (NONE, NONE);
        }
    }

    /// A copy of a node and all below it, without parent; `None` where it would be deeper than `depth`.
    pub fn duplicate(&mut self, node: u32, depth: usize) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let own = self.get(node)?;
        let (ty, content) = (own.ty, own.content.clone());
        let copy = self.make(ty, content);
        let children: Vec<(u32, u16, u16)> =
            self.children(node).map(|(at, it)| (at, it.element, it.choice)).collect();
        for (child, element, choice) in children {
            let child = self.duplicate(child, depth)?;
            self.attach(copy, child, (element, choice), false);
        }
        Some(copy)
    }
}
