//! Edits: cutting and replacing values in the source bytes.
//!
//! Invariant: bytes outside the edited members, and outside the commas that a removal makes wrong, are
//! copied as they are. A container that loses all it held is removed with it, since FHIR allows neither
//! empty objects nor empty arrays (FHIR R4 §2.6.2).

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Document, NodeId, Value};

/// Changes to one document, applied together. An edit inside a removed or replaced value has no effect.
#[derive(Debug)]
pub struct Edits<'a> {
    document: Document<'a>,
    changes: BTreeMap<NodeId, Change>,
    additions: BTreeMap<NodeId, Vec<u8>>,
}

#[derive(Debug)]
enum Change {
    Remove,
    Replace(Vec<u8>),
}

impl<'a> Edits<'a> {
    /// No changes yet.
    pub fn new(document: Document<'a>) -> Edits<'a> {
        Edits { document, changes: BTreeMap::new(), additions: BTreeMap::new() }
    }

    /// True where nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.additions.is_empty()
    }

    /// Removes a member or item. The root can't be removed; such a request has no effect.
    pub fn remove(&mut self, value: Value<'_>) {
        if value.id() != NodeId::ROOT {
            self.changes.insert(value.id(), Change::Remove);
        }
    }

    /// Puts other JSON in the place of a value; its name stays.
    pub fn replace(&mut self, value: Value<'_>, json: impl Into<Vec<u8>>) {
        self.changes.insert(value.id(), Change::Replace(json.into()));
    }

    /// Adds members (`"name":value`, without a leading comma) at the end of an object, or items at the end
    /// of an array. Several additions to one container are joined by commas.
    pub fn append(&mut self, container: Value<'_>, json: &[u8]) {
        let added = self.additions.entry(container.id()).or_default();
        if !added.is_empty() {
            added.push(b',');
        }
        added.extend_from_slice(json);
    }

    /// The document's text with all changes made.
    pub fn apply(self) -> Vec<u8> {
        let end = self.document.text().len();
        self.splice(0, end)
    }

    /// The text of one value with all changes made inside it; changes elsewhere have no effect.
    pub fn apply_within(self, value: Value<'_>) -> Vec<u8> {
        let span = value.span();
        self.splice(span.start, span.end)
    }

    fn splice(mut self, start: usize, end: usize) -> Vec<u8> {
        self.remove_emptied();
        let source = self.document.text().as_bytes();
        let mut cuts = self.cuts();
        cuts.sort_by_key(|cut| (cut.0.start, cut.0.end));
        let mut out = Vec::with_capacity(end.saturating_sub(start));
        let mut at = start;
        for (range, bytes) in cuts {
            if range.start < at || range.end > end {
                continue;
            }
            out.extend_from_slice(source.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(&bytes);
            at = range.end;
        }
        out.extend_from_slice(source.get(at..end).unwrap_or_default());
        out
    }

    fn is_removed(&self, id: NodeId) -> bool {
        matches!(self.changes.get(&id), Some(Change::Remove))
    }

    /// Marks containers whose every child is removed, from the inside out.
    fn remove_emptied(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let parents = self.document.parents();
        let mut doubtful: Vec<NodeId> =
            self.changes.keys().copied().filter(|&id| self.is_removed(id)).collect();
        while let Some(id) = doubtful.pop() {
            let parent = parents.get(id.index()).copied().unwrap_or(NodeId::ROOT);
            if parent == NodeId::ROOT
                || self.changes.contains_key(&parent)
                || self.additions.contains_key(&parent)
            {
                continue;
            }
            let emptied =
                self.document.value(parent).is_some_and(|v| v.children().all(|c| self.is_removed(c.id())));
            if emptied {
                self.changes.insert(parent, Change::Remove);
                doubtful.push(parent);
            }
        }
    }

    fn cuts(&self) -> Vec<(Range<usize>, Vec<u8>)> {
        let mut cuts = Vec::new();
        let parents = if self.changes.is_empty() { Vec::new() } else { self.document.parents() };
        let mut trimmed: Option<NodeId> = None;
        let mut containers: Vec<NodeId> = Vec::new();
        for (&id, change) in &self.changes {
            let Some(value) = self.document.value(id) else { continue };
            match change {
                Change::Replace(json) => cuts.push((value.span(), json.clone())),
                Change::Remove => {
                    let parent = parents.get(id.index()).copied().unwrap_or(NodeId::ROOT);
                    if trimmed != Some(parent) {
                        containers.push(parent);
                        trimmed = Some(parent);
                    }
                }
            }
        }
        containers.sort_unstable();
        containers.dedup();
        for id in containers {
            if let Some(container) = self.document.value(id) {
                self.trim(container, &mut cuts);
            }
        }
        for (&id, json) in &self.additions {
            if let Some(container) = self.document.value(id) {
                self.extend(container, json, &mut cuts);
            }
        }
        cuts
    }

    /// Cuts the removed children of one container together with the commas they leave behind.
    fn trim(&self, container: Value<'a>, cuts: &mut Vec<(Range<usize>, Vec<u8>)>) {
        let mut kept_before = false;
        let mut previous_end = container.span().start + 1;
        let mut children = container.children().peekable();
        while let Some(child) = children.next() {
            let span = child.member_span();
            if !self.is_removed(child.id()) {
                kept_before = true;
            } else if kept_before {
                cuts.push((previous_end..span.end, Vec::new()));
            } else {
                let until = children.peek().map_or(span.end, |next| next.member_span().start);
                cuts.push((span.start..until, Vec::new()));
            }
            previous_end = span.end;
        }
    }

    fn extend(&self, container: Value<'a>, json: &[u8], cuts: &mut Vec<(Range<usize>, Vec<u8>)>) {
        let close = container.span().end.saturating_sub(1);
        let occupied = container.children().any(|child| !self.is_removed(child.id()));
        let mut bytes = if occupied { vec![b','] } else { Vec::new() };
        bytes.extend_from_slice(json);
        cuts.push((close..close, bytes));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::document::{Limits, Tape};
    use proptest::prelude::*;

    fn without(text: &str, keys: &[&str]) -> String {
        let mut tape = Tape::new();
        let doc = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
        let mut edits = Edits::new(doc);
        for value in doc.root().descendants() {
            let named = value.key().is_some_and(|key| keys.contains(&&*key));
            let item = value.as_str().is_some_and(|own| keys.contains(&&*own));
            if named || item {
                edits.remove(value);
            }
        }
        String::from_utf8(edits.apply()).unwrap()
    }

    #[test]
    fn removal_takes_the_right_commas() {
        let text = r#"{ "a": 1, "b": 2, "c": 3 }"#;
        assert_eq!(without(text, &["a"]), r#"{ "b": 2, "c": 3 }"#);
        assert_eq!(without(text, &["b"]), r#"{ "a": 1, "c": 3 }"#);
        assert_eq!(without(text, &["c"]), r#"{ "a": 1, "b": 2 }"#);
        assert_eq!(without(text, &["a", "b"]), r#"{ "c": 3 }"#);
        assert_eq!(without(text, &["a", "c"]), r#"{ "b": 2 }"#);
        assert_eq!(without(text, &["b", "c"]), r#"{ "a": 1 }"#);
    }

    #[test]
    fn emptied_containers_go_with_their_content() {
        let text = r#"{"id":"x","name":[{"given":["hide"]},{"family":"F"}],"link":[{"other":{"v":"hide"}}]}"#;
        assert_eq!(without(text, &["hide"]), r#"{"id":"x","name":[{"family":"F"}]}"#);
        assert_eq!(without(r#"{"a":["hide"]}"#, &["hide"]), "{}");
    }

    #[test]
    fn replacing_and_appending() {
        let text = r#"{"total": 3,"entry":[1,2],"none":[]}"#;
        let mut tape = Tape::new();
        let doc = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
        let mut edits = Edits::new(doc);
        assert!(edits.is_empty());
        edits.replace(doc.root().get_key("total").unwrap(), "2");
        edits.remove(doc.root().get_key("entry").unwrap().children().next().unwrap());
        edits.append(doc.root().get_key("none").unwrap(), b"7");
        edits.append(doc.root().get_key("none").unwrap(), b"8");
        edits.append(doc.root(), br#""z":null"#);
        assert_eq!(
            String::from_utf8(edits.apply()).unwrap(),
            r#"{"total": 2,"entry":[2],"none":[7,8],"z":null}"#
        );
    }

    #[test]
    fn one_value_is_cut_out_with_its_changes() {
        let text = r#"[ {"a":1,"b":2}, {"a":3,"b":4} ]"#;
        let mut tape = Tape::new();
        let doc = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
        let items: Vec<Value<'_>> = doc.root().children().collect();
        let mut edits = Edits::new(doc);
        edits.replace(items[0].get_key("a").unwrap(), "null");
        edits.remove(items[1].get_key("a").unwrap());
        assert_eq!(edits.apply_within(items[1]), br#"{"b":4}"#);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i32>().prop_map(serde_json::Value::from),
            ".{0,6}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::hash_map("[a-e]{1,2}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_removal_leaves_a_document_without_the_removed(value in json(), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let mut tape = Tape::new();
            let doc = tape.parse_json(text.as_bytes(), &Limits::default()).unwrap();
            let mut edits = Edits::new(doc);
            let mut gone = std::collections::HashSet::new();
            for pick in picks {
                let id = NodeId(pick.index(doc.len()) as u32);
                if id != NodeId::ROOT {
                    let value = doc.value(id).unwrap();
                    edits.remove(value);
                    gone.extend(std::iter::once(value).chain(value.descendants()).map(|v| v.id()));
                }
            }
            let scalars = |v: &Value<'_>| !v.is_array() && !v.is_object();
            let all = std::iter::once(doc.root()).chain(doc.root().descendants());
            let expected: Vec<String> = all.filter(scalars).filter(|v| !gone.contains(&v.id())).map(|v| v.raw().to_owned()).collect();
            let out = edits.apply();
            let mut second = Tape::new();
            let after = second.parse_json(&out, &Limits::default()).unwrap();
            let all = std::iter::once(after.root()).chain(after.root().descendants());
            let left: Vec<String> = all.filter(scalars).map(|v| v.raw().to_owned()).collect();
            prop_assert_eq!(left, expected);
        }
    }
}
