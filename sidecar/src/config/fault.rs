//! What is wrong with a configuration: line, cause, cure.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// One fault of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The part of the file that is at fault, in bytes.
    pub span: Range<usize>,
    /// Line of the part's first character, from 1.
    pub line: usize,
    /// The setting, as `listen.tls.key`; empty for the file as a whole.
    pub setting: String,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub cure: String,
    /// The place in another file that the setting names, where the fault stands there.
    pub elsewhere: Option<Box<Elsewhere>>,
}

/// A place in a file that a configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// The part that is at fault, in bytes.
    pub span: Range<usize>,
}

/// A configuration that can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: can't be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        cause: String,
    },
    /// The file has faults: at least one.
    #[error("{}", Listing { path, faults })]
    Faulty {
        /// The file.
        path: PathBuf,
        /// Its text, so that faults can be shown in it.
        text: String,
        /// The faults, in the order of their lines.
        faults: Vec<Fault>,
    },
}

struct Listing<'a> {
    path: &'a PathBuf,
    faults: &'a [Fault],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            let Fault { line, setting, cause, cure, .. } = fault;
            let colon = if setting.is_empty() { "" } else { ": " };
            write!(f, "{newline}{}:{line}: {setting}{colon}{cause} {cure}", self.path.display())?;
        }
        Ok(())
    }
}
