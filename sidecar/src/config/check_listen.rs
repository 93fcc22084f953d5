//! The listener's settings against each other.

use super::source::Source;
use super::{ClientCertificate, Config, Fault};

/// Every fault of `[listen]` that neither the schema nor a file tells.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let listen = &config.listen;
    if listen.crowd() > listen.connections {
        let cause = "One address may have more connections than all addresses together.";
        let cure = "Let connections_per_address be at most connections.";
        faults.push(source.fault("/listen/connections_per_address", cause, cure));
    }
    let Some(tls) = listen.tls.as_ref().filter(|tls| tls.client_ca.is_none()) else { return };
    if !tls.crl.is_empty() {
        let cause = "No client certificate is looked at, so that none can be found revoked.";
        let cure = "Add client_ca: the PEM file of the clients' authorities; or remove crl.";
        faults.push(source.fault("/listen/tls/crl", cause, cure));
    }
    if tls.client_certificate == ClientCertificate::Optional {
        let cause = "No client certificate is looked at without authorities to vouch for it.";
        let cure = "Add client_ca: the PEM file of the clients' authorities; or remove client_certificate.";
        faults.push(source.fault("/listen/tls/client_certificate", cause, cure));
    }
}
