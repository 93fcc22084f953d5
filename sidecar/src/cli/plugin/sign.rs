//! `varco plugin sign`: vouches for a plugin with an Ed25519 key.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use varco_plugin_host::component_digest;
use varco_plugin_host::signature::{self, SigningKey};

use super::project::Built;
use super::{Ending, say};
use crate::cli::whole_file::write;

/// Signs a plugin: its manifest, and by the digest in it the component.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl genpkey -algorithm ed25519 -out key.pem        a key; keep it away from the gateway
  openssl pkey -in key.pem -pubout -out vendor.pem       its public half, for those who should trust it
  varco plugin sign --key key.pem small-bodies           writes small-bodies/dist/small-bodies.plugin.sig
  varco plugin inspect --trust vendor.pem small-bodies   verifies it

Signed is everything in the manifest but `settings`, which are the operator's. A second key adds its signature to the
file; signing again with the same key renews it.")]
pub struct Sign {
    /// The project's folder, or the manifest of what was built.
    #[arg(value_name = "FOLDER|MANIFEST", default_value = ".")]
    place: PathBuf,
    /// The private key: PEM, PKCS #8, Ed25519.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Sign {
    pub(super) fn run(self) -> Result<Ending> {
        let built = Built::open(&self.place)?;
        let pem = fs::read_to_string(&self.key)
            .with_context(|| format!("the key {} can't be read", self.key.display()))?;
        let key = SigningKey::from_pem(&pem).with_context(|| format!("the key {}", self.key.display()))?;
        // Nobody should vouch for what isn't there.
        let actual = component_digest(&built.component()?);
        if actual != built.manifest.sha256() {
            bail!(
                "{} has the digest {actual}, its manifest says {}; build it again before you sign it",
                built.component_path().display(),
                built.manifest.sha256()
            );
        }
        let path = signature::signature_path(&built.path);
        let existing = path.is_file().then(|| fs::read_to_string(&path)).transpose()?;
        let signed = signature::sign(&built.text, existing.as_deref(), &key)
            .with_context(|| path.display().to_string())?;
        write(&path, signed.as_bytes())?;
        say::line(format!(
            "{} {} signed by {}",
            built.manifest.name(),
            built.manifest.version(),
            key.public().id()
        ));
        say::line(format!("  {}", path.display()));
        Ok(Ending::Well)
    }
}
