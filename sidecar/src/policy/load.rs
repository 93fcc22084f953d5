//! From the configured paths to compiled policies, and the faults on the way.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use varco_core::policy::{PolicySource, SitePolicies, WithoutPolicy};

use crate::config::{Policy, PolicyDefault};
use crate::files::{self, Fingerprint, Wanted};

/// Policies are written in Cedar.
pub(super) const FILES: Wanted = Wanted { name: "policy", endings: &["cedar"] };

/// Most faults that one error lists.
const MOST_FAULTS: usize = 20;

/// Compiled policies, and the files that they were read from.
pub struct PolicyFiles {
    /// The policies.
    pub policies: Arc<SitePolicies>,
    pub(super) fingerprint: Fingerprint,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFileFault {
    /// The number of the configured path.
    pub path: usize,
    /// The file, its text, and the part of it that is at fault, in bytes; none where no file can be read.
    pub place: Option<(PathBuf, String, Range<usize>)>,
    /// `file:line:column`, or nothing.
    pub at: String,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub cure: String,
}

/// Policies that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyLoadError {
    /// What is wrong: at least one fault.
    pub faults: Vec<PolicyFileFault>,
}

impl fmt::Display for PolicyLoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().take(MOST_FAULTS).enumerate() {
            let between = if at == 0 { "" } else { "; " };
            let colon = if fault.at.is_empty() { "" } else { ": " };
            write!(f, "{between}{}{colon}{} {}", fault.at, fault.cause, fault.cure)?;
        }
        Ok(())
    }
}

/// Reads and compiles the policies that a configuration names.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(settings: &Policy) -> Result<PolicyFiles, PolicyLoadError> {
    let fingerprint = files::fingerprint(&FILES, &settings.files);
    let unreadable = |path: usize, cause: String| PolicyFileFault {
        path,
        place: None,
        at: String::new(),
        cause: format!("{cause}."),
        cure: "Name files of policies in Cedar, or a folder that holds them.".to_owned(),
    };
    let texts = files::read(&FILES, &settings.files).map_err(|faults| PolicyLoadError {
        faults: faults.into_iter().map(|(path, cause)| unreadable(path, cause)).collect(),
    })?;
    let mut sources = Vec::with_capacity(texts.len());
    let mut faults = Vec::new();
    for text in &texts {
        let name = text.file.display().to_string();
        match String::from_utf8(text.text.clone()) {
            Ok(text) => sources.push(PolicySource { name, text }),
            Err(_) => faults.push(unreadable(text.path, format!("{name} is not UTF-8"))),
        }
    }
    if !faults.is_empty() {
        return Err(PolicyLoadError { faults });
    }
    let without = match settings.default {
        PolicyDefault::Deny => WithoutPolicy::Deny,
        PolicyDefault::Permit => WithoutPolicy::Permit,
    };
    match SitePolicies::compile(&sources, without) {
        Ok(policies) => Ok(PolicyFiles { policies: Arc::new(policies), fingerprint }),
        Err(errors) => Err(PolicyLoadError {
            faults: errors
                .faults
                .into_iter()
                .map(|fault| {
                    let (text, source) = (texts.get(fault.source), sources.get(fault.source));
                    let place = text.zip(source);
                    PolicyFileFault {
                        path: text.map_or(0, |text| text.path),
                        place: place
                            .map(|(text, source)| (text.file.clone(), source.text.clone(), fault.span)),
                        at: format!("{}:{}:{}", fault.file, fault.position.line, fault.position.column),
                        cause: fault.cause,
                        cure: fault.cure,
                    }
                })
                .collect(),
        }),
    }
}
