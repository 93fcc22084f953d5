//! The listener's settings against each other.

use super::source::Source;
use super::{ClientCertificate, Config, Fault};

/// Longest path of the socket for the next process, in bytes: the system's 107, less what is appended while it is made.
const LONGEST_SOCKET: usize = 95;

/// Every fault of `[listen]` that neither the schema nor a file tells.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let listen = &config.listen;
    if listen.crowd() > listen.connections {
        let cause = "One address may have more connections than all addresses together.";
        let cure = "Let connections_per_address be at most connections.";
        faults.push(source.fault("/listen/connections_per_address", cause, cure));
    }
    if let Some(path) = &listen.handoff {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let cause = format!("The folder {} doesn't exist.", folder.display());
            faults.push(source.fault("/listen/handoff", cause, "Make the folder, or name another."));
        }
        if path.as_os_str().len() > LONGEST_SOCKET {
            let cause = format!("The name of a Unix socket has at most {LONGEST_SOCKET} bytes here.");
            faults.push(source.fault(
                "/listen/handoff",
                cause,
                "Name a shorter path, such as /run/varco/handoff.sock.",
            ));
        }
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
