//! Policies against the schema of what they may speak of.

use super::fault::Elsewhere;
use super::source::Source;
use super::{Config, Fault};
use crate::policy;

/// Every fault of the policies, shown where it stands.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    let Some(error) = config.policy.as_ref().and_then(|settings| policy::load(settings).err()) else {
        return;
    };
    for found in error.faults {
        let pointer = format!("/policy/files/{}", found.path);
        let cause = if found.at.is_empty() { found.cause } else { format!("{}: {}", found.at, found.cause) };
        let fault = source.fault(&pointer, cause, found.cure);
        let elsewhere = found.place.map(|(path, text, span)| Box::new(Elsewhere { path, text, span }));
        faults.push(Fault { elsewhere, ..fault });
    }
}
