//! Claims that stand elsewhere than IHE IUA puts them, as the configuration says.
//!
//! A claim is named by its name, or by a JSON Pointer (RFC 6901). Its value is a text, an object with `system` and `code` or
//! `value`, or a list of those; in a text, `system|value` says both. What is configured replaces IUA's claim for the same
//! thing. A claim of another form refuses the token: nobody becomes somebody by a misunderstanding.

use serde_json::Value;
use varco_core::requester::{BusinessIdentifier, Code, Requester};

use super::TokenError;
use super::token::one_line;
use crate::config::ClaimMap;

/// Most values of one claim.
const MOST: usize = 64;

/// Puts the mapped claims into what was read by the profile.
pub(super) fn apply(map: &ClaimMap, claims: &Value, requester: &mut Requester) -> Result<(), TokenError> {
    if let Some(name) = &map.client {
        requester.client_id = one(claims, name)?.map(|(_, value)| value).unwrap_or_default();
    }
    if let Some(name) = &map.subject {
        let own = one(claims, name)?;
        requester.subject =
            own.map(|(system, value)| identifier(system, value, map.subject_system.as_deref()));
    }
    if let Some(name) = &map.subject_name {
        requester.subject_name = one(claims, name)?.map(|(_, value)| value);
    }
    if let Some(name) = &map.organization {
        let system = map.organization_system.as_deref();
        let found = values(claims, name)?.into_iter();
        requester.organizations = found.map(|(own, value)| identifier(own, value, system)).collect();
    }
    if let Some(name) = &map.reason {
        let refused = || TokenError::Claim(name.clone());
        let own = claim(claims, name).map(|own| own.as_str().and_then(one_line).ok_or_else(refused));
        requester.reason = own.transpose()?;
    }
    if let Some(name) = &map.organization_name {
        requester.organization_names = values(claims, name)?.into_iter().map(|(_, name)| name).collect();
    }
    if let Some(name) = &map.person {
        requester.person = person(claims, name)?;
    }
    if let Some(name) = &map.role {
        requester.roles = codes(claims, name, map.role_system.as_deref())?;
    }
    if let Some(name) = &map.purpose {
        requester.purposes = codes(claims, name, map.purpose_system.as_deref())?;
    }
    Ok(())
}

/// The claim itself.
pub(super) fn claim<'c>(claims: &'c Value, name: &str) -> Option<&'c Value> {
    let found = if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) };
    found.filter(|value| !value.is_null())
}

/// The patient whom the request may be about; a claim that names nobody clearly refuses the token.
fn person(claims: &Value, name: &str) -> Result<Option<BusinessIdentifier>, TokenError> {
    let refused = || TokenError::Claim(name.to_owned());
    match one(claims, name)? {
        None => Ok(None),
        Some((Some(system), value)) if !system.is_empty() => Ok(Some(BusinessIdentifier::new(system, value))),
        Some((Some(_), _)) => Err(refused()),
        Some((None, text)) => BusinessIdentifier::of_cx(&text).map(Some).ok_or_else(refused),
    }
}

type Pair = (Option<String>, String);

fn codes(claims: &Value, name: &str, system: Option<&str>) -> Result<Vec<Code>, TokenError> {
    let code = |(own, code): Pair| Code { system: either(own, system), code };
    Ok(values(claims, name)?.into_iter().map(code).collect())
}

fn identifier(own: Option<String>, value: String, system: Option<&str>) -> BusinessIdentifier {
    BusinessIdentifier { system: either(own, system), value }
}

fn either(own: Option<String>, configured: Option<&str>) -> String {
    own.unwrap_or_else(|| configured.unwrap_or_default().to_owned())
}

fn one(claims: &Value, name: &str) -> Result<Option<Pair>, TokenError> {
    let mut found = values(claims, name)?;
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(TokenError::Claim(name.to_owned())),
    }
}

fn values(claims: &Value, name: &str) -> Result<Vec<Pair>, TokenError> {
    let refused = || TokenError::Claim(name.to_owned());
    match claim(claims, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(many)) if many.len() > MOST => Err(refused()),
        Some(Value::Array(many)) => many.iter().map(|value| pair(value).ok_or_else(refused)).collect(),
        Some(single) => Ok(vec![pair(single).ok_or_else(refused)?]),
    }
}

fn pair(value: &Value) -> Option<Pair> {
    let pair = match value {
        Value::String(text) => match text.split_once('|') {
            Some((system, value)) => (Some(system.to_owned()), value.to_owned()),
            None => (None, text.clone()),
        },
        Value::Object(members) => {
            let system = members.get("system").map(|system| system.as_str().map(str::to_owned));
            let value = members.get("code").or_else(|| members.get("value"))?.as_str()?;
            (system.map_or(Some(None), |system| system.map(Some))?, value.to_owned())
        }
        _ => return None,
    };
    (!pair.1.is_empty()).then_some(pair)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(settings: Value) -> ClaimMap {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer_in_every_form() {
        let map = map(json!({
            "client": "cid", "subject": "/person/fiscal", "subject_system": "urn:cf", "organization": "org",
            "organization_system": "urn:hsp", "role": "https://r.example/role", "role_system": "urn:role",
            "purpose": "pou", "subject_name": "name",
        }));
        let claims = json!({
            "cid": "app", "person": { "fiscal": "RSSLCU80A41F205X" }, "org": ["030913", "urn:other|7"],
            "https://r.example/role": { "system": "urn:own", "code": "AAS" }, "name": "Lucia Rossi",
            "pou": [{ "code": "TREAT" }, "urn:act|BTG"],
        });
        let mut requester = Requester { roles: vec![Code::new("iua", "X")], ..Requester::default() };
        apply(&map, &claims, &mut requester).unwrap();
        assert_eq!(requester.client_id, "app");
        assert_eq!(requester.subject, Some(BusinessIdentifier::new("urn:cf", "RSSLCU80A41F205X")));
        assert_eq!(requester.subject_name.as_deref(), Some("Lucia Rossi"));
        let organizations =
            [BusinessIdentifier::new("urn:hsp", "030913"), BusinessIdentifier::new("urn:other", "7")];
        assert_eq!(requester.organizations, organizations);
        assert_eq!(requester.roles, [Code::new("urn:own", "AAS")]);
        assert_eq!(requester.purposes, [Code::new("", "TREAT"), Code::new("urn:act", "BTG")]);
    }

    #[test]
    fn a_mapped_claim_that_is_absent_leaves_nothing_of_another() {
        let mut requester = Requester { roles: vec![Code::new("iua", "X")], ..Requester::default() };
        apply(&map(json!({ "role": "role" })), &json!({}), &mut requester).unwrap();
        assert!(requester.roles.is_empty());
    }

    #[test]
    fn a_claim_of_another_form_refuses_the_token() {
        for value in [
            json!(7),
            json!(true),
            json!(""),
            json!({}),
            json!({ "code": 1 }),
            json!([["x"]]),
            json!({ "system": 1, "code": "x" }),
            json!(vec!["x"; 65]),
        ] {
            let claims = json!({ "role": value });
            let refused = apply(&map(json!({ "role": "role" })), &claims, &mut Requester::default());
            assert_eq!(refused, Err(TokenError::Claim("role".to_owned())), "{claims}");
        }
        let two =
            apply(&map(json!({ "subject": "s" })), &json!({ "s": ["a", "b"] }), &mut Requester::default());
        assert!(two.is_err());
    }
}
