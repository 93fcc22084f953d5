//! Where the values of a document stand, for reports that tell of many of them.
//!
//! Invariant: the answers are those of [`Value::expression`] and [`Value::position`]. These search from the root and
//! count from the first line each time; here one walk notes what is above each value, and line and column at every
//! [`STRIDE`]th byte, so that an answer costs no more in a long document than in a short one.

use fhir_models::document::{Document, NodeId, Position, Value};

/// Bytes between two marks.
const STRIDE: usize = 256;

/// The places of one document.
#[derive(Debug)]
pub(super) struct Places<'a> {
    document: Document<'a>,
    /// What the outermost value is called.
    root: String,
    /// The parent of each node.
    parents: Vec<NodeId>,
    /// The number of each node among its siblings, from 0.
    numbers: Vec<u32>,
    /// Line and column at every [`STRIDE`]th byte of the source.
    marks: Vec<Position>,
}

impl<'a> Places<'a> {
    pub fn new(document: Document<'a>) -> Places<'a> {
        let parents = document.parents();
        let mut counts = vec![0u32; parents.len()];
        let mut numbers = vec![0u32; parents.len()];
        for (parent, number) in parents.iter().zip(&mut numbers).skip(1) {
            if let Some(count) = counts.get_mut(parent.index()) {
                *number = *count;
                *count += 1;
            }
        }
        let source = document.source().as_bytes();
        let mut at = Position { line: 1, column: 1 };
        let mut marks = vec![at];
        for begin in (0..source.len()).step_by(STRIDE) {
            at = advance(at, source, begin, begin + STRIDE);
            marks.push(at);
        }
        let root = document.root().resource_type().map_or_else(|| "$this".to_owned(), |it| it.into_owned());
        Places { document, root, parents, numbers, marks }
    }

    pub fn value(&self, node: u32) -> Option<Value<'a>> {
        self.document.value(NodeId::at(node))
    }

    pub fn parent(&self, node: u32) -> Option<u32> {
        let parent = self.parents.get(node as usize)?.number();
        (node != 0).then_some(parent)
    }

    /// The number of a node among its siblings, from 0.
    pub fn number(&self, node: u32) -> u32 {
        self.numbers.get(node as usize).copied().unwrap_or_default()
    }

    /// As a FHIRPath expression.
    pub fn expression(&self, node: u32) -> String {
        let mut path = self.root.clone();
        let up = std::iter::successors(Some(node), |it| self.parent(*it));
        let mut trail: Vec<u32> = up.take_while(|it| *it != 0).collect();
        trail.reverse();
        for step in trail {
            let Some(value) = self.value(step) else { continue };
            match value.key() {
                Some(key) => {
                    let shown = if value.is_underscored() { key.trim_start_matches('_') } else { &key };
                    path.push('.');
                    path.push_str(shown);
                }
                None => {
                    path.push('[');
                    path.push_str(&self.number(step).to_string());
                    path.push(']');
                }
            }
        }
        path
    }

    /// Line and column.
    pub fn position(&self, node: u32) -> Position {
        let start = self.value(node).map_or(0, |it| it.member_span().start);
        let offset = self.document.source_offset(start);
        let mark = (offset / STRIDE).min(self.marks.len().saturating_sub(1));
        let at = self.marks.get(mark).copied().unwrap_or(Position { line: 1, column: 1 });
        advance(at, self.document.source().as_bytes(), mark * STRIDE, offset)
    }
}

/// Where the reading stands after these bytes. CR LF, LF and CR each end one line.
fn advance(mut at: Position, source: &[u8], begin: usize, end: usize) -> Position {
    let end = end.min(source.len());
    for (index, byte) in source.get(begin..end).unwrap_or_default().iter().enumerate() {
        let ends_line = *byte == b'\n' || (*byte == b'\r' && source.get(begin + index + 1) != Some(&b'\n'));
        if ends_line {
            at = Position { line: at.line + 1, column: 1 };
        } else if byte & 0xC0 != 0x80 {
            at.column += 1;
        }
    }
    at
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;

    fn agree(document: &OwnedDocument) {
        let places = Places::new(document.document());
        for value in std::iter::once(document.root()).chain(document.root().descendants()) {
            let node = value.id().number();
            assert_eq!(places.expression(node), value.expression());
            assert_eq!(places.position(node), value.position(), "{}", value.expression());
        }
    }

    #[test]
    fn they_are_those_of_the_values() {
        let city = "Forlì, località Cà Vénto ".repeat(20);
        let text = format!(
            "{{\"resourceType\":\"Patient\",\r\n \"address\":[{{\"city\":\"{city}\"}},\n\r{{\"line\":[\"a\",\"b\"]}}],\r\
             \"_birthDate\":{{\"extension\":[{{\"url\":\"u\"}}]}},\"other\":{{\"x\":[[1,2],[3]]}}}}"
        );
        agree(&OwnedDocument::parse_json(text, &Limits::default()).unwrap());
        agree(&OwnedDocument::parse_json("[1,{\"a\":2}]", &Limits::default()).unwrap());
        agree(&OwnedDocument::parse_json("true", &Limits::default()).unwrap());
    }

    #[test]
    fn no_answer_reads_further_than_to_the_next_mark() {
        let text = format!("[{}1]", "\"è\",".repeat(5_000));
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let places = Places::new(document.document());
        assert_eq!(places.marks.len(), document.document().source().len().div_ceil(STRIDE) + 1);
        assert_eq!(places.expression(5_001), "$this[5000]");
        assert_eq!(places.position(5_001), Position { line: 1, column: 20_002 });
    }
}
