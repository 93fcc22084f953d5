//! `[upstream]` against the world: a URL and its authorities, a certificate with its key, bounds that fit each other.

use std::path::PathBuf;

use super::check::address;
use super::source::Source;
use super::{Config, Fault, Upstream};
use crate::listen::tls;

/// Every fault of the section.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    server(&config.upstream, "/upstream", source, faults);
}

/// Every fault of a server that is described in this `section`.
pub(super) fn server(own: &Upstream, section: &str, source: &Source<'_>, faults: &mut Vec<Fault>) {
    address(section, "url", &own.url, own.ca.as_ref(), source, faults);
    let mut fault = |setting: &str, cause: String, cure: &str| {
        faults.push(source.fault(&format!("{section}/{setting}"), cause, cure));
    };
    client_certificate(own.certificate.as_ref(), own.key.as_ref(), own.ca.as_ref(), &mut fault);
    for (at, address) in own.addresses.iter().enumerate() {
        if own.addresses.iter().take(at).any(|other| other == address) {
            let cause = format!("{address} is listed twice.");
            fault(&format!("addresses/{at}"), cause, "Remove it: each address takes its share of requests.");
        }
        if address.ip().is_unspecified() || address.port() == 0 {
            let cause = format!("Nothing can be reached at {address}.");
            fault(&format!("addresses/{at}"), cause, "Write the server's own address and port.");
        }
    }
    let written = |setting: &str| source.value.pointer(&format!("{section}/{setting}")).is_some();
    if written("ejection") && own.addresses.len() < 2 {
        let cause = "Without several addresses none can be left out.".to_owned();
        fault("ejection", cause, "List the server's addresses in `addresses`, or remove this.");
    }
    for (setting, seconds) in [("first_byte_seconds", own.first_byte()), ("idle_seconds", own.idle())] {
        if seconds > own.answer_seconds {
            let cause = format!("It has no effect: the whole answer has {} seconds.", own.answer_seconds);
            fault(setting, cause, "Let it be at most `answer_seconds`.");
        }
    }
    if own.queue_milliseconds > own.answer_seconds.saturating_mul(1000) {
        let cause = "Waiting for a place may last longer than the whole answer.".to_owned();
        fault("queue_milliseconds", cause, "Let it be at most `answer_seconds`.");
    }
    for (setting, first, most) in [
        ("breaker/most_open_seconds", own.breaker.open_seconds, own.breaker.most_open_seconds),
        ("ejection/most_seconds", own.ejection.seconds, own.ejection.most_seconds),
    ] {
        if most < first {
            let cause = format!("The longest time is {most} seconds and the first one {first}.");
            fault(setting, cause, "Let the longest be at least as long as the first.");
        }
    }
}

/// A certificate that is shown to a server: with its key, over TLS.
pub(super) fn client_certificate(
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    ca: Option<&PathBuf>,
    fault: &mut impl FnMut(&str, String, &str),
) {
    match (certificate, key, ca) {
        (None, None, _) => {}
        (Some(certificate), Some(key), Some(ca)) => {
            if let Err(error) = tls::client_config_showing(ca, certificate, key)
                && error.path != *ca
            {
                let setting = if error.path == *key { "key" } else { "certificate" };
                fault(setting, format!("{error}."), "Name a PEM file that holds it.");
            }
        }
        (Some(_), Some(_), None) => {
            let cause = "A certificate is shown over https alone.".to_owned();
            fault("certificate", cause, "Use https, with `ca`.");
        }
        (Some(_), None, _) => {
            fault("certificate", "The certificate has no key.".to_owned(), "Add `key`, its PEM file.");
        }
        (None, Some(_), _) => {
            fault("key", "The key has no certificate.".to_owned(), "Add `certificate`, its PEM file.");
        }
    }
}
