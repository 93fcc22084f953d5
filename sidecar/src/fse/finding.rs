//! What this gateway notices about a message: it becomes a warning in the answer and never a refusal.
//!
//! Invariant: a finding names claims and rules, never values.

use super::kind::Kind;
use super::message::Message;

/// What comes before a region's part of an OID.
const REGIONS: &str = "2.16.840.1.113883.2.9.2.";
/// Within how many seconds a token's end is worth a warning.
const SOON: i64 = 60;

/// The findings about a message; `region` is the region whose messages the route leads, `all` those of every route, `now` is in
/// seconds since 1970.
pub fn of<'r>(
    message: &Message,
    region: Option<&str>,
    mut all: impl Iterator<Item = &'r str>,
    now: i64,
) -> Vec<String> {
    let mut found = Vec::new();
    let tokens = &message.tokens;
    if message.kind != Kind::Other {
        for (name, token) in [("Authorization", &tokens.caller), ("FSE-JWT-Signature", &tokens.signature)] {
            if token.is_none() {
                found.push(format!("{name} holds no token that can be read"));
            }
        }
    }
    if let (Some(caller), Some(signature)) = (&tokens.caller, &tokens.signature) {
        let differs =
            |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
        if differs(&caller.sub, &signature.sub) {
            found.push("the two tokens differ in `sub`".to_owned());
        }
        if differs(&caller.subject_organization_id, &signature.subject_organization_id) {
            found.push("the two tokens differ in `subject_organization_id`".to_owned());
        }
        let name = |issuer: &Option<String>| issuer.as_ref().map(|own| holder(own).to_owned());
        if differs(&name(&caller.iss), &name(&signature.iss)) {
            found.push("the two tokens are of two holders by `iss`".to_owned());
        }
    }
    match tokens.until() {
        Some(until) if until <= now => found.push("a token has expired".to_owned()),
        Some(until) if until <= now.saturating_add(SOON) => {
            found.push(format!("a token expires within {SOON} seconds"));
        }
        _ => {}
    }
    if tokens.each().filter_map(|claims| claims.nbf).any(|from| from > now.saturating_add(SOON)) {
        found.push("a token is not valid yet".to_owned());
    }
    if let Some(signature) = &tokens.signature {
        if let (Some(action), Some(own)) = (&signature.action_id, message.kind.action())
            && action != own
        {
            found.push(format!("`action_id` is not {own}, the action of such a message"));
        }
        match (&signature.attachment_hash, &message.file_hash) {
            (Some(hash), Some(own)) if !hash.eq_ignore_ascii_case(own) => {
                found.push("`attachment_hash` is not the SHA-256 of the part `file`".to_owned());
            }
            (None, Some(_)) => found.push("`attachment_hash` is missing beside a part `file`".to_owned()),
            _ => {}
        }
        if let (Some(region), Some(organization)) = (region, &signature.subject_organization_id)
            && code(organization) != code(region)
        {
            let elsewhere = match all.any(|own| code(own) == code(organization)) {
                true => "another route is for it",
                false => "no route here is for it",
            };
            found.push(format!(
                "`subject_organization_id` is not the region that this route is for; {elsewhere}"
            ));
        }
    }
    let foreign = |document: &String| {
        let arc = document.strip_prefix(REGIONS).and_then(|rest| rest.split(['.', '^']).next());
        matches!((arc, region), (Some(arc), Some(region)) if code(arc) != code(region))
    };
    if message.documents.iter().any(foreign) {
        found.push("the document's identifier is of another region than this route".to_owned());
    }
    found
}

/// The name in `auth:NAME` and `integrity:NAME`.
fn holder(issuer: &str) -> &str {
    let of = |kind: &str| issuer.strip_prefix(kind);
    of("auth:").or_else(|| of("integrity:")).unwrap_or(issuer)
}

/// A region as codes and OIDs write it, with and without zeros before it.
fn code(region: &str) -> &str {
    region.trim_start_matches('0')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn message(method: Method, target: &str, caller: Value, signature: Value) -> Message {
        let over = |changed: Value, issuer: &str| {
            let mut claims = json!({ "iss": format!("{issuer}:S1"), "sub": "P1", "exp": NOW + 3_600, "jti": "1",
                "subject_organization_id": "030", "action_id": "DELETE" });
            for (name, value) in changed.as_object().unwrap() {
                claims[name] = value.clone();
            }
            format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
        };
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", over(caller, "auth")).parse().unwrap());
        headers.insert("fse-jwt-signature", over(signature, "integrity").parse().unwrap());
        Message::read(method, target.to_owned(), &headers, Bytes::new())
    }

    fn delete(caller: Value, signature: Value) -> Vec<String> {
        let target = "/documents/2.16.840.1.113883.2.9.2.30.4.4%5E7";
        of(&message(Method::DELETE, target, caller, signature), Some("030"), ["030", "050"].into_iter(), NOW)
    }

    #[test]
    fn a_message_as_it_should_be_has_no_finding() {
        assert_eq!(delete(json!({}), json!({})), Vec::<String>::new());
    }

    #[test]
    fn each_contradiction_is_found_once_and_no_value_is_told() {
        let cases = [
            (json!({ "sub": "Rossi" }), json!({}), "differ in `sub`"),
            (json!({ "iss": "auth:S2" }), json!({}), "two holders"),
            (json!({ "subject_organization_id": "120" }), json!({}), "differ in `subject_organization_id`"),
            (json!({}), json!({ "exp": NOW + 10 }), "expires within"),
            (json!({ "exp": NOW - 1 }), json!({}), "has expired"),
            (json!({ "nbf": NOW + 600 }), json!({}), "not valid yet"),
            (json!({}), json!({ "action_id": "READ" }), "`action_id` is not DELETE"),
        ];
        for (caller, signature, wanted) in cases {
            let found = delete(caller, signature);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(wanted) && !found[0].contains("Rossi"), "{found:?}");
        }
        let both = json!({ "subject_organization_id": "120" });
        let found = delete(both.clone(), both);
        assert!(found.len() == 1 && found[0].contains("no route here is for it"), "{found:?}");
        let both = json!({ "subject_organization_id": "050" });
        assert!(delete(both.clone(), both)[0].contains("another route is for it"));
        let elsewhere = "/documents/2.16.840.1.113883.2.9.2.120.4.4%5E7";
        let found = of(
            &message(Method::DELETE, elsewhere, json!({}), json!({})),
            Some("30"),
            ["30"].into_iter(),
            NOW,
        );
        assert_eq!(found, ["the document's identifier is of another region than this route"]);
        let nobody = Message::read(Method::POST, "/documents".to_owned(), &HeaderMap::new(), Bytes::new());
        assert_eq!(of(&nobody, None, std::iter::empty(), NOW).len(), 2);
    }
}
