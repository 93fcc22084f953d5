//! From a step's plan to a request: variables put in, URL and body made.
//!
//! Invariant: every URL lies below the target's base URL, whatever a server has put into a variable.

use std::collections::BTreeMap;

use super::check::short;
use super::client::{Outgoing, Token};
use super::model::{FiscalCodeChoice, RequestPlan};
use super::variables::{Part, TemplateFault, Variables, parts};
use crate::form;
use crate::patients::{FiscalCodeSystem, Person};

const FHIR_JSON: &str = "application/fhir+json";

/// What all requests of a run share.
#[derive(Debug)]
pub(super) struct Prepare<'a> {
    /// The target's base URL, without a slash at its end.
    pub(super) base: String,
    /// The files that bodies are taken from.
    pub(super) files: &'a BTreeMap<String, String>,
}

impl Prepare<'_> {
    /// The request, ready to be sent; the error says what is missing.
    pub(super) fn outgoing(
        &self,
        plan: &RequestPlan,
        variables: &Variables,
        token: Option<(String, Token)>,
    ) -> Result<Outgoing, String> {
        let told = |fault: TemplateFault| fault.to_string();
        let mut url = self.url(&plan.path, variables)?;
        let mut pairs = Vec::new();
        for (name, values) in &plan.query {
            for value in values.as_slice() {
                pairs.push((name.as_str(), variables.expand(value).map_err(told)?));
            }
        }
        if !pairs.is_empty() {
            let mark = if url.contains('?') { '&' } else { '?' };
            url = format!(
                "{url}{mark}{}",
                form::query(pairs.iter().map(|(name, value)| (*name, value.as_str())))
            );
        }
        let body = self.body(plan, variables)?;
        let mut headers = vec![("accept".to_owned(), FHIR_JSON.to_owned())];
        if body.is_some() {
            headers.push(("content-type".to_owned(), FHIR_JSON.to_owned()));
        }
        for (name, value) in &plan.headers {
            let name = name.to_ascii_lowercase();
            headers.retain(|(own, _)| *own != name);
            headers.push((name, variables.expand(value).map_err(told)?));
        }
        Ok(Outgoing { method: plan.method.clone(), url, headers, body, token })
    }

    /// The URL of a request. A variable can't lead out of the target, whatever a server put into it.
    fn url(&self, path: &str, variables: &Variables) -> Result<String, String> {
        let mut pieces = parts(path);
        let whole = matches!((pieces.next(), pieces.next()), (Some(Ok(Part::Variable(_))), None));
        if whole {
            let url = variables.expand(path).map_err(|fault| fault.to_string())?;
            let inside = url.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with(['/', '?']));
            if !inside || climbs(&url) {
                let text = short(&url);
                return Err(format!("the URL {text} does not lead to {}; no request was made", self.base));
            }
            return Ok(url);
        }
        let path =
            variables.expand_with(path, |text| form::encode(text, "")).map_err(|fault| fault.to_string())?;
        if climbs(&path) {
            return Err(format!("the path {} leads upwards; no request was made", short(&path)));
        }
        Ok(format!("{}{path}", self.base))
    }

    fn body(&self, plan: &RequestPlan, variables: &Variables) -> Result<Option<String>, String> {
        let told = |fault: TemplateFault| fault.to_string();
        if let Some(text) = &plan.body {
            return variables.expand(text).map(Some).map_err(told);
        }
        if let Some(json) = &plan.json {
            return expand_json(json, variables).map(|json| Some(json.to_string())).map_err(told);
        }
        if let Some(name) = &plan.body_file {
            let text = self.files.get(name).ok_or_else(|| format!("{name} was not read"))?;
            return variables.expand(text).map(Some).map_err(told);
        }
        Ok(plan.generate.as_ref().map(|generate| {
            let system = match generate.patient.codice_fiscale {
                FiscalCodeChoice::Hl7Italy => FiscalCodeSystem::Hl7Italy,
                FiscalCodeChoice::Oid => FiscalCodeSystem::Oid,
            };
            Person::synthetic(generate.patient.seed, generate.patient.number).patient(system)
        }))
    }
}

/// True where a segment of the path is `.` or `..`, written plainly or encoded.
fn climbs(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    path.split('/').any(|segment| segment == "." || segment == "..")
}

/// Sets variables in order: each may use those before it.
pub(super) fn set_all(
    variables: &mut Variables,
    own: &serde_json::Map<String, serde_json::Value>,
) -> Result<(), TemplateFault> {
    for (name, value) in own {
        let value = variables.expand(value.as_str().unwrap_or_default())?;
        variables.set(name, value);
    }
    Ok(())
}

fn expand_json(value: &serde_json::Value, variables: &Variables) -> Result<serde_json::Value, TemplateFault> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::String(text) => Json::String(variables.expand(text)?),
        Json::Array(items) => {
            Json::Array(items.iter().map(|item| expand_json(item, variables)).collect::<Result<_, _>>()?)
        }
        Json::Object(members) => {
            let each = members.iter().map(|(key, member)| Ok((key.clone(), expand_json(member, variables)?)));
            Json::Object(each.collect::<Result<_, TemplateFault>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn url(path: &str, value: &str) -> Result<String, String> {
        let mut variables = Variables::default();
        variables.set("v", value);
        let files = BTreeMap::new();
        let prepare = Prepare { base: "http://h.test/fhir".to_owned(), files: &files };
        let plan: RequestPlan =
            serde_json::from_value(serde_json::json!({"method": "GET", "path": path})).unwrap();
        prepare.outgoing(&plan, &variables, None).map(|outgoing| outgoing.url)
    }

    #[test]
    fn no_value_leads_out_of_the_target() {
        assert_eq!(url("/Patient/${v}", "a/b?c").unwrap(), "http://h.test/fhir/Patient/a%2Fb%3Fc");
        assert_eq!(url("${v}", "http://h.test/fhir/Patient?x=1").unwrap(), "http://h.test/fhir/Patient?x=1");
        for (path, value) in [
            ("/Patient/${v}", ".."),
            ("${v}", "http://h.test/fhir/../admin"),
            ("${v}", "http://h.test/fhir/%2E%2e/admin"),
            ("${v}", "http://h.test/fhir-admin/x"),
            ("${v}", "http://h.test.evil.test/fhir/x"),
            ("${v}", "/Patient"),
        ] {
            assert!(url(path, value).unwrap_err().contains("no request was made"), "{path} {value}");
        }
    }
}
