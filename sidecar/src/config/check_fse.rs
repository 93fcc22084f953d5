//! An issuer of kind `fse` against the world: a name, authorities that vouch for it now, and scopes.

use jiff::Timestamp;
use varco_core::access::{Scope, ScopeContext};

use super::{FSE_ALGORITHMS, Issuer};
use crate::identify::Authorities;

/// Every fault of the section, by setting.
pub(super) fn faults(issuer: &Issuer, fault: &mut impl FnMut(&str, String, &str)) {
    if issuer.issuer.strip_prefix("auth:").is_none_or(str::is_empty) {
        let cause = format!("{} is no `iss` of an Authorization token of FSE 2.0.", issuer.issuer);
        fault("issuer", cause, "Write auth: and the common name of the certificate, or auth:*.");
    }
    match issuer.ca.as_ref().map(|path| Authorities::load(path)) {
        None => {
            let cause = "The authorities that vouch for certificates are missing.".to_owned();
            fault("", cause, "Add `ca`: the PEM file of their certificates.");
        }
        Some(Err(error)) => {
            fault("ca", format!("{error}."), "Name a PEM file of authorities' certificates alone.");
        }
        Some(Ok(found)) => {
            let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
            if !found.any_holds(now) {
                let cause = "None of the authorities' certificates holds now.".to_owned();
                fault("ca", cause, "Renew the file: all of them have expired, or begin later.");
            }
        }
    }
    if issuer.scopes.is_empty() {
        let cause = "The tokens of FSE carry no scopes: nothing would be allowed.".to_owned();
        fault("", cause, "Add `scopes`, such as [\"system/DocumentReference.rs\"].");
    }
    for (at, scope) in issuer.scopes.iter().enumerate() {
        // A patient's scope needs the patient's id here, which no token of FSE has.
        if Scope::parse(scope).is_none_or(|own| own.context == ScopeContext::Patient) {
            let cause = format!("{scope} is not a scope that allows anything here.");
            fault(&format!("scopes/{at}"), cause, "Write it as system/Observation.rs or system/*.cruds.");
        }
    }
    if issuer.algorithms.iter().any(|own| !FSE_ALGORITHMS.contains(own)) {
        let cause = "FSE signs by RS256, RS384 or RS512 alone.".to_owned();
        fault("algorithms", cause, "Remove the others.");
    }
    let claims = &issuer.claims;
    let named = [
        ("jwks", issuer.jwks.is_some()),
        ("jwks_url", issuer.jwks_url.is_some()),
        ("jwks_ca", issuer.jwks_ca.is_some()),
        ("jwks_networks", !issuer.jwks_networks.is_empty()),
        ("jwks_in_the_clear", issuer.jwks_in_the_clear),
        ("claims/client", claims.client.is_some()),
        ("claims/subject", claims.subject.is_some()),
        ("claims/subject_system", claims.subject_system.is_some()),
        ("claims/subject_name", claims.subject_name.is_some()),
        ("claims/organization", claims.organization.is_some()),
        ("claims/organization_name", claims.organization_name.is_some()),
        ("claims/role", claims.role.is_some()),
        ("claims/purpose", claims.purpose.is_some()),
        ("claims/patient", claims.patient.is_some()),
        ("claims/person", claims.person.is_some()),
        ("claims/reason", claims.reason.is_some()),
    ];
    for (setting, _) in named.iter().filter(|(_, set)| *set) {
        let cause = format!("`{setting}` has no effect with kind = \"fse\".");
        fault(setting, cause, "Remove it: FSE says where its keys and claims are.");
    }
}
