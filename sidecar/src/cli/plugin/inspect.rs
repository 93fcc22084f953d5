//! `varco plugin inspect`: what a plugin is, what it could do, and who vouches for it, before anybody installs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use varco_plugin_host::signature::{self, SignatureError, VerifyingKey};
use varco_plugin_host::{Grant, Hook, Manifest, OnFailure, component_digest, refused_import};

use super::component::Interfaces;
use super::project::Built;
use super::{Ending, say};

/// Tells what a plugin is, what it could do, and who vouches for it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco plugin inspect small-bodies
  varco plugin inspect --trust vendor.pem /srv/varco/plugins/small-bodies.plugin.json
  varco plugin inspect --output json small-bodies.plugin.json

With --trust, the signature must be that of one of these keys. Exit codes: 0 nothing is wrong, 1 the component is not that
of the manifest, imports what isn't granted, or the signature doesn't hold, 2 could not run.")]
pub struct Inspect {
    /// The project's folder, or the manifest of what was built.
    #[arg(value_name = "FOLDER|MANIFEST", default_value = ".")]
    place: PathBuf,
    /// A public key (PEM, Ed25519) that may vouch for plugins. May be given several times.
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Whether and by whom it is signed.
enum Signature {
    None,
    /// Nobody was to be trusted: what the file claims.
    Claimed(Vec<String>),
    Verified(String),
    Broken(SignatureError),
}

impl Inspect {
    pub(super) fn run(self) -> Result<Ending> {
        let built = Built::open(&self.place)?;
        let component = built.component()?;
        let interfaces = Interfaces::of(&component)?;
        let actual = component_digest(&component);
        let manifest = &built.manifest;
        let granted = manifest.grants();
        let imports = interfaces.imports.iter().map(String::as_str);
        let ungranted: Vec<&str> =
            imports.filter(|import| refused_import(import, granted).is_some()).collect();
        let signature = self.signature(&built)?;
        let digest_fits = actual == manifest.sha256();
        let vouched = match &signature {
            Signature::None => self.trust.is_empty(),
            Signature::Claimed(_) | Signature::Verified(_) => true,
            Signature::Broken(_) => false,
        };
        let unused: Vec<&str> = manifest
            .grants()
            .iter()
            .map(|grant| grant.as_str())
            .filter(|grant| !interfaces.imports.iter().any(|import| interface(import) == *grant))
            .collect();
        match self.output {
            Output::Text => {
                head(manifest);
                say::line(format!("  component   {} bytes", component.len()));
                say::line(format!(
                    "  sha256      {actual}{}",
                    if digest_fits { ", as the manifest says" } else { "  NOT THE MANIFEST'S" }
                ));
                list("exports", &interfaces.exports);
                list("imports", &interfaces.imports);
                for import in &ungranted {
                    say::line(format!("  NOT GRANTED {import}"));
                }
                if !unused.is_empty() {
                    say::line(format!("  unused      granted and not imported: {}", unused.join(", ")));
                }
                say::line(format!("  signature   {}", signature.words()));
                say::line("\nWhat it could do:");
                for line in abilities(manifest) {
                    say::line(format!("  {line}"));
                }
            }
            Output::Json => say::line(serde_json::to_string_pretty(&json!({
                "name": manifest.name(),
                "version": manifest.version(),
                "description": manifest.description(),
                "world": manifest.world().as_str(),
                "hooks": manifest.hooks().iter().map(|hook| hook.as_str()).collect::<Vec<_>>(),
                "grants": manifest.grants().iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
                "unused_grants": unused,
                "imports": interfaces.imports,
                "exports": interfaces.exports,
                "not_granted": ungranted,
                "component_bytes": component.len(),
                "sha256": actual,
                "digest_fits": digest_fits,
                "signature": signature.json(),
                "abilities": abilities(manifest),
            }))?),
        }
        Ok(Ending::of(digest_fits && ungranted.is_empty() && vouched))
    }

    fn signature(&self, built: &Built) -> Result<Signature> {
        let mut trusted = Vec::new();
        for path in &self.trust {
            let pem = fs::read_to_string(path)
                .with_context(|| format!("the key {} can't be read", path.display()))?;
            trusted
                .push(VerifyingKey::from_pem(&pem).with_context(|| format!("the key {}", path.display()))?);
        }
        let path = signature::signature_path(&built.path);
        if !path.is_file() {
            return Ok(Signature::None);
        }
        if fs::metadata(&path)?.len() > 1 << 20 {
            bail!("{} is too large for a signature file", path.display());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
        Ok(if trusted.is_empty() {
            signature::claimed_signers(&text).map_or_else(Signature::Broken, Signature::Claimed)
        } else {
            signature::verify(&built.text, &text, &trusted)
                .map_or_else(Signature::Broken, Signature::Verified)
        })
    }
}

impl Signature {
    fn words(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Claimed(keys) => {
                format!("not verified (give --trust); it claims to be by {}", keys.join(", "))
            }
            Self::Verified(key) => format!("verified, by {key}"),
            Self::Broken(fault) => format!("DOES NOT HOLD: {fault}"),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::None => json!({ "state": "none" }),
            Self::Claimed(keys) => json!({ "state": "not-verified", "keys": keys }),
            Self::Verified(key) => json!({ "state": "verified", "keys": [key] }),
            Self::Broken(fault) => json!({ "state": "broken", "cause": fault.to_string() }),
        }
    }
}

/// `log` of `varco:plugin/log@0.2.0`.
fn interface(import: &str) -> &str {
    let name = import.strip_prefix("varco:plugin/").unwrap_or(import);
    name.split('@').next().unwrap_or(name)
}

fn head(manifest: &Manifest) {
    let limits = manifest.limits();
    say::line(format!("{} {}: {}", manifest.name(), manifest.version(), manifest.description()));
    say::line(format!("  world       {}", manifest.world().as_str()));
    let failure = match manifest.on_failure() {
        OnFailure::Closed => "closed: what it can't judge is refused",
        OnFailure::Open => "open: what it can't judge passes as it was",
    };
    say::line(format!("  on failure  {failure}"));
    say::line(format!(
        "  limits      {} MiB, {} ms, bodies of {} KiB in and {} KiB out",
        limits.memory_mib(),
        limits.deadline_ms(),
        limits.input_bytes().div_ceil(1024),
        limits.output_bytes().div_ceil(1024)
    ));
}

fn list(what: &str, names: &BTreeSet<String>) {
    if names.is_empty() {
        say::line(format!("  {what:11} none"));
    }
    for name in names {
        say::line(format!("  {what:11} {name}"));
    }
}

/// What the hooks and grants amount to, for somebody who must decide about installing it.
fn abilities(manifest: &Manifest) -> Vec<&'static str> {
    let hooks = manifest.hooks().iter().map(|hook| match hook {
        Hook::Request => "read the body of every request, change it or refuse it; what it writes is judged like the client's own",
        Hook::Response => "read the body of every answer of the protected system, change it or refuse it, before it is decided about",
        Hook::Transform => "read each resource that may leave, cut or change anything but its type and id, or refuse it",
        Hook::Enrich => "read each resource that may leave and add to it, or refuse it; it can't take anything away",
    });
    let grants = manifest.grants().iter().map(|grant| match grant {
        Grant::Log => "write to the gateway's log: whoever reads the log would read what it writes",
        Grant::Settings => "read its settings",
        Grant::Counters => "add to the counters that its manifest lists",
        Grant::Fhirpath => "ask FHIRPath questions about the body it was given",
        Grant::ConceptMap => "translate codes by the concept maps that the operator gives it",
        Grant::CodiceFiscale => "ask whether a text is an Italian tax code",
        Grant::Pseudonym => "make pseudonyms under the operator's key, without seeing the key",
    });
    let never = ["never: reach a network, a file, a clock, a token, a header, or what another call saw"];
    hooks.chain(grants).chain(never).collect()
}
