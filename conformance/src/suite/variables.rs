//! Variables in a suite's texts: `${name}`, with `$${` for a literal `${`.
//!
//! `${uuid}` is a new random UUID each time it is written, `${base}` the target's base URL. A value that a server
//! supplied is encoded for the place it is put in, so that it can't change a path or a pattern.

use std::collections::HashMap;

/// Names and values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(HashMap<String, String>);

/// What a template holds that it should not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateFault {
    #[error("a variable begins with ${{ and has no closing brace; write $${{ for the characters themselves")]
    Unclosed,
    #[error(
        "the variable ${{{0}}} is not set here; variables are set by `variables` and by `save` of an earlier step"
    )]
    Unknown(String),
}

/// The name that gives a new UUID.
pub(crate) const UUID: &str = "uuid";

impl Variables {
    pub(crate) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Names and values, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text with its variables put in, each passed through `encode`.
    pub(crate) fn expand_with(
        &self,
        text: &str,
        encode: fn(&str) -> String,
    ) -> Result<String, TemplateFault> {
        let mut out = String::with_capacity(text.len());
        for part in parts(text) {
            match part? {
                Part::Text(text) => out.push_str(text),
                Part::Variable(UUID) => out.push_str(&uuid::Uuid::new_v4().to_string()),
                Part::Variable(name) => {
                    let value = self.0.get(name).ok_or_else(|| TemplateFault::Unknown(name.to_owned()))?;
                    out.push_str(&encode(value));
                }
            }
        }
        Ok(out)
    }

    /// The text with its variables put in as they are.
    pub(crate) fn expand(&self, text: &str) -> Result<String, TemplateFault> {
        self.expand_with(text, str::to_owned)
    }
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// The pieces of a template, in order.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = Result<Part<'_>, TemplateFault>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("$${") {
            rest = after;
            return Some(Ok(Part::Text("${")));
        }
        if let Some(after) = rest.strip_prefix("${") {
            let Some((name, after)) = after.split_once('}') else {
                rest = "";
                return Some(Err(TemplateFault::Unclosed));
            };
            rest = after;
            return Some(Ok(Part::Variable(name)));
        }
        let escaped = rest.find("$${");
        let end = match (escaped, rest.find("${")) {
            (Some(escaped), Some(plain)) => escaped.min(plain),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => rest.len(),
        };
        let (before, after) = rest.split_at(end);
        rest = after;
        Some(Ok(Part::Text(before)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variables_are_put_in() {
        let mut variables = Variables::default();
        variables.set("id", "a/b");
        assert_eq!(variables.expand("/Patient/${id}?x=$${id}$").unwrap(), "/Patient/a/b?x=${id}$");
        assert_eq!(variables.expand_with("${id}", |text| crate::form::encode(text, "")).unwrap(), "a%2Fb");
        assert_eq!(variables.expand("${no}").unwrap_err(), TemplateFault::Unknown("no".to_owned()));
        assert_eq!(variables.expand("x${id").unwrap_err(), TemplateFault::Unclosed);
        assert_ne!(variables.expand("${uuid}").unwrap(), variables.expand("${uuid}").unwrap());
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_stays(text in "[^$]{0,40}") {
            prop_assert_eq!(Variables::default().expand(&text).unwrap(), text);
        }

        #[test]
        fn any_template_ends(text in "[$${}a]{0,20}") {
            let _ = parts(&text).count();
        }
    }
}
