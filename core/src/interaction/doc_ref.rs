//! `DocumentReference/$docref` (IPA 1.0.0 and US Core 6.1.0, operation `docref`): the documents of one patient.
//!
//! Documents that exist are referred to, none is made: `on-demand=true` is refused, and so is `profile`.

use fhir_models::primitive::Primitive;

use super::care_range::CareRange;
use super::criterion::Criterion;
use super::error::{InteractionError, ShownName};
use super::history::fit;
use super::id::{Id, ResourceType};
use super::pairs::Pair;
use super::percent::query_of;
use super::schema::SearchSchema;
use super::search::{Once, Search, count, is_not_served};

/// The documents that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocRef {
    /// The type that is searched.
    pub resource_type: ResourceType,
    /// `patient`: whose documents.
    pub patient: Id,
    /// `start` and `end`: of care from when to when.
    pub range: CareRange,
    /// `type`: which documents, as a token.
    pub kind: Option<Criterion>,
    /// `_count`: how many the caller wants on a page, at least 1.
    pub count: Option<u32>,
}

impl DocRef {
    pub(super) fn parse(
        schema: &SearchSchema,
        resource_type: ResourceType,
        pairs: &[Pair],
    ) -> Result<DocRef, InteractionError> {
        let (mut patient, mut range, mut kind, mut page) = (None, CareRange::default(), None, None);
        let mut once = Once::default();
        let moment = |name: &str, value: &str| fit(Primitive::DateTime, name, value).map(Some);
        for Pair { name, value } in pairs {
            match name.as_str() {
                "_format" => once.format(value)?,
                "_pretty" => once.pretty(value)?,
                "patient" => {
                    once.see("patient")?;
                    let id = Id::parse(value.strip_prefix("Patient/").unwrap_or(value));
                    let expected = "the id of one patient";
                    let bad = || InteractionError::BadValue { name: ShownName::of("patient"), expected };
                    patient = Some(id.ok_or_else(bad)?);
                }
                "start" => {
                    once.see("start")?;
                    range.start = moment("start", value)?;
                }
                "end" => {
                    once.see("end")?;
                    range.end = moment("end", value)?;
                }
                "type" => {
                    once.see("type")?;
                    kind = Some(Criterion::parse(schema, &resource_type, "type", value)?);
                }
                "on-demand" => {
                    once.see("on-demand")?;
                    match value.as_str() {
                        "false" => {}
                        "true" => return Err(InteractionError::ParameterNotServed(ShownName::of(name))),
                        _ => {
                            let name = ShownName::of(name);
                            return Err(InteractionError::BadValue { name, expected: "true or false" });
                        }
                    }
                }
                "_count" => {
                    once.see("_count")?;
                    page = Some(count(value)?);
                }
                "profile" => return Err(InteractionError::ParameterNotServed(ShownName::of(name))),
                other if is_not_served(other) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(other)));
                }
                other => {
                    let name = ShownName::of(other);
                    return Err(InteractionError::UnknownParameter { interaction: "$docref", name });
                }
            }
        }
        let patient = patient.ok_or(InteractionError::Needs("$docref", "`patient`"))?;
        Ok(DocRef { resource_type, patient, range, kind, count: page })
    }

    /// The search for the patient's documents; the dates are for [`CareRange::holds`] to decide.
    pub fn search(&self, schema: &SearchSchema) -> Result<Search, InteractionError> {
        let patient = format!("Patient/{}", self.patient.as_str());
        let patient = Criterion::parse(schema, &self.resource_type, "patient", &patient)?;
        let criteria = std::iter::once(patient).chain(self.kind.clone()).collect();
        Ok(Search { criteria, ..Search::all(self.resource_type.clone()) })
    }

    /// The parameters as they were understood, with this `_count`.
    pub(super) fn query(&self, page_size: Option<u32>) -> String {
        let kind = self.kind.as_ref().map(|kind| {
            let mut out = String::new();
            kind.write_values(&mut out);
            out
        });
        let patient = Some(self.patient.as_str().to_owned());
        let count = page_size.map(|count| count.to_string());
        query_of([
            ("patient", &patient),
            ("start", &self.range.start),
            ("end", &self.range.end),
            ("type", &kind),
            ("_count", &count),
        ])
    }

    /// The parameters as they were understood, with the caller's own `_count`.
    pub fn self_query(&self) -> String {
        self.query(self.count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::interaction::{Interaction, ParameterKind, SearchParameter};

    fn asked(query: &str) -> Result<DocRef, InteractionError> {
        let schema = SearchSchema::new(["DocumentReference", "Patient"], |_| {
            let patient = SearchParameter::new("patient", ParameterKind::Reference).leading_to(&["Patient"]);
            vec![patient, SearchParameter::new("type", ParameterKind::Token)]
        });
        match Interaction::parse("GET", "/DocumentReference/$docref", Some(query), None, &schema)? {
            Interaction::DocRef(own) => {
                assert_eq!(own.search(&schema).unwrap().criteria.len(), 1 + usize::from(own.kind.is_some()));
                Ok(own)
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn one_patient_is_needed_and_the_rest_may_be_given() {
        let query = "patient=p1&start=2026-01&end=2026-02-01T10:00:00Z&type=http://loinc.org%7C34133-9&on-demand=false&_count=3";
        let own = asked(query).unwrap();
        assert_eq!((own.patient.as_str(), own.count), ("p1", Some(3)));
        assert_eq!(asked(&own.self_query()), Ok(own));
        assert_eq!(asked("patient=Patient/p1").unwrap().patient.as_str(), "p1");
        for bad in [
            "",
            "type=a",
            "patient=p1,p2",
            "patient=p1&patient=p2",
            "patient=Group/g",
            "patient=p1&start=x",
            "patient=p1&on-demand=true",
            "patient=p1&on-demand=x",
            "patient=p1&profile=http://x.example/p",
            "patient=p1&subject=p1",
        ] {
            assert_eq!(asked(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
