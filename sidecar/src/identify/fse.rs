//! The two tokens of FSE 2.0: `Authorization` says who calls (`iss` is `auth:` and a name), `FSE-JWT-Signature` says what for
//! (`integrity:` and the same name). Both carry the certificate that they are signed by.
//!
//! Invariants: both are checked as a token is (signature, issuer, audience, times), by the key of a certificate that a
//! configured authority vouches for and whose common name is the one in `iss`; both are of one certificate holder, person and
//! organisation. The claims that decide are those of `FSE-JWT-Signature`; what they bind the request to is checked when the
//! request is known ([`FseClaims::check`]).

use std::sync::Arc;

use http::HeaderMap;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use varco_core::consent::fse::{FseAction, FseClaims, FseRole, document_types, purpose_of_use};
use varco_core::requester::{BusinessIdentifier, Code, Requester};

use super::chain::{Authorities, Leaf};
use super::issuer::Accepted;
use super::token::{Claims, named};
use super::{LONGEST_TOKEN, TokenError, replay};
use crate::config::{self, FSE_ALGORITHMS};
use crate::hexadecimal;
use crate::listen::tls::TlsError;

/// The header of the second token.
const SIGNATURE: &str = "fse-jwt-signature";

/// Checks the tokens of applications that authorities vouch for.
pub(super) struct FseIssuer {
    pub leeway: u64,
    /// The only common name; `None` where any that the authorities vouch for counts.
    name: Option<String>,
    authorities: Authorities,
    audience: String,
    algorithms: Vec<Algorithm>,
    one_time: bool,
    longest: Option<u64>,
    scopes: Vec<String>,
    role_system: String,
    organization_system: String,
    purpose_system: String,
}

/// What both tokens say.
struct Token {
    leaf: Leaf,
    said: Value,
    claims: Claims,
    once: Option<[u8; 32]>,
}

/// The claims of `FSE-JWT-Signature`.
#[derive(Deserialize)]
struct Said {
    sub: String,
    subject_organization_id: String,
    #[serde(default)]
    subject_organization: Option<String>,
    #[serde(default)]
    locality: Option<String>,
    subject_role: String,
    person_id: String,
    patient_consent: bool,
    purpose_of_use: String,
    action_id: String,
    #[serde(default)]
    resource_hl7_type: Option<String>,
    #[serde(default)]
    attachment_hash: Option<String>,
}

impl FseIssuer {
    pub fn new(config: &config::Issuer, audience: &str) -> Result<FseIssuer, TlsError> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let name = config.issuer.strip_prefix("auth:").unwrap_or_default();
        let path = config.ca.clone().unwrap_or_default();
        Ok(FseIssuer {
            leeway: config.leeway_seconds,
            name: (name != "*").then(|| name.to_owned()),
            authorities: Authorities::load(&path)?,
            audience: config.audience.as_deref().unwrap_or(audience).to_owned(),
            algorithms: match config.algorithms.as_slice() {
                [] => FSE_ALGORITHMS.to_vec(),
                listed => listed.to_vec(),
            },
            one_time: config.one_time,
            longest: config.longest(),
            scopes: config.scopes.clone(),
            role_system: text(&config.claims.role_system),
            organization_system: text(&config.claims.organization_system),
            purpose_system: text(&config.claims.purpose_system),
        })
    }

    /// Whether tokens with this `iss` are for this one to check.
    pub fn serves(&self, issuer: &str) -> bool {
        let name = issuer.strip_prefix("auth:").filter(|name| !name.is_empty());
        name.is_some_and(|name| self.name.as_ref().is_none_or(|own| own == name))
    }

    /// Checks both tokens. `now` is in seconds since 1970.
    pub fn check(&self, bearer: &str, signature: Option<&str>, now: u64) -> Result<Accepted, TokenError> {
        let signature = signature.ok_or(TokenError::NoSignature)?;
        let caller = self.token(bearer, "auth:", now)?;
        let signed = self.token(signature, "integrity:", now)?;
        if caller.leaf.subject != signed.leaf.subject {
            return Err(TokenError::Pair("the holder of their certificates"));
        }
        let said = Said::deserialize(&signed.said).map_err(|error| TokenError::Invalid(error.to_string()))?;
        for (claim, own) in [("sub", &said.sub), ("subject_organization_id", &said.subject_organization_id)] {
            let other = caller.said.get(claim);
            if other.is_some_and(|other| other != own.as_str()) || (other.is_none() && claim == "sub") {
                return Err(TokenError::Pair(claim));
            }
        }
        let certificate = match (caller.claims.certificate()?, signed.claims.certificate()?) {
            (Some(one), Some(other)) if one != other => return Err(TokenError::Pair("cnf")),
            (one, other) => one.or(other),
        };
        let ends = [caller.claims.exp, signed.claims.exp, caller.leaf.ends, signed.leaf.ends];
        Ok(Accepted {
            expires: ends.into_iter().min().unwrap_or_default(),
            certificate,
            once: caller.once.into_iter().chain(signed.once).collect(),
            generation: 0,
            requester: Arc::new(self.requester(signed, said)?),
        })
    }

    fn token(&self, token: &str, kind: &str, now: u64) -> Result<Token, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::NotJwt)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        if !self.algorithms.contains(&header.alg) {
            return Err(TokenError::Algorithm);
        }
        let leaf = self.authorities.leaf(header.x5c.as_deref().unwrap_or_default(), now);
        let leaf = leaf.map_err(TokenError::Chain)?;
        if self.name.as_ref().is_some_and(|own| *own != leaf.name) {
            return Err(TokenError::UnknownIssuer);
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        validation.set_issuer(&[format!("{kind}{}", leaf.name)]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let invalid = |error: &dyn std::fmt::Display| TokenError::Invalid(error.to_string());
        let said = decode::<Value>(token, &leaf.key, &validation).map_err(|error| invalid(&error))?.claims;
        let claims = Claims::deserialize(&said).map_err(|error| invalid(&error))?;
        claims.check_times(now, self.leeway, self.longest)?;
        let once = match (self.one_time, &claims.jti) {
            (false, _) => None,
            (true, Some(jti)) if !jti.is_empty() => Some(replay::id(&format!("{kind}{}", leaf.name), jti)),
            (true, _) => return Err(TokenError::NoId),
        };
        Ok(Token { leaf, said, claims, once })
    }

    fn requester(&self, signed: Token, said: Said) -> Result<Requester, TokenError> {
        let fse = read(&said)?;
        let claim = |name: &str| TokenError::Claim(name.to_owned());
        let mut purpose = purpose_of_use(&said.purpose_of_use).ok_or_else(|| claim("purpose_of_use"))?;
        if purpose.system.is_empty() {
            purpose.system.clone_from(&self.purpose_system);
        }
        FseRole::of_code(&said.subject_role).ok_or_else(|| claim("subject_role"))?;
        let identifier = |text: &str, system: &str| {
            BusinessIdentifier::of_cx(text).unwrap_or_else(|| BusinessIdentifier::new(system, text))
        };
        let mut organizations = vec![identifier(&said.subject_organization_id, &self.organization_system)];
        let mut names: Vec<String> = said.subject_organization.into_iter().collect();
        if let Some((place, name)) = said.locality.as_deref().map(place) {
            organizations.push(place);
            names.extend(name);
        }
        Ok(Requester {
            client_id: signed.leaf.name,
            subject: Some(identifier(&said.sub, "")),
            roles: vec![Code::new(self.role_system.as_str(), said.subject_role)],
            organizations,
            organization_names: names,
            purposes: vec![purpose],
            scopes: self.scopes.clone(),
            person: Some(named(&said.person_id).ok_or_else(|| claim("person_id"))?),
            fse: Some(fse),
            ..signed.claims.into_requester()?
        })
    }
}

/// The one `FSE-JWT-Signature` of a request; several are none.
pub(super) fn signature(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(SIGNATURE).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(str::trim).filter(|token| (1..=LONGEST_TOKEN).contains(&token.len()))
}

fn read(said: &Said) -> Result<FseClaims, TokenError> {
    let claim = |name: &str| TokenError::Claim(name.to_owned());
    Ok(FseClaims {
        action: FseAction::of_code(&said.action_id).ok_or_else(|| claim("action_id"))?,
        document_types: match said.resource_hl7_type.as_deref() {
            None => Vec::new(),
            Some(text) => document_types(text).ok_or_else(|| claim("resource_hl7_type"))?,
        },
        patient_consent: said.patient_consent,
        body_hash: match said.attachment_hash.as_deref() {
            None => None,
            Some(text) => Some(hexadecimal::read(text).ok_or_else(|| claim("attachment_hash"))?),
        },
    })
}

/// An organisation as XON writes it (HL7 v2.5.1 §2.A.88), `name^^^^^&OID&ISO^^^^id`: its identifier, and its name. A plain
/// text is an identifier of no known system, which no consent names.
fn place(text: &str) -> (BusinessIdentifier, Option<String>) {
    let parts: Vec<&str> = text.split('^').collect();
    let (authority, id) =
        (parts.get(5).copied().unwrap_or_default(), parts.get(9).copied().unwrap_or_default());
    let name =
        parts.first().filter(|name| parts.len() > 1 && !name.is_empty()).map(|name| (*name).to_owned());
    match BusinessIdentifier::of_cx(&format!("{id}^^^{authority}")) {
        Some(identifier) => (identifier, name),
        None => (BusinessIdentifier::new("", text), name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_its_identifier_and_its_name() {
        let (own, name) = place("AZIENDA OSPEDALIERA^^^^^&2.16.840.1.113883.2.9.4.1.1&ISO^^^^030321");
        assert_eq!(own, BusinessIdentifier::new("urn:oid:2.16.840.1.113883.2.9.4.1.1", "030321"));
        assert_eq!(name.as_deref(), Some("AZIENDA OSPEDALIERA"));
        assert_eq!(place("030321"), (BusinessIdentifier::new("", "030321"), None));
    }
}
