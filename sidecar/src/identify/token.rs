//! The claims of an access token: RFC 9068, SMART scopes, and IHE IUA's `extensions.ihe_iua`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use varco_core::requester::{BusinessIdentifier, Code, Grants, Requester};

use super::TokenError;

/// Longest identifier of a token that is written into audit records, in bytes; one with spaces is no URI there.
const LONGEST_ID: usize = 128;

/// Longest reason of an emergency, in letters.
const LONGEST_REASON: usize = 1_000;

/// What a token says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub exp: u64,
    #[serde(default)]
    pub iat: Option<u64>,
    #[serde(default)]
    pub jti: Option<String>,
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    scope: OneOrMany<String>,
    #[serde(default)]
    extensions: Extensions,
    #[serde(default, rename = "cnf")]
    confirmation: Option<Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
struct Extensions {
    #[serde(default)]
    ihe_iua: Iua,
    #[serde(default)]
    fse: Fse,
    #[serde(default)]
    break_glass: Emergency,
}

/// Why an emergency is one; a claim of our own, since IUA has none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Emergency {
    reason: Option<String>,
}

/// What the issuer says of an emergency or a delegation; a claim of our own, since FSE publishes none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fse {
    self_certifications: u8,
    delegations: OneOrMany<String>,
}

impl Fse {
    fn into_grants(self) -> Grants {
        let delegations = self.delegations.into_vec();
        let has = |what: &str| delegations.iter().any(|own| own == what);
        Grants {
            self_certifications: self.self_certifications,
            may_consult: has("consult"),
            may_use_services: has("services"),
        }
    }
}

/// IHE ITI TF-2 §3.71.4.2.2.1, the IUA JWT claims.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Iua {
    subject_name: Option<String>,
    subject_organization: OneOrMany<String>,
    subject_organization_id: OneOrMany<String>,
    subject_role: OneOrMany<Coded>,
    purpose_of_use: OneOrMany<Coded>,
    national_provider_identifier: Option<String>,
    home_community_id: Option<String>,
    person_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Coded {
    #[serde(default)]
    system: String,
    code: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl Claims {
    /// The certificate that the token is bound to (RFC 8705 §3.1). One that is bound in another way, such as DPoP's, is
    /// refused: whoever stole it could use it here.
    pub fn certificate(&self) -> Result<Option<String>, TokenError> {
        let Some(confirmation) = &self.confirmation else { return Ok(None) };
        let certificate = confirmation.get("x5t#S256").and_then(Value::as_str).map(str::to_owned);
        let alone = confirmation.len() == 1;
        certificate.filter(|_| alone).map(Some).ok_or(TokenError::Confirmation)
    }

    /// Times that nobody else checks: issued in the future, valid for too long. All in seconds.
    pub fn check_times(&self, now: u64, leeway: u64, longest: Option<u64>) -> Result<(), TokenError> {
        if self.iat.is_some_and(|issued| issued > now.saturating_add(leeway)) {
            return Err(TokenError::Future);
        }
        let latest = |longest: u64| now.saturating_add(longest).saturating_add(leeway);
        if longest.is_some_and(|longest| self.exp > latest(longest)) {
            return Err(TokenError::TooLong);
        }
        Ok(())
    }

    /// Who calls. A `person_id` that can't be read refuses the token: without it, the token would not be confined.
    pub fn into_requester(self) -> Result<Requester, TokenError> {
        let iua = self.extensions.ihe_iua;
        let client_id = self.client_id.or(self.azp).or_else(|| self.sub.clone()).unwrap_or_default();
        let subject = match iua.national_provider_identifier {
            Some(number) => Some(identifier(&number)),
            None => self.sub.map(|sub| BusinessIdentifier::new(self.iss, sub)),
        };
        let person = iua.person_id.as_deref().map(|text| {
            named(text).ok_or_else(|| TokenError::Claim("extensions.ihe_iua.person_id".to_owned()))
        });
        let reason = self.extensions.break_glass.reason.map(|text| {
            one_line(&text).ok_or_else(|| TokenError::Claim("extensions.break_glass.reason".to_owned()))
        });
        Ok(Requester {
            client_id,
            subject,
            subject_name: iua.subject_name,
            roles: codes(iua.subject_role),
            organizations: iua
                .subject_organization_id
                .into_vec()
                .iter()
                .map(|text| identifier(text))
                .collect(),
            organization_names: iua.subject_organization.into_vec(),
            home_community: iua.home_community_id.filter(|text| !text.is_empty()),
            purposes: codes(iua.purpose_of_use),
            scopes: self
                .scope
                .into_vec()
                .iter()
                .flat_map(|text| text.split_ascii_whitespace().map(str::to_owned))
                .collect(),
            token_id: self.jti.filter(|jti| {
                (1..=LONGEST_ID).contains(&jti.len()) && jti.bytes().all(|byte| byte.is_ascii_graphic())
            }),
            person: person.transpose()?,
            reason: reason.transpose()?,
            issued: self.iat,
            grants: self.extensions.fse.into_grants(),
            ..Requester::default()
        })
    }
}

/// A reason as it is kept: one line of bounded length.
pub(super) fn one_line(text: &str) -> Option<String> {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let line = line.trim();
    (line.chars().count() <= LONGEST_REASON).then(|| line.to_owned())
}

/// The patient whom a token is about: CX, as IUA has it, or `system|value`. One without a system could be anybody.
pub(super) fn named(text: &str) -> Option<BusinessIdentifier> {
    match text.split_once('|') {
        Some((system, value)) if !system.is_empty() && !value.is_empty() => {
            Some(BusinessIdentifier::new(system, value))
        }
        Some(_) => None,
        None => BusinessIdentifier::of_cx(text),
    }
}

fn codes(coded: OneOrMany<Coded>) -> Vec<Code> {
    coded.into_vec().into_iter().map(|Coded { system, code }| Code { system, code }).collect()
}

/// IUA gives identifiers as `system|value`, or as one bare value such as an OID.
fn identifier(text: &str) -> BusinessIdentifier {
    match text.split_once('|') {
        Some((system, value)) => BusinessIdentifier::new(system, value),
        None => BusinessIdentifier::new("", text),
    }
}

/// The `x5t#S256` of a certificate from its SHA-256.
pub(super) fn thumbprint(digest: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(digest)
}
