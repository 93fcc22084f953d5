//! What kind of request it is, told by method and path alone: before its token is checked and its body is read.
//!
//! Invariant: whoever writes a path in an unusual way gains nothing. A path with escapes is of no kind that a rule for the
//! priority lane could name, and of every kind that a limit could name ([`Shape::may_be`]). That the request really is what
//! it looks like is settled later, when it is parsed from the same method and path.

use serde::Deserialize;
use varco_core::interaction::Interaction;

/// A kind of request, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Kind {
    Read,
    Vread,
    History,
    Search,
    Create,
    Update,
    Patch,
    Delete,
    /// A batch or transaction.
    Bundle,
    /// A request with a `$name`.
    Operation,
    /// The capability statement.
    Capabilities,
    /// Nothing that is served.
    #[serde(skip)]
    Other,
    /// What passes through: no rule names it, and none for the priority lane takes it.
    #[serde(skip)]
    Passed,
}

impl Kind {
    /// That of a request that was parsed.
    pub fn of(interaction: &Interaction) -> Kind {
        match interaction {
            Interaction::Capabilities => Kind::Capabilities,
            Interaction::Read(_) => Kind::Read,
            Interaction::Vread(..) => Kind::Vread,
            Interaction::History(_) => Kind::History,
            Interaction::SearchType(_) => Kind::Search,
            Interaction::Create(_) | Interaction::ConditionalCreate(_) => Kind::Create,
            Interaction::Update(_) | Interaction::ConditionalUpdate(_) => Kind::Update,
            Interaction::Patch(_) | Interaction::ConditionalPatch(_) => Kind::Patch,
            Interaction::Delete(_) | Interaction::ConditionalDelete(_) => Kind::Delete,
            Interaction::Batch | Interaction::Transaction => Kind::Bundle,
            Interaction::Validate(_)
            | Interaction::Transform(..)
            | Interaction::Translate(..)
            | Interaction::Match(..)
            | Interaction::Everything(_)
            | Interaction::PatientSummary(_)
            | Interaction::LastN(_)
            | Interaction::DocRef(_) => Kind::Operation,
        }
    }
}

/// What method and path say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape<'p> {
    /// Its kind.
    pub kind: Kind,
    /// The type that the path begins with; empty where it names none.
    pub resource_type: &'p str,
    /// True where the path has escapes, so that kind and type are not known yet.
    pub escaped: bool,
}

impl<'p> Shape<'p> {
    /// Of what passes through.
    pub const PASSED: Shape<'static> = Shape { kind: Kind::Passed, resource_type: "", escaped: false };

    /// Of the method and the path after the base.
    pub fn of(method: &str, path: &'p str) -> Shape<'p> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let first = segments.next();
        let rest = [segments.next(), segments.next(), segments.next()];
        let last = rest.iter().rev().flatten().next().copied().or(first).unwrap_or_default();
        let resource_type = first.filter(|first| first.starts_with(|c: char| c.is_ascii_uppercase()));
        let kind = match (method, first, rest) {
            _ if last.starts_with('$') => Kind::Operation,
            ("GET", Some("metadata"), [None, ..]) => Kind::Capabilities,
            ("GET", _, [_, Some("_history"), Some(_)]) => Kind::Vread,
            ("GET", ..) if last == "_history" => Kind::History,
            ("POST", None, _) => Kind::Bundle,
            ("POST", ..) if last == "_search" => Kind::Search,
            ("GET", None, _) | ("GET", Some(_), [None, ..]) => Kind::Search,
            ("GET", Some(_), [Some(_), None, _]) => Kind::Read,
            ("POST", Some(_), [None, ..]) => Kind::Create,
            ("PUT", Some(_), [_, None, _]) => Kind::Update,
            ("PATCH", Some(_), [_, None, _]) => Kind::Patch,
            ("DELETE", Some(_), [_, None, _]) => Kind::Delete,
            _ => Kind::Other,
        };
        Shape { kind, resource_type: resource_type.unwrap_or_default(), escaped: path.contains('%') }
    }

    /// Of a request that was parsed.
    pub fn of_interaction(interaction: &'p Interaction) -> Shape<'p> {
        let resource_type = interaction.resource_type().map_or("", |own| own.as_str());
        Shape { kind: Kind::of(interaction), resource_type, escaped: false }
    }

    /// True where it is one of these kinds and types for sure, as alarms must be; an empty list names all that is served under
    /// the FHIR base.
    pub fn is(&self, kinds: &[Kind], types: &[String]) -> bool {
        self.named(kinds, types) && !self.escaped && self.kind != Kind::Passed
    }

    /// True where it may be one of these.
    pub fn may_be(&self, kinds: &[Kind], types: &[String]) -> bool {
        self.escaped || self.named(kinds, types)
    }

    fn named(&self, kinds: &[Kind], types: &[String]) -> bool {
        let named = kinds.is_empty() || kinds.contains(&self.kind);
        named && (types.is_empty() || types.iter().any(|own| own == self.resource_type))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use fhir_models::definition::Definitions;
    use proptest::prelude::*;
    use varco_core::interaction::SearchSchema;

    use super::*;

    #[test]
    fn a_path_shows_what_will_be_parsed_from_it() {
        let schema = SearchSchema::from_definitions(Arc::clone(&Definitions::r4()));
        let cases = [
            ("GET", "/Patient/anna"),
            ("GET", "/Patient/anna/_history/2"),
            ("GET", "/Patient/anna/_history"),
            ("GET", "/Patient/_history"),
            ("GET", "/_history"),
            ("GET", "/Patient"),
            ("POST", "/Patient"),
            ("PUT", "/Patient/anna"),
            ("PATCH", "/Patient/anna"),
            ("DELETE", "/Patient/anna"),
            ("POST", "/"),
            ("POST", ""),
            ("GET", "/metadata"),
            ("GET", "/Patient/anna/$everything"),
            ("GET", "/Observation/$lastn"),
            ("POST", "/Patient/$match"),
        ];
        for (method, path) in cases {
            let query = if path.ends_with("lastn") { Some("patient=anna&code=a") } else { None };
            let Ok(parsed) = Interaction::parse(method, path, query, None, &schema) else {
                panic!("{method} {path}")
            };
            let shape = Shape::of(method, path);
            assert_eq!(shape, Shape::of_interaction(&parsed), "{method} {path}");
        }
        let form = Interaction::parse("POST", "/Patient/_search", None, Some(b""), &schema).unwrap();
        assert_eq!(Shape::of("POST", "/Patient/_search"), Shape::of_interaction(&form));
    }

    proptest! {
        /// What is parsed is of the kind and type that the path showed, or the path had escapes: a limit misses nothing, and
        /// the priority lane takes nothing that is something else.
        #[test]
        fn no_path_hides_what_it_asks_for(
            method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
            segments in prop::collection::vec(prop::sample::select(vec![
                "Patient", "Observation", "%50atient", "a1", "_history", "_search", "$everything", "$validate", "metadata", "", "2", "*",
            ]), 0..5),
        ) {
            let schema = SearchSchema::from_definitions(Definitions::r4());
            let path = format!("/{}", segments.join("/"));
            let form: Option<&[u8]> = Interaction::expects_form(method, &path).then_some(b"");
            if let Ok(parsed) = Interaction::parse(method, &path, None, form, &schema) {
                let (shown, true_shape) = (Shape::of(method, &path), Shape::of_interaction(&parsed));
                let types = [true_shape.resource_type.to_owned()];
                prop_assert!(shown.may_be(&[true_shape.kind], &types), "{method} {path}: {shown:?} {true_shape:?}");
                if shown.is(&[Kind::Create], &["Observation".to_owned()]) {
                    prop_assert_eq!(true_shape.kind, Kind::Create);
                    prop_assert_eq!(true_shape.resource_type, "Observation");
                }
            }
        }
    }
}
