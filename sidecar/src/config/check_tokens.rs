//! `[tokens]` and `[[issuer]]` against the world: keys that can be read, URLs that may be fetched, issuers that can be
//! told apart.

use std::net::IpAddr;

use super::check_fse;
use super::source::Source;
use super::{Config, Fault, Issuer, IssuerKind};
use crate::fetch::address::Network;
use crate::identify::keys::Keys;
use crate::listen::tls;

/// Every fault of the sections.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let own = config.tokens.iter().map(|issuer| ("/tokens".to_owned(), issuer));
    let more = config.issuer.iter().enumerate().map(|(at, issuer)| (format!("/issuer/{at}"), issuer));
    let all: Vec<(String, &Issuer)> = own.chain(more).collect();
    if all.is_empty() {
        let cure = "Add [tokens] with `issuer`, and `jwks` or `jwks_url`.";
        faults.push(source.fault("", "Nobody's tokens are accepted: `tokens` is missing.", cure));
    }
    for (at, (pointer, issuer)) in all.iter().enumerate() {
        let mut fault = |setting: &str, cause: String, cure: &str| {
            let slash = if setting.is_empty() { "" } else { "/" };
            faults.push(source.fault(&format!("{pointer}{slash}{setting}"), cause, cure));
        };
        if all.iter().take(at).any(|(_, other)| other.issuer == issuer.issuer) {
            let cause = format!("The issuer {} stands here twice.", issuer.issuer);
            fault("issuer", cause, "Let every issuer stand in one section only.");
        }
        if issuer.kind == IssuerKind::Fse {
            check_fse::faults(issuer, &mut fault);
            continue;
        }
        keys(issuer, &mut fault);
        for (setting, set) in [("ca", issuer.ca.is_some()), ("scopes", !issuer.scopes.is_empty())] {
            if set {
                let cause = format!("`{setting}` has no effect without kind = \"fse\".");
                fault(setting, cause, "Remove it, or set the kind.");
            }
        }
        let claims = &issuer.claims;
        for (setting, system, claim) in [
            ("subject_system", &claims.subject_system, &claims.subject),
            ("organization_system", &claims.organization_system, &claims.organization),
            ("role_system", &claims.role_system, &claims.role),
            ("purpose_system", &claims.purpose_system, &claims.purpose),
        ] {
            if system.is_some() && claim.is_none() {
                let setting = format!("claims/{setting}");
                fault(
                    &setting,
                    "A system without its claim has no effect.".to_owned(),
                    "Name the claim too.",
                );
            }
        }
    }
}

fn keys(issuer: &Issuer, fault: &mut impl FnMut(&str, String, &str)) {
    match (&issuer.jwks, &issuer.jwks_url) {
        (Some(path), None) => {
            if let Err(error) = Keys::load(path) {
                let cause = format!("The key set {} can't be used: {error}.", path.display());
                fault("jwks", cause, "Put the token issuer's public keys (JWKS) in this file.");
            }
            for (setting, set) in [
                ("jwks_ca", issuer.jwks_ca.is_some()),
                ("jwks_networks", !issuer.jwks_networks.is_empty()),
                ("jwks_in_the_clear", issuer.jwks_in_the_clear),
            ] {
                if set {
                    let cause = format!("`{setting}` has no effect on a file.");
                    fault(setting, cause, "Remove it, or use jwks_url.");
                }
            }
        }
        (None, Some(url)) => fetched(issuer, url, fault),
        (Some(_), Some(_)) => {
            let cause = "Both `jwks` and `jwks_url` are set.".to_owned();
            fault("jwks_url", cause, "Keep the file, or the URL.");
        }
        (None, None) => {
            let cause = "The issuer's keys are missing.".to_owned();
            fault("", cause, "Add `jwks`, a file, or `jwks_url`, an https URL, of its key set (JWKS).");
        }
    }
    if issuer.max_age_seconds < issuer.refresh_seconds {
        let cause = "Keys would be too old before they are read anew.".to_owned();
        fault("max_age_seconds", cause, "Let max_age_seconds be at least refresh_seconds.");
    }
}

fn fetched(issuer: &Issuer, url: &str, fault: &mut impl FnMut(&str, String, &str)) {
    let parsed = url.parse::<http::Uri>().ok().filter(|url| url.host().is_some());
    let Some(parsed) = parsed.filter(|url| !url.authority().is_some_and(|it| it.as_str().contains('@')))
    else {
        let cause = format!("{url} is not a URL that can be fetched.");
        return fault("jwks_url", cause, "Write it as https://host:port/path.");
    };
    let host = parsed.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match parsed.scheme_str() {
        Some("https") => {
            match &issuer.jwks_ca {
                None => {
                    let cause = "An https server needs authorities to be checked against.".to_owned();
                    let cure = "Add `jwks_ca`: the PEM file of the authorities that may vouch for it.";
                    fault("jwks_url", cause, cure);
                }
                Some(ca) => {
                    if let Err(error) = tls::client_config(ca) {
                        fault("jwks_ca", format!("{error}."), "Name a PEM file that holds it.");
                    }
                }
            }
            if issuer.jwks_in_the_clear {
                let cause = "`jwks_in_the_clear` has no effect on an https URL.".to_owned();
                fault("jwks_in_the_clear", cause, "Remove it.");
            }
        }
        Some("http") if here && issuer.jwks_in_the_clear => {
            if issuer.jwks_ca.is_some() {
                let cause = "`jwks_ca` has no effect on an http URL.".to_owned();
                fault("jwks_ca", cause, "Remove it, or use https.");
            }
        }
        Some("http") if here => {
            let cause = "Keys would be fetched in the clear.".to_owned();
            let cure = "Use https, or set jwks_in_the_clear = true where this machine serves them itself.";
            fault("jwks_url", cause, cure);
        }
        _ => {
            let cause = format!("Whoever stands between could give keys of his own: {url} is not https.");
            fault(
                "jwks_url",
                cause,
                "Use https; http is for this machine alone, as http://127.0.0.1:port/path.",
            );
        }
    }
    for (at, text) in issuer.jwks_networks.iter().enumerate() {
        if let Err(error) = text.parse::<Network>() {
            let cure = "Write an address, or a range of them as base/prefix.";
            fault(&format!("jwks_networks/{at}"), format!("{error}."), cure);
        }
    }
}
