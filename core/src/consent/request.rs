//! A request written down: what `varco consent explain --request` and the golden cases read.
//!
//! ```json
//! {
//!   "actor": {"reference": "Practitioner/7",
//!             "identifier": {"system": "http://hl7.it/sid/codiceFiscale", "value": "RSSMRA71E01F205E"}},
//!   "role": [{"system": "https://example.org/ruoli", "code": "APR"}],
//!   "purpose": ["TREAT"],
//!   "organization": "http://hl7.it/sid/hsp|030913",
//!   "action": "access",
//!   "reason": "unconscious, no relatives",
//!   "selfCertifications": 2,
//!   "delegations": ["consult", "services"]
//! }
//! ```
//!
//! Every member may be left out, and be one value or a list. An actor or organisation is a literal reference, a
//! token `system|value`, an `Identifier`, or an object with `reference` and `identifier`. A role or purpose is a
//! code, a token `system|code`, a `Coding` or a `CodeableConcept`; a purpose without a system is one of
//! v3-ActReason. The action is a code of `consentaction`, `access` where none is given. The reason counts for
//! emergencies ([`super::BreakGlass`]), the last two for the rules of FSE 2.0 alone ([`super::fse`]).

use fhir_models::document::{Value, name};

use super::reading::{coding, codings, identifier};
use super::{ACT_REASON, Action, LiteralReference, Question, Reading};
use crate::requester::{BusinessIdentifier, Code, Requester};

/// Who asks to do what.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsentRequest {
    /// Who asks.
    pub requester: Requester,
    /// The FHIR resources that the requester is known as.
    pub known_as: Vec<LiteralReference>,
    /// What is to be done.
    pub action: Action,
}

/// Why a request can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not an object.
    #[error("a request is a JSON object with actor, role, purpose, organization and action")]
    NotAnObject,
    /// A member that a request doesn't have.
    #[error(
        "a request has no `{0}`; it may have actor, role, purpose, organization, action, client, reason, \
             selfCertifications and delegations"
    )]
    Unknown(String),
    /// A member that can't be read.
    #[error("`{element}` can't be read: {cure}")]
    Unreadable {
        /// The member.
        element: &'static str,
        /// How to write it.
        cure: &'static str,
    },
}

const PARTY: &str = "write a reference (Practitioner/7), a token (system|value), or an object with `reference` \
                     and `identifier`";
const CODE: &str = "write a code, a token (system|code) or a Coding";

impl ConsentRequest {
    /// Reads a request.
    pub fn read(request: Value<'_>, reading: &Reading) -> Result<ConsentRequest, RequestError> {
        if !request.is_object() {
            return Err(RequestError::NotAnObject);
        }
        let mut read =
            ConsentRequest { requester: Requester::default(), known_as: Vec::new(), action: Action::Access };
        for member in request.children() {
            let key = member.key().unwrap_or_default();
            match key.as_ref() {
                "actor" => read.actor(member, reading)?,
                "organization" => {
                    for item in member.items() {
                        let identifiers = read.party("organization", item, reading)?;
                        read.requester.organizations.extend(identifiers);
                    }
                }
                "role" => read.requester.roles = codes("role", member, "")?,
                "purpose" => read.requester.purposes = codes("purpose", member, ACT_REASON)?,
                "reason" => {
                    let cure = "write it as a string";
                    let why = member.as_str().ok_or(RequestError::Unreadable { element: "reason", cure })?;
                    read.requester.reason = Some(why.into_owned());
                }
                "client" => {
                    let cure = "write the client's id as a string";
                    let id = member.as_str().ok_or(RequestError::Unreadable { element: "client", cure })?;
                    read.requester.client_id = id.into_owned();
                }
                "selfCertifications" => {
                    let cure = "write how many, as a number";
                    let count = member.as_number().and_then(|text| text.parse().ok());
                    let count =
                        count.ok_or(RequestError::Unreadable { element: "selfCertifications", cure })?;
                    read.requester.grants.self_certifications = count;
                }
                "delegations" => {
                    for item in member.items() {
                        match item.as_str().as_deref() {
                            Some("consult") => read.requester.grants.may_consult = true,
                            Some("services") => read.requester.grants.may_use_services = true,
                            _ => {
                                let cure = "write consult, services or both";
                                return Err(RequestError::Unreadable { element: "delegations", cure });
                            }
                        }
                    }
                }
                "action" => {
                    let cure = "write collect, access, use, disclose or correct";
                    let action = member.as_str().and_then(|code| Action::of_code(&code));
                    read.action = action.ok_or(RequestError::Unreadable { element: "action", cure })?;
                }
                unknown => return Err(RequestError::Unknown(unknown.to_owned())),
            }
        }
        Ok(read)
    }

    /// The question that the request puts, at an instant.
    pub fn question(&self, at: jiff::Timestamp) -> Question<'_> {
        Question::new(&self.requester, self.action, at).known_as(&self.known_as)
    }

    fn actor(&mut self, member: Value<'_>, reading: &Reading) -> Result<(), RequestError> {
        for item in member.items() {
            for identifier in self.party("actor", item, reading)? {
                if self.requester.subject.replace(identifier).is_some() {
                    let cure = "a request has one actor with one identifier";
                    return Err(RequestError::Unreadable { element: "actor", cure });
                }
            }
        }
        Ok(())
    }

    /// Adds a party's references to those that the requester is known as, and gives its identifiers.
    fn party(
        &mut self,
        element: &'static str,
        item: Value<'_>,
        reading: &Reading,
    ) -> Result<Vec<BusinessIdentifier>, RequestError> {
        let unreadable = RequestError::Unreadable { element, cure: PARTY };
        if let Some(text) = item.as_str() {
            if let Some((system, value)) = text.rsplit_once('|').filter(|(_, value)| !value.is_empty()) {
                return Ok(vec![BusinessIdentifier::new(system, value)]);
            }
            self.known_as.push(LiteralReference::parse_at(&text, &reading.bases).ok_or(unreadable)?);
            return Ok(Vec::new());
        }
        let mut identifiers: Vec<_> =
            item.path(&[name::IDENTIFIER]).into_iter().filter_map(identifier).collect();
        identifiers.extend(identifier(item));
        if let Some(reference) = item.str_of(name::REFERENCE) {
            let reference = LiteralReference::parse_at(&reference, &reading.bases);
            self.known_as.push(reference.ok_or(unreadable)?);
        } else if identifiers.is_empty() {
            return Err(unreadable);
        }
        Ok(identifiers)
    }
}

fn codes(element: &'static str, member: Value<'_>, system: &str) -> Result<Vec<Code>, RequestError> {
    let mut found = Vec::new();
    for item in member.items() {
        let before = found.len();
        match item.as_str() {
            Some(text) => found.extend(token(&text, system)),
            None => found.extend(coding(item).into_iter().chain(codings(item))),
        }
        if found.len() == before {
            return Err(RequestError::Unreadable { element, cure: CODE });
        }
    }
    Ok(found)
}

fn token(text: &str, system: &str) -> Option<Code> {
    let (system, code) = text.rsplit_once('|').unwrap_or((system, text));
    (!code.is_empty()).then(|| Code::new(system, code))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use fhir_models::document::{Limits, OwnedDocument};

    fn read(json: &str) -> Result<ConsentRequest, RequestError> {
        let document = OwnedDocument::parse_json(json, &Limits::default()).unwrap();
        ConsentRequest::read(document.root(), &Reading::default())
    }

    #[test]
    fn short_and_long_forms_mean_the_same() {
        let long = read(
            r#"{"actor":{"reference":"Practitioner/7","identifier":{"system":"urn:s","value":"A"}},
                "purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}],
                "organization":[{"identifier":[{"system":"http://hl7.it/sid/hsp","value":"030913"}]}],"role":{"coding":[{"system":"urn:r","code":"APR"}]}}"#,
        );
        let short = read(
            r#"{"actor":["Practitioner/7","urn:s|A"],"purpose":"TREAT","organization":"http://hl7.it/sid/hsp|030913",
                "role":"urn:r|APR","action":"access"}"#,
        );
        assert_eq!(long, short);
        let request = short.unwrap();
        assert_eq!(request.requester.subject, Some(BusinessIdentifier::new("urn:s", "A")));
        assert_eq!(request.known_as[0].as_str(), "Practitioner/7");
        assert_eq!(read("{}").unwrap().action, Action::Access);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (json, element) in [
            (r#"{"actor":"Dottor Rossi"}"#, "`actor`"),
            (r#"{"actor":["urn:s|A","urn:s|B"]}"#, "`actor`"),
            (r#"{"organization":{"display":"ASST"}}"#, "`organization`"),
            (r#"{"purpose":[{"text":"cura"}]}"#, "`purpose`"),
            (r#"{"role":7}"#, "`role`"),
            (r#"{"action":"read"}"#, "`action`"),
            (r#"{"delegations":["consult","tutto"]}"#, "`delegations`"),
            (r#"{"selfCertifications":"due"}"#, "`selfCertifications`"),
            (r#"{"purposes":"TREAT"}"#, "`purposes`"),
            ("[]", "object"),
        ] {
            assert!(read(json).unwrap_err().to_string().contains(element), "{json}");
        }
    }
}
