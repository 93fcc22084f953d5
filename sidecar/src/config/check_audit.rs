//! `[audit]` and `[telemetry]` against the world: certificates and tokens that are there, URLs that can be sent to.

use super::check::address;
use super::check_upstream::client_certificate;
use super::source::Source;
use super::{Config, Destination, Fault};
use crate::terminology::{Credential, CredentialError};

/// Every fault of the sections.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    if config.audit.keep.is_some() && config.audit.kept_for().is_none() {
        let cause = "This is not a span of time.";
        faults.push(source.fault("/audit/keep", cause, "Write it as 5 years, 18 months or 90 days."));
    }
    if let Some(export) = &config.audit.export {
        destination("/audit/export", "url", &export.store, source, faults);
        if !export.store.url.trim_end_matches('/').ends_with("/AuditEvent") {
            let cause = "Records are put below this URL by their ids, and it is not that of AuditEvent.";
            let cure = "Write the FHIR base URL of the store with /AuditEvent at its end.";
            faults.push(source.fault("/audit/export/url", cause, cure));
        }
    }
    if let Some(otlp) = &config.telemetry.otlp {
        destination("/telemetry/otlp", "endpoint", &otlp.collector, source, faults);
    }
    if let Some(log) = &config.telemetry.access_log
        && let Some(folder) =
            log.path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        let cause = format!("The folder {} doesn't exist.", folder.display());
        faults.push(source.fault("/telemetry/access_log/path", cause, "Make the folder, or name another."));
    }
}

/// Faults of a server that is sent to, or asked: `url` is the setting that its URL stands in.
pub(super) fn destination(
    section: &str,
    url: &str,
    destination: &Destination,
    source: &Source<'_>,
    faults: &mut Vec<Fault>,
) {
    let Destination { ca, certificate, key, token_file, token_env, .. } = destination;
    address(section, url, &destination.url, ca.as_ref(), source, faults);
    let mut fault = |setting: &str, cause: String, cure: &str| {
        faults.push(source.fault(&format!("{section}/{setting}"), cause, cure));
    };
    client_certificate(certificate.as_ref(), key.as_ref(), ca.as_ref(), &mut fault);
    if let Err(error) = Credential::read(&destination.url, token_file.as_deref(), token_env.as_deref()) {
        let setting = match &error {
            CredentialError::Both | CredentialError::Variable(_) => "token_env",
            CredentialError::Clear(_) => url,
            CredentialError::File { .. } | CredentialError::Form(_) => "token_file",
        };
        let cure = "Put the bearer token alone into one file, or into one environment variable.";
        fault(setting, format!("{error}."), cure);
    }
}
