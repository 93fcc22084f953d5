//! YAML as JSON values, with the place of each value in the file.
//!
//! The schema speaks in JSON pointers, people in lines: this is the bridge between them.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A YAML document as a JSON value.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) value: Value,
    /// Where each value stands, by its JSON pointer (RFC 6901).
    places: HashMap<String, Place>,
}

impl Located {
    /// Reads one YAML document.
    pub(super) fn parse(text: &str) -> Result<Located, (String, Option<Place>)> {
        let tree: Spanned<Tree> = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
            (error.without_snippet().to_string(), place)
        })?;
        let mut places = HashMap::new();
        let value = flatten(tree, String::new(), &mut places);
        Ok(Located { value, places })
    }

    /// The place of a value, or of the nearest value around it.
    pub(super) fn place(&self, pointer: &str) -> Option<Place> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return Some(*place);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

/// A value whose children know their places.
enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

fn flatten(tree: Spanned<Tree>, pointer: String, places: &mut HashMap<String, Place>) -> Value {
    let place = Place { line: tree.referenced.line(), column: tree.referenced.column() };
    places.insert(pointer.clone(), place);
    match tree.value {
        Tree::Scalar(value) => value,
        Tree::List(items) => {
            let each = items.into_iter().enumerate();
            Value::Array(each.map(|(at, item)| flatten(item, format!("{pointer}/{at}"), places)).collect())
        }
        Tree::Map(members) => {
            let each = members.into_iter().map(|(key, member)| {
                let step = key.replace('~', "~0").replace('/', "~1");
                let value = flatten(member, format!("{pointer}/{step}"), places);
                (key, value)
            });
            Value::Object(each.collect::<Map<_, _>>())
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("the number is not finite"))?;
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_know_their_lines() {
        let text = "id: x\ntests:\n  - id: one\n    a/b: [1, 2.5, true, null]\n  - id: two\n    text: |\n      long\n";
        let located = Located::parse(text).unwrap();
        let expected = json!({"id": "x", "tests": [{"id": "one", "a/b": [1, 2.5, true, null]}, {"id": "two", "text": "long\n"}]});
        assert_eq!(located.value, expected);
        let line = |pointer| located.place(pointer).unwrap().line;
        assert_eq!((line("/id"), line("/tests/0/a~1b/1"), line("/tests/1/id")), (1, 4, 5));
        assert_eq!(line("/tests/1/missing/deeper"), line("/tests/1"));
    }

    #[test]
    fn broken_yaml_names_its_place() {
        let (text, place) = Located::parse("a: 1\nb: [1\n").unwrap_err();
        assert!(place.unwrap().line >= 2, "{text}");
        let (text, _) = Located::parse("a: 1\na: 2\n").unwrap_err();
        assert!(text.contains('a'), "{text}");
    }
}
