//! Which constraints of a logical model can be evaluated.
//!
//! FHIRPath doesn't know the types of a model's elements: it takes their names as they stand, and a JSON string
//! as a text. That is enough for most constraints. It is not where an expression asks for types, or names a
//! choice by its stem: such a constraint would be judged wrongly, so it is not judged.

/// Functions and operators that ask for types, and what lies outside of the focus.
const ASKING: &[&str] = &["is", "as", "ofType", "type", "resolve", "conformsTo", "extension", "hasExtension"];

/// Choices among the parts of FHIR's datatypes.
const CHOICES: &[&str] = &["author", "asNeeded", "bounds", "dose", "rate", "timing", "age", "useContext"];

/// True where the expression means the same without types. `choices`: the stems of the model's own choices.
pub(super) fn is_plain(text: &str, choices: &[String]) -> bool {
    if text.contains(['%', '`', '@']) {
        return false;
    }
    words(text).iter().all(|word| {
        let typed = word.starts_with(|first: char| first.is_ascii_uppercase());
        !typed && !ASKING.contains(word) && !CHOICES.contains(word) && !choices.iter().any(|it| it == word)
    })
}

/// The words outside of texts.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, it)| {
                let closes = *it == '\'' && !escaped;
                escaped = *it == '\\' && !escaped;
                closes
            });
            rest = end.and_then(|(at, _)| rest.get(at + 1..)).unwrap_or_default();
            continue;
        }
        let length = rest.find(|it: char| !(it.is_alphanumeric() || it == '_')).unwrap_or(rest.len());
        if length == 0 {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        words.extend(rest.get(..length));
        rest = rest.get(length..).unwrap_or_default();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn types_and_choices_stand_in_the_way() {
        let choices = ["esito".to_owned()];
        assert!(is_plain("battito.exists() or nota = 'is Quantity'", &choices));
        assert!(is_plain("massima > minima", &choices));
        assert!(!is_plain("esito.exists()", &choices));
        assert!(!is_plain("misura is Quantity", &choices));
        assert!(!is_plain("Telemonitoraggio.battito.exists()", &choices));
        assert!(!is_plain("%resource.battito.exists()", &choices));
        assert!(!is_plain("ora > @2024-01-01", &choices));
    }
}
