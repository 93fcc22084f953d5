//! What the two tokens of a message say, read without checking who signed it: the national gateway checks that.
//!
//! Nothing is decided by these claims but what belongs to the message itself: its warnings, until when it can be sent as it
//! is, and under whose name the trail finds it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// Longest token that is read, in bytes.
const LONGEST: usize = 32 * 1024;
/// Beyond this a time is in milliseconds, as the published examples write it.
const MILLISECONDS: f64 = 1e11;

/// The claims of one token, as far as they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Claims {
    #[serde(deserialize_with = "text")]
    pub iss: Option<String>,
    #[serde(deserialize_with = "text")]
    pub sub: Option<String>,
    #[serde(deserialize_with = "text")]
    pub jti: Option<String>,
    #[serde(deserialize_with = "text")]
    pub subject_organization_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub action_id: Option<String>,
    #[serde(deserialize_with = "text")]
    pub attachment_hash: Option<String>,
    #[serde(deserialize_with = "text")]
    pub person_id: Option<String>,
    #[serde(deserialize_with = "time")]
    pub exp: Option<i64>,
    #[serde(deserialize_with = "time")]
    pub nbf: Option<i64>,
}

fn text<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// Seconds since 1970.
#[allow(clippy::cast_possible_truncation)]
fn time<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(value)?;
    let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
    // Casts of floats saturate.
    Ok(number.map(|number| if number > MILLISECONDS { (number / 1000.0) as i64 } else { number as i64 }))
}

/// Both tokens of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tokens {
    /// `Authorization`; `None` where there is none that can be read.
    pub caller: Option<Claims>,
    /// `FSE-JWT-Signature`
    pub signature: Option<Claims>,
}

impl Tokens {
    /// Reads them from the values of their headers.
    pub fn read(authorization: Option<&str>, signature: Option<&str>) -> Tokens {
        let bearer = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        Tokens { caller: bearer.and_then(claims), signature: signature.map(str::trim).and_then(claims) }
    }

    /// Until when both can be used, in seconds since 1970; `None` where neither says.
    pub fn until(&self) -> Option<i64> {
        self.each().filter_map(|claims| claims.exp).min()
    }

    /// The patient that the message is about.
    pub fn person(&self) -> Option<&str> {
        self.signature.as_ref()?.person_id.as_deref()
    }

    /// What tells two sendings of one message apart: the tokens' ids, where both have one.
    pub fn ids(&self) -> Option<(&str, &str)> {
        let id = |claims: &'_ Option<Claims>| claims.as_ref().map(|own| own.jti.clone());
        id(&self.caller).flatten()?;
        Some((self.caller.as_ref()?.jti.as_deref()?, self.signature.as_ref()?.jti.as_deref()?))
    }

    /// The tokens that can be read.
    pub fn each(&self) -> impl Iterator<Item = &Claims> {
        self.caller.iter().chain(&self.signature)
    }
}

fn claims(token: &str) -> Option<Claims> {
    if token.len() > LONGEST {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn claims_are_read_whatever_their_form() {
        let caller = token(&json!({ "iss": "auth:S1", "exp": 1_656_541_352_925_u64, "jti": 7, "sub": "x" }));
        let signature = token(&json!({ "exp": 2_000_000_000, "person_id": "P", "jti": "8" }));
        let tokens = Tokens::read(Some(&format!("bearer {caller}")), Some(&signature));
        assert_eq!(tokens.until(), Some(1_656_541_352));
        assert_eq!((tokens.person(), tokens.ids()), (Some("P"), None));
        for bad in ["", "Basic x", "Bearer x", "Bearer e30.e30", "Bearer a.****.b", "Bearer a.W10.b"] {
            let read = Tokens::read(Some(bad), None);
            assert_eq!(read.until(), None, "{bad}");
        }
    }
}
