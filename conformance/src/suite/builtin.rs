//! The suites that come with the program.

use std::io;

use super::load::SuiteError;
use super::model::Suite;

/// A built-in suite: its name, its text and the files beside it.
struct Builtin {
    name: &'static str,
    text: &'static str,
    files: &'static [(&'static str, &'static str)],
}

const BUILTIN: &[Builtin] = &[
    Builtin {
        name: "base-r4",
        text: include_str!("../../suites/base-r4/suite.yaml"),
        files: &[("requirements.csv", include_str!("../../suites/base-r4/requirements.csv"))],
    },
    Builtin {
        name: "gateway-security",
        text: include_str!("../../suites/gateway-security/suite.yaml"),
        files: &[("requirements.csv", include_str!("../../suites/gateway-security/requirements.csv"))],
    },
];

impl Suite {
    /// The names of the built-in suites.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|own| own.name)
    }

    /// The built-in suite with this name, if there is one.
    pub fn builtin(name: &str) -> Option<Result<Suite, SuiteError>> {
        let own = BUILTIN.iter().find(|own| own.name == name)?;
        let beside = |file: &str| match own.files.iter().find(|(name, _)| *name == file) {
            Some((_, text)) => Ok((*text).to_owned()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        Some(Suite::parse(own.name, own.text, &beside))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_suite_is_sound_and_bears_its_name() {
        for name in Suite::builtin_names() {
            let suite = Suite::builtin(name).unwrap().unwrap();
            assert_eq!(suite.id, name);
            assert_eq!(suite.texts.len(), suite.requirements.len());
        }
        assert!(Suite::builtin("none").is_none());
    }
}
