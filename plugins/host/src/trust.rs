//! Whose plugins are loaded: those that a trusted key has signed, or, where the operator says so, any.

use std::{fs, path::Path};

use tracing::warn;

use crate::{
    LoadError,
    manifest::signature::{self, SignatureError, VerifyingKey},
};

/// The largest signature file that is read, in bytes.
const SIGNATURE_BYTES: u64 = 16 << 10;

/// What becomes of a plugin that no trusted key has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unsigned {
    /// It is loaded where no key is trusted, with a warning, and refused where there is one.
    #[default]
    AsKeysSay,
    /// It is loaded with a warning.
    Allow,
    /// It is not loaded.
    Refuse,
}

/// The operator's trusted keys and what they mean.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys that may vouch for plugins.
    pub keys: Vec<VerifyingKey>,
    /// What becomes of the others.
    pub unsigned: Unsigned,
}

impl Trust {
    /// Accepts a manifest that lies at `path`. A signature of a trusted key that doesn't fit is refused, whatever is said about
    /// unsigned plugins.
    ///
    /// # Errors
    ///
    /// [`LoadError::Signature`]
    pub fn check(&self, plugin: &str, path: &Path, manifest: &str) -> Result<(), LoadError> {
        let beside = signature::signature_path(path);
        let refused = |error: SignatureError| LoadError::Signature { plugin: plugin.to_owned(), error };
        let signatures = match fs::metadata(&beside) {
            Ok(about) if about.len() <= SIGNATURE_BYTES => fs::read_to_string(&beside),
            Ok(_) => return Err(refused(SignatureError::File("it is too large".to_owned()))),
            Err(error) => Err(error),
        };
        let result = match signatures {
            Ok(signatures) => signature::verify(manifest, &signatures, &self.keys).map(drop),
            Err(_) => Err(SignatureError::UnknownSigner(Vec::new())),
        };
        let allowed = match self.unsigned {
            Unsigned::Allow => true,
            Unsigned::Refuse => false,
            Unsigned::AsKeysSay => self.keys.is_empty(),
        };
        match result {
            Err(SignatureError::UnknownSigner(_)) if allowed => {
                warn!(
                    plugin,
                    "the plugin is signed by no trusted key; [plugins] trusted_keys makes that a fault"
                );
                Ok(())
            }
            result => result.map_err(refused),
        }
    }
}
