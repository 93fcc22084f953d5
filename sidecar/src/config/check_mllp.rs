//! `[mllp]` against the world: an address that is free, TLS that can be used, senders that can be told apart and
//! that more than a header vouches for.

use rustls::pki_types::DnsName;
use varco_core::mapping::hl7v2::is_zone;

use super::mllp::{Mllp, MllpSender};
use super::source::Source;
use super::{Config, Fault};
use crate::limit::Lane;
use crate::listen::tls;

/// Every fault of the section.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let Some(mllp) = &config.mllp else { return };
    let mut fault = |setting: &str, cause: String, cure: &str| {
        faults.push(source.fault(&format!("/mllp/{setting}"), cause, cure));
    };
    for (other, whose) in
        [(config.listen.address, "the federation's"), (config.admin.address, "the operator's")]
    {
        if mllp.address == other {
            fault("address", format!("The port is {whose} port."), "Choose another port.");
        }
    }
    if !is_zone(&mllp.zone) {
        let cause = format!("There is no time zone {}.", mllp.zone);
        fault("zone", cause, "Use a name such as Europe/Rome, or an offset such as +01:00.");
    }
    way_in(mllp, &mut fault);
    for (at, sender) in mllp.sender.iter().enumerate() {
        let earlier = mllp.sender.get(..at).unwrap_or_default();
        one(mllp, sender, earlier, &format!("sender/{at}"), &mut fault);
        if let Some((setting, cause, cure)) = sender.limits.fault() {
            fault(&format!("sender/{at}/limits/{setting}"), cause.to_owned(), cure);
        }
        if sender.lane == Lane::Priority && config.limits.concurrent_priority == 0 {
            let cause = "The priority lane has no place of its own.".to_owned();
            let cure = "Raise limits.concurrent_priority, or choose another lane.";
            fault(&format!("sender/{at}/lane"), cause, cure);
        }
    }
}

/// TLS, or the clear where that is safe or wanted.
fn way_in(mllp: &Mllp, fault: &mut impl FnMut(&str, String, &str)) {
    match &mllp.tls {
        Some(own) => {
            if let Err(error) = tls::server_config(own) {
                let setting = if error.path == own.key {
                    "tls/key"
                } else if Some(&error.path) == own.client_ca.as_ref() {
                    "tls/client_ca"
                } else {
                    "tls/certificate"
                };
                fault(setting, format!("{error}."), "Name a PEM file that holds it.");
            }
            if mllp.in_the_clear {
                let cause = "`in_the_clear` has no effect beside TLS.".to_owned();
                fault("in_the_clear", cause, "Remove it, or remove [mllp.tls].");
            }
        }
        None if !mllp.address.ip().is_loopback() && !mllp.in_the_clear => {
            let cause = format!("{} would take patients' data without TLS.", mllp.address);
            let cure = "Add [mllp.tls] with certificate, key and client_ca, listen on 127.0.0.1, or set \
                        mllp.in_the_clear = true where the network between is yours alone.";
            fault("address", cause, cure);
        }
        None => {}
    }
}

fn one(
    mllp: &Mllp,
    sender: &MllpSender,
    earlier: &[MllpSender],
    pointer: &str,
    fault: &mut impl FnMut(&str, String, &str),
) {
    let mut fault =
        |setting: &str, cause: String, cure: &str| fault(&format!("{pointer}{setting}"), cause, cure);
    if earlier.iter().any(|other| other.name == sender.name) {
        fault("/name", format!("The name {} is taken.", sender.name), "Give each sender a name of its own.");
    }
    let meets = |other: &&MllpSender| {
        let facilities = [&other.facility, &sender.facility];
        other.application == sender.application
            && (facilities.contains(&&None) || other.facility == sender.facility)
    };
    if let Some(other) = earlier.iter().find(meets) {
        let cause = format!("A message could be from this sender and from {}.", other.name);
        let cure = "Let them differ in `application`, or give both a `facility`.";
        fault("/application", cause, cure);
    }
    let certificate = match (&sender.certificate_sha256, &sender.certificate_name) {
        (Some(_), _) => Some("/certificate_sha256"),
        (None, Some(_)) => Some("/certificate_name"),
        (None, None) => None,
    };
    let shown = mllp.tls.as_ref().is_some_and(|own| own.client_ca.is_some());
    if let (Some(setting), false) = (certificate, shown) {
        let cause = "No sender shows a certificate here: this one would never be let in.".to_owned();
        fault(setting, cause, "Add [mllp.tls] with client_ca, or remove this setting.");
    }
    if sender.certificate_sha256.is_some() && sender.certificate_digest().is_none() {
        let cure =
            "Write the 64 hexadecimal digits of `openssl x509 -fingerprint -sha256`, with or without colons.";
        fault("/certificate_sha256", "This is not a SHA-256 fingerprint.".to_owned(), cure);
    }
    if let Some(name) = &sender.certificate_name
        && DnsName::try_from(name.as_str()).is_err()
    {
        let cure = "Write one of the certificate's DNS names (subject alternative names).";
        fault("/certificate_name", format!("{name} is not a DNS name."), cure);
    }
    if !mllp.address.ip().is_loopback() && !sender.is_bound() {
        let cause = format!("Whoever reaches the port could call himself {}.", sender.application);
        let cure = "Add certificate_name or certificate_sha256 (with [mllp.tls] client_ca), or addresses.";
        fault("", cause, cure);
    }
}
