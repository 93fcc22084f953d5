//! A configuration against the world: files that must exist, keys that must match, addresses that fit.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use varco_core::identity::{AliasError, AliasGroup, IdentifierAliases};

use super::source::Source;
use super::{Config, Fault, Terminology};
use crate::listen::tls;

/// Every fault, by line.
pub(super) fn faults(config: &Config, source: &Source<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    listener(config, source, &mut faults);
    super::check_upstream::faults(config, source, &mut faults);
    super::check_listen::faults(config, source, &mut faults);
    super::check_tokens::faults(config, source, &mut faults);
    if let Some(folder) =
        config.store.path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        let cause = format!("The folder {} doesn't exist.", folder.display());
        faults.push(source.fault("/store/path", cause, "Make the folder, or name another."));
    }
    if TimeZone::get(&config.consent.time_zone).is_err() {
        let cause = format!("There is no time zone {}.", config.consent.time_zone);
        faults.push(source.fault("/consent/time_zone", cause, "Use a name such as Europe/Rome."));
    }
    if let Err(error) = aliases(config) {
        let cure = "Let every system stand in one alias only.";
        faults.push(source.fault("/identity/alias", format!("{error}."), cure));
    }
    super::check_plugin::faults(config, source, &mut faults);
    super::check_route::faults(config, source, &mut faults);
    super::check_mllp::faults(config, source, &mut faults);
    super::check_limits::faults(config, source, &mut faults);
    super::check_map::faults(config, source, &mut faults);
    super::check_audit::faults(config, source, &mut faults);
    super::check_policy::faults(config, source, &mut faults);
    super::check_publication::faults(config, source, &mut faults);
    super::check_passthrough::faults(config, source, &mut faults);
    if let Some(terminology) = &config.terminology {
        server(terminology, source, &mut faults);
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// The alias table that a configuration describes.
pub(crate) fn aliases(config: &Config) -> Result<IdentifierAliases, AliasError> {
    let groups = config.identity.alias.iter().map(|alias| {
        let aliases = std::iter::once(&alias.network).chain(&alias.also).cloned().collect();
        AliasGroup { canonical: alias.local.clone(), aliases }
    });
    IdentifierAliases::new(groups)
}

fn listener(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let listen = &config.listen;
    match &listen.tls {
        Some(tls) => {
            if let Err(error) = tls::server_config(tls) {
                let setting = format!("/listen/tls/{}", tls.setting_of(&error.path));
                let cure = "Name a PEM file that holds it.";
                faults.push(source.fault(&setting, format!("{error}."), cure));
            }
        }
        None if !listen.address.ip().is_loopback() && !listen.behind_tls_terminator => {
            let cause = format!("{} would take patients' data without TLS.", listen.address);
            let cure = "Add [listen.tls] with certificate and key, listen on 127.0.0.1, or set \
                        listen.behind_tls_terminator = true where another program ends TLS.";
            faults.push(source.fault("/listen/address", cause, cure));
        }
        None => {}
    }
    if config.admin.address == listen.address {
        let cause = "The operator's port is the federation's port.";
        faults.push(source.fault("/admin/address", cause, "Choose another port."));
    }
}

/// The terminology server: reachable by TLS or in the clear, with at most one credential that is there.
fn server(terminology: &Terminology, source: &Source<'_>, faults: &mut Vec<Fault>) {
    super::check_audit::destination("/terminology", "url", &terminology.server, source, faults);
    if terminology.total_seconds < terminology.answers_within() {
        let cause = "The time for all questions is shorter than the time for one answer.";
        let cure = "Let total_seconds be at least answer_seconds.";
        faults.push(source.fault("/terminology/total_seconds", cause, cure));
    }
}

/// A server's URL, which stands in `setting`, and the authorities that may vouch for it.
pub(super) fn address(
    section: &str,
    setting: &str,
    url: &str,
    ca: Option<&PathBuf>,
    source: &Source<'_>,
    faults: &mut Vec<Fault>,
) {
    let (at_url, at_ca) = (format!("{section}/{setting}"), format!("{section}/ca"));
    if let Err(error) = url.parse::<http::Uri>() {
        let cure = "Write it as http://host:port/path.";
        faults.push(source.fault(&at_url, format!("This is not a URL: {error}."), cure));
    }
    match (ca, url.starts_with("https:")) {
        (None, true) => {
            let cause = "An https server needs authorities to be checked against.";
            let cure = "Add `ca`: the PEM file of the authorities that may vouch for it.";
            faults.push(source.fault(&at_url, cause, cure));
        }
        (Some(_), false) => {
            let cause = "`ca` has no effect on an http server.";
            faults.push(source.fault(&at_ca, cause, "Remove it, or use https."));
        }
        (Some(ca), true) => {
            if let Err(error) = tls::client_config(ca) {
                faults.push(source.fault(&at_ca, format!("{error}."), "Name a PEM file that holds it."));
            }
        }
        (None, false) => {}
    }
}
