//! `GET Patient/[id]/$everything` (FHIR R4, operation `Patient-everything`).

use fhir_models::primitive::Primitive;

use super::care_range::CareRange;
use super::error::{InteractionError, ShownName};
use super::history::fit;
use super::id::{Instance, ResourceType};
use super::pairs::Pair;
use super::percent::query_of;
use super::schema::SearchSchema;
use super::search::{Once, count, is_not_served};

/// All that is kept about one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Everything {
    /// The patient.
    pub patient: Instance,
    /// `start` and `end`: care from when to when.
    pub range: CareRange,
    /// `_since`: only what was changed at or after this instant.
    pub since: Option<String>,
    /// `_type`: only these types; empty for all.
    pub types: Vec<ResourceType>,
    /// `_count`: how many resources the caller wants on a page, at least 1.
    pub count: Option<u32>,
}

impl Everything {
    pub(super) fn parse(
        schema: &SearchSchema,
        patient: Instance,
        pairs: &[Pair],
    ) -> Result<Everything, InteractionError> {
        let mut own =
            Everything { patient, range: CareRange::default(), since: None, types: Vec::new(), count: None };
        let mut once = Once::default();
        for Pair { name, value } in pairs {
            match name.as_str() {
                "_format" => once.format(value)?,
                "_pretty" => once.pretty(value)?,
                "start" => {
                    once.see("start")?;
                    own.range.start = Some(fit(Primitive::Date, "start", value)?);
                }
                "end" => {
                    once.see("end")?;
                    own.range.end = Some(fit(Primitive::Date, "end", value)?);
                }
                "_since" => {
                    once.see("_since")?;
                    own.since = Some(fit(Primitive::Instant, "_since", value)?);
                }
                "_type" => {
                    for named in types(schema, value)? {
                        if !own.types.contains(&named) {
                            own.types.push(named);
                        }
                    }
                }
                "_count" => {
                    once.see("_count")?;
                    own.count = Some(count(value)?);
                }
                other if is_not_served(other) => {
                    return Err(InteractionError::ParameterNotServed(ShownName::of(other)));
                }
                other => {
                    let name = ShownName::of(other);
                    return Err(InteractionError::UnknownParameter { interaction: "$everything", name });
                }
            }
        }
        Ok(own)
    }

    /// The parameters as they were understood, with the caller's own `_count`.
    pub fn self_query(&self) -> String {
        self.query(self.count)
    }

    pub(super) fn query(&self, page_size: Option<u32>) -> String {
        let types: Vec<&str> = self.types.iter().map(ResourceType::as_str).collect();
        let types = (!types.is_empty()).then(|| types.join(","));
        let count = page_size.map(|count| count.to_string());
        query_of([
            ("start", &self.range.start),
            ("end", &self.range.end),
            ("_since", &self.since),
            ("_type", &types),
            ("_count", &count),
        ])
    }
}

fn types(schema: &SearchSchema, text: &str) -> Result<Vec<ResourceType>, InteractionError> {
    let mut found = Vec::new();
    for name in text.split(',') {
        let own = schema.resource_type(name);
        let own = own.ok_or_else(|| InteractionError::BadValue {
            name: ShownName::of("_type"),
            expected: "resource types joined by commas",
        })?;
        if !found.contains(&own) {
            found.push(own);
        }
    }
    Ok(found)
}
