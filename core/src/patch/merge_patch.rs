//! Merge patch (RFC 7396): an object whose members replace, are added or, as `null`, take away.

use fhir_models::document::Value;

use super::tree::Tree;
use super::{PatchError, PatchLimits};

/// The document with a merge patch applied.
///
/// Errors: a patch that is no object, since it would replace the whole resource; a result beyond the limits.
pub fn merge_patch(
    document: Value<'_>,
    patch: Value<'_>,
    limits: &PatchLimits,
) -> Result<Vec<u8>, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Form("a merge patch is an object"));
    }
    let mut tree = Tree::of(document);
    merge(&mut tree, Tree::of(patch));
    if tree.weight() > limits.bytes {
        return Err(PatchError::TooMuch);
    }
    Ok(tree.to_json())
}

fn merge(target: &mut Tree, patch: Tree) {
    let Tree::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !matches!(target, Tree::Object(_)) {
        *target = Tree::Object(Vec::new());
    }
    let Tree::Object(members) = target else { return };
    for (key, change) in changes {
        if matches!(&change, Tree::Literal(text) if text == "null") {
            members.retain(|(own, _)| *own != key);
            continue;
        }
        match members.iter_mut().find(|(own, _)| *own == key) {
            Some((_, value)) => merge(value, change),
            None => {
                let mut value = Tree::Object(Vec::new());
                merge(&mut value, change);
                members.push((key, value));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn merged(document: &str, patch: &str) -> Result<String, PatchError> {
        let read = |text: &str| OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        let (document, patch) = (read(document), read(patch));
        let limits = PatchLimits { operations: 1, bytes: 200 };
        merge_patch(document.root(), patch.root(), &limits).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn members_replace_are_added_or_go() {
        for (document, patch, expected) in [
            (r#"{"a":1.50,"b":2}"#, r#"{"b":3}"#, r#"{"a":1.50,"b":3}"#),
            (r#"{"a":1}"#, r#"{"b":{"c":null,"d":1}}"#, r#"{"a":1,"b":{"d":1}}"#),
            (r#"{"a":1,"b":2}"#, r#"{"a":null,"z":null}"#, r#"{"b":2}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[null]}"#, r#"{"a":[null]}"#),
            (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":null}}"#, r#"{"a":{"c":2}}"#),
            (r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
        ] {
            assert_eq!(merged(document, patch).as_deref(), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn what_is_no_object_or_too_large_is_refused() {
        assert!(matches!(merged("{}", "[]"), Err(PatchError::Form(_))));
        assert_eq!(merged("{}", &format!(r#"{{"a":"{}"}}"#, "x".repeat(300))), Err(PatchError::TooMuch));
    }
}
