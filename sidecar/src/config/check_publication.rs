//! `[publication]` against the world: paths that are told apart, a gateway that can be reached by TLS, callers that are known
//! by more than their word.

use super::check::address;
use super::check_passthrough::meet;
use super::check_upstream::client_certificate;
use super::source::Source;
use super::{Callers, Config, Fault, IssuerKind, PublicationRoute};

/// Every fault of the section.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let Some(publication) = &config.publication else { return };
    if publication.route.is_empty() {
        let cause = "There is no route to a national gateway.";
        faults.push(source.fault("/publication", cause, "Add [[publication.route]], or remove the section."));
    }
    for (at, route) in publication.route.iter().enumerate() {
        let section = format!("/publication/route/{at}");
        address(&section, "gateway", &route.gateway, route.ca.as_ref(), source, faults);
        let mut fault = |setting: &str, cause: String, cure: &str| {
            faults.push(source.fault(&format!("{section}/{setting}"), cause, cure));
        };
        let earlier = publication.route.get(..at).unwrap_or_default();
        if earlier.iter().any(|other| other.name == route.name) {
            let cause = format!("The name {} is taken.", route.name);
            fault("name", cause, "Give each route a name of its own: messages that wait are kept under it.");
        }
        path(config, route, earlier, &mut fault);
        client_certificate(route.certificate.as_ref(), route.key.as_ref(), route.ca.as_ref(), &mut fault);
        callers(config, route, &mut fault);
        if let Some((setting, cause, cure)) = route.limits.fault() {
            fault(&format!("limits/{setting}"), cause.to_owned(), cure);
        }
        if route.body_bytes as u64 > publication.bytes {
            let cause = "A message may be larger than the whole outbox.".to_owned();
            fault("body_bytes", cause, "Let publication.bytes be larger, or body_bytes smaller.");
        }
    }
}

fn path(
    config: &Config,
    route: &PublicationRoute,
    earlier: &[PublicationRoute],
    fault: &mut impl FnMut(&str, String, &str),
) {
    let base = config.site.base_path();
    if meet(&route.path, base) {
        let cause =
            format!("The path meets the FHIR base {base}/: its requests are decided about, these are not.");
        fault(
            "path",
            cause,
            "Choose a path beside it, such as /fse/v1; a FHIR base at the root leaves none.",
        );
    }
    if let Some(other) = earlier.iter().find(|own| meet(&own.path, &route.path)) {
        let cause = format!("A message could belong to this route and to {}.", other.name);
        fault("path", cause, "Let no path stand below another.");
    }
}

fn callers(config: &Config, route: &PublicationRoute, fault: &mut impl FnMut(&str, String, &str)) {
    let certificates = config.listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    match route.callers {
        Callers::Certificates => {
            if !certificates {
                let cause = "No caller shows a certificate here: nobody could publish.".to_owned();
                fault("callers", cause, "Add listen.tls.client_ca, or choose tokens or network.");
            }
            if route.certificates.is_empty() {
                let cause = "No certificate is listed: every member of the federation shows one, and may not publish in this \
                             hospital's name.";
                fault("callers", cause.to_owned(), "List the applications' fingerprints in `certificates`.");
            }
        }
        Callers::Tokens => {
            if !config.issuers().any(|issuer| issuer.kind == IssuerKind::Fse) {
                let cause = "There is no issuer whose two tokens could be checked.".to_owned();
                fault(
                    "callers",
                    cause,
                    "Add [[issuer]] with kind = \"fse\", whose `ca` vouches for the applications.",
                );
            }
        }
        Callers::Network => {
            if route.networks.is_empty() {
                let cause = "No network is listed: nobody could publish.".to_owned();
                fault(
                    "callers",
                    cause,
                    "List the applications' networks in `networks`, such as 10.1.4.0/24.",
                );
            }
            if config.listen.behind_tls_terminator {
                let cause = "Behind another program every caller has that program's address.".to_owned();
                fault("callers", cause, "Choose tokens, or let callers come here without it.");
            }
        }
    }
    for (at, digest) in route.fingerprints().enumerate() {
        if digest.is_none() {
            let cure = "Write the 64 hexadecimal digits of `openssl x509 -fingerprint -sha256`, with or without colons.";
            fault(&format!("certificates/{at}"), "This is not a SHA-256 fingerprint.".to_owned(), cure);
        }
    }
    for (at, range) in route.ranges().enumerate() {
        if let Err(error) = range {
            fault(&format!("networks/{at}"), format!("{error}."), "Write a range, or one address.");
        }
    }
    let unused = [
        ("certificates", Callers::Certificates, route.certificates.is_empty()),
        ("networks", Callers::Network, route.networks.is_empty()),
    ];
    for (setting, own, empty) in unused {
        if !empty && route.callers != own {
            fault(setting, format!("`{setting}` has no effect with other `callers`."), "Remove it.");
        }
    }
}
