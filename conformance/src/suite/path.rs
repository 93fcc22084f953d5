//! Places in a JSON body: dotted paths and JSON pointers (RFC 6901).

use fhir_models::document::Value;

/// A place, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Path(Vec<Step>),
    Pointer(Vec<String>),
}

/// One step of a dotted path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    name: String,
    only: Option<Only>,
}

/// Which items of an array a step keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Only {
    Number(usize),
    Where(String, String),
}

impl Place {
    /// Reads `name.given`, `entry[0].resource` or `link[relation=next].url`.
    pub(crate) fn path(text: &str) -> Result<Place, String> {
        let fault = || {
            format!("the path {text} is not one of names joined by dots, each with [number] or [name=value]")
        };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let only = match after.strip_prefix('[') {
                None => {
                    rest = after;
                    None
                }
                Some(inside) => {
                    let (inside, after) = inside.split_once(']').ok_or_else(fault)?;
                    rest = after;
                    Some(match inside.split_once('=') {
                        Some((name, value)) => Only::Where(name.to_owned(), value.to_owned()),
                        None => Only::Number(inside.parse().map_err(|_| fault())?),
                    })
                }
            };
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(legal) {
                return Err(fault());
            }
            steps.push(Step { name: name.to_owned(), only });
            match rest.strip_prefix('.') {
                Some("") => return Err(fault()),
                Some(more) => rest = more,
                None if rest.is_empty() => {}
                None => return Err(fault()),
            }
        }
        if steps.is_empty() { Err(fault()) } else { Ok(Place::Path(steps)) }
    }

    /// Reads a JSON pointer.
    pub(crate) fn pointer(text: &str) -> Result<Place, String> {
        if text.is_empty() {
            return Ok(Place::Pointer(Vec::new()));
        }
        let rest =
            text.strip_prefix('/').ok_or_else(|| format!("the JSON pointer {text} does not begin with /"))?;
        Ok(Place::Pointer(rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()))
    }

    /// The values at this place.
    pub(crate) fn values<'a>(&self, root: Value<'a>) -> Vec<Value<'a>> {
        match self {
            Place::Pointer(steps) => {
                let end = steps.iter().try_fold(root, |here, step| {
                    if here.is_array() { here.children().nth(step.parse().ok()?) } else { here.get_key(step) }
                });
                end.into_iter().collect()
            }
            Place::Path(steps) => {
                let named = |step: &Step| root.resource_type().is_some_and(|own| own == step.name);
                let skip = usize::from(steps.len() > 1 && steps.first().is_some_and(named));
                let mut here = vec![root];
                for step in steps.iter().skip(skip) {
                    let members =
                        here.into_iter().flat_map(Value::items).filter_map(|value| value.get_key(&step.name));
                    here = match &step.only {
                        None => members.collect(),
                        Some(Only::Number(number)) => {
                            members.filter_map(|member| member.items().nth(*number)).collect()
                        }
                        Some(Only::Where(name, wanted)) => {
                            let items = members.flat_map(Value::items);
                            items
                                .filter(|item| item.get_key(name).is_some_and(|own| own.is_str(wanted)))
                                .collect()
                        }
                    };
                }
                here.into_iter().flat_map(Value::items).collect()
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};
    use proptest::prelude::*;

    fn at(place: Result<Place, String>) -> Vec<String> {
        let text = r#"{"resourceType":"Bundle","link":[{"relation":"self","url":"a"},{"relation":"next","url":"b"}],
            "entry":[{"resource":{"id":"1","name":[{"given":["x","y"]}]}},{"resource":{"id":"2"}}],"a/b":{"~":3}}"#;
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        place.unwrap().values(document.root()).iter().map(|value| value.raw().to_owned()).collect()
    }

    #[test]
    fn paths_step_into_arrays() {
        assert_eq!(at(Place::path("entry.resource.id")), ["\"1\"", "\"2\""]);
        assert_eq!(at(Place::path("Bundle.entry[1].resource.id")), ["\"2\""]);
        assert_eq!(at(Place::path("entry.resource.name.given[1]")), ["\"y\""]);
        assert_eq!(at(Place::path("link[relation=next].url")), ["\"b\""]);
        assert_eq!(at(Place::path("link[relation=last].url")), [""; 0]);
    }

    #[test]
    fn pointers_name_one_value() {
        assert_eq!(at(Place::pointer("/entry/0/resource/name/0/given/1")), ["\"y\""]);
        assert_eq!(at(Place::pointer("/a~1b/~0")), ["3"]);
        assert_eq!(at(Place::pointer("/entry/9")), [""; 0]);
        assert!(Place::pointer("entry").is_err());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a.", "a..b", "a[", "a[x]", "a[1]b", "a b", "[0]"] {
            assert!(Place::path(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a.\\[\\]=0]{0,12}") {
            let _ = Place::path(&text);
        }
    }
}
