//! The splicing cut against the same rules written over a parsed tree.

#![allow(clippy::unwrap_used)]

use narrative_stripper::{Kept, free_text};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// What is left of a value; nothing where all that it held is free text.
fn expected(value: &Value) -> Option<Value> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let left: Map<String, Value> = members
                .iter()
                .filter(|(name, value)| !is_free_text(name, value))
                .filter_map(|(name, value)| Some((name.clone(), expected(value)?)))
                .collect();
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Value::Array(items) if !items.is_empty() => {
            let left: Vec<Value> = items.iter().filter_map(expected).collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        other => Some(other.clone()),
    }
}

fn is_free_text(name: &str, value: &Value) -> bool {
    match name {
        "text" => value.is_object(),
        "note" | "display" | "_display" => true,
        _ => false,
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        "[ -~èあ\n\"\\\\{}\\[\\],:]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        let name = prop_oneof![
            Just("text".to_owned()),
            Just("note".to_owned()),
            Just("display".to_owned()),
            Just("_display".to_owned()),
            "[a-e\"\\\\]{1,2}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn cutting_bytes_and_pruning_a_tree_agree(value in json(), pretty in any::<bool>()) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let cut = free_text(text.as_bytes(), Kept::default()).unwrap();
        let left = expected(&value).unwrap_or_else(|| match &value {
            Value::Array(_) => Value::Array(Vec::new()),
            _ => Value::Object(Map::new()),
        });
        if left == value {
            prop_assert_eq!(cut, None);
        } else {
            let parsed: Value = serde_json::from_slice(&cut.unwrap()).unwrap();
            prop_assert_eq!(parsed, left);
        }
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _answer = free_text(&bytes, Kept::default());
    }

    #[test]
    fn any_text_of_json_signs_gives_an_answer(text in "[{}\\[\\]\",:\\\\a0 ]{0,60}") {
        let _answer = free_text(text.as_bytes(), Kept::default());
    }
}
