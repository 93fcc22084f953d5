//! `varco packages`: the definitions that are built in, and how they are made.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use fhir_models::definition::package::cache_folder;
use fhir_models::definition::{Keeping, Pack, PackBuilder, Package, PackageLimits, built_in_packs, names_of};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::say;

/// The packs that are built in, by the package they are made of. Others take the package's own name.
const BUILT_IN: &[(&str, &str)] = &[
    ("hl7.fhir.r4.core", "r4.pack"),
    ("hl7.terminology.r4", "terminology.pack"),
    ("hl7.fhir.uv.extensions.r4", "extensions.pack"),
    ("hl7.fhir.uv.ips", "ips.pack"),
];
/// The package whose types name the elements that the parser knows.
const CORE: &str = "hl7.fhir.r4.core";

/// Lists the built-in FHIR definitions, or builds definition packs from FHIR packages.
#[derive(Debug, Args)]
pub struct Packages {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is built in: package, version, how many of each type, size.
    #[command(after_help = "Examples:
  varco packages list
  varco packages list --output json")]
    List {
        /// How to print the list.
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Builds definition packs from FHIR NPM packages. The same packages give the same bytes.
    #[command(after_help = "Examples:
  varco packages build --source hl7.fhir.r4.core-4.0.1.tgz --out fhir-models/data
  varco packages build --source core.tgz --source terminology.tgz --source ips/ --out packs

From hl7.fhir.r4.core the list of element names, names.txt, is written too.
The lines printed belong in fhir-models/SOURCES.toml.")]
    Build {
        /// A FHIR package: a .tgz file, a folder, or id#version in the package cache.
        #[arg(long, value_name = "TGZ|DIR|ID#VER", required = true, num_args = 1..)]
        source: Vec<String>,
        /// The folder to write to; made if it is not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The package cache that id#version refers to [default: .fhir/packages in the home folder].
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Packages {
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::List { output } => list(output),
            Command::Build { source, out, cache } => build(&source, &out, cache),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => say::failed(format!("{fault:#}")),
        }
    }
}

fn list(output: Output) -> anyhow::Result<()> {
    let mut listed = Vec::new();
    for pack in built_in_packs() {
        pack.verify().with_context(|| format!("the built-in pack of {}", pack.manifest().name))?;
        let manifest = pack.manifest();
        match output {
            Output::Text => {
                let licence = manifest.license.as_deref().unwrap_or("no licence stated");
                say::line(format!(
                    "{} {}  {} definitions, {} KiB, {licence}",
                    manifest.name,
                    manifest.version,
                    pack.len(),
                    pack.size() / 1024
                ));
                for (resource_type, count) in counts(pack) {
                    say::line(format!("  {count:>6}  {resource_type}"));
                }
            }
            Output::Json => listed.push(json!({
                "package": manifest.name,
                "version": manifest.version,
                "license": manifest.license,
                "bytes": pack.size(),
                "contentSha256": pack.digest(),
                "definitions": counts(pack),
            })),
        }
    }
    if matches!(output, Output::Json) {
        say::line(serde_json::to_string_pretty(&listed)?);
    }
    let missing = BUILT_IN.len().saturating_sub(built_in_packs().len());
    if missing > 0 {
        return Err(anyhow!("{missing} built-in packs are damaged: install the program again"));
    }
    Ok(())
}

fn counts(pack: &Pack) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in pack.entries() {
        *counts.entry(entry.resource_type.to_owned()).or_default() += 1;
    }
    counts
}

fn build(sources: &[String], out: &Path, cache: Option<PathBuf>) -> anyhow::Result<()> {
    let cache = cache.or_else(|| std::env::home_dir().map(|home| cache_folder(&home)));
    fs::create_dir_all(out)
        .with_context(|| format!("the folder {} can't be made; name another with --out", out.display()))?;
    for source in sources {
        let package = Package::open(source, cache.as_deref(), &PackageLimits::default())
            .map_err(|error| named(source, &error.to_string()))?;
        let bar = progress(&package);
        let builder = PackBuilder::of_package(&package, Keeping::Slim, || bar.inc(1))
            .with_context(|| format!("the package {source}"))?;
        if builder.is_empty() {
            bar.finish_and_clear();
            return Err(anyhow!("the package {source} holds no definitions; check that it is the right one"));
        }
        bar.set_message("compressing");
        let bytes = builder.finish().with_context(|| format!("the package {source}"))?;
        bar.finish_and_clear();
        let name = pack_name(&package);
        write(&out.join(&name), &bytes)?;
        let digest = sha256(&bytes);
        let pack = Pack::open(bytes).context("the pack just built")?;
        if package.manifest.name == CORE {
            let names = names_of(&pack).context("the element names of the pack just built")?;
            write(&out.join("names.txt"), names.as_bytes())?;
        }
        say::line(described(source, &package, &name, &digest, &pack)?);
    }
    Ok(())
}

/// A fault that names the package, once.
fn named(source: &str, fault: &str) -> anyhow::Error {
    if fault.contains(source) { anyhow!("{fault}") } else { anyhow!("the package {source}: {fault}") }
}

fn pack_name(package: &Package) -> String {
    let manifest = &package.manifest;
    match BUILT_IN.iter().find(|(name, _)| *name == manifest.name) {
        Some((_, file)) => (*file).to_owned(),
        None => {
            let plain = |text: &str| {
                let keep = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
                text.chars().map(keep).collect::<String>()
            };
            format!("{}-{}.pack", plain(&manifest.name), plain(&manifest.version))
        }
    }
}

/// The entry for `SOURCES.toml`, and how many definitions there are as a comment.
fn described(
    source: &str,
    package: &Package,
    name: &str,
    digest: &str,
    pack: &Pack,
) -> anyhow::Result<String> {
    let manifest = &package.manifest;
    let mut text = format!(
        "[[source]]\npackage = {:?}\nversion = {:?}\nlicence = {:?}\n",
        manifest.name,
        manifest.version,
        manifest.license.as_deref().unwrap_or("not stated")
    );
    if Path::new(source).is_file() {
        let bytes = fs::read(source).with_context(|| format!("the package {source} can't be read"))?;
        writeln!(text, "sha256 = {:?}", sha256(&bytes))?;
    }
    writeln!(text, "pack = {name:?}\npack_sha256 = {digest:?}")?;
    let counts: Vec<String> = counts(pack).iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    writeln!(text, "# {} KiB: {}", pack.size() / 1024, counts.join(", "))?;
    Ok(text)
}

/// Writes beside the target first: a reader never meets half a pack.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let half = path.with_extension("part");
    fs::write(&half, bytes).and_then(|()| fs::rename(&half, path)).with_context(|| {
        format!("{} can't be written; check that the folder is writable and not full", path.display())
    })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn progress(package: &Package) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(package.files.len() as u64), ProgressDrawTarget::stderr());
    bar.set_message(package.manifest.name.clone());
    match ProgressStyle::with_template("{bar:32} {pos} of {len} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    const MANIFEST: (&str, &str) = ("package.json", r#"{"name":"it/example","version":"1.0.0"}"#);

    #[test]
    fn a_package_becomes_a_pack_that_opens() {
        let profile = r#"{"resourceType":"StructureDefinition","id":"p","url":"http://example.it/p"}"#;
        let source = folder(&[MANIFEST, ("StructureDefinition-p.json", profile), ("Patient-1.json", "{}")]);
        let out = tempfile::tempdir().unwrap();
        let target = out.path().join("deep");
        build(&[source.path().display().to_string()], &target, None).unwrap();
        let bytes = fs::read(target.join("it-example-1.0.0.pack")).unwrap();
        let pack = Pack::open(bytes).unwrap();
        pack.verify().unwrap();
        assert_eq!(counts(&pack), BTreeMap::from([("StructureDefinition".to_owned(), 1)]));
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1, "nothing half written is left");
    }

    #[test]
    fn a_package_without_definitions_and_a_broken_one_are_refused_by_name() {
        let out = tempfile::tempdir().unwrap();
        let fault = |source: &tempfile::TempDir| {
            let name = source.path().display().to_string();
            let fault = format!("{:#}", build(std::slice::from_ref(&name), out.path(), None).unwrap_err());
            assert_eq!(fault.matches(&name).count(), 1, "{fault}");
            fault
        };
        assert!(fault(&folder(&[MANIFEST, ("Patient-1.json", "{}")])).contains("holds no definitions"));
        assert!(fault(&folder(&[MANIFEST, ("ValueSet-1.json", "{")])).contains("ValueSet-1.json"));
        assert!(fault(&folder(&[])).contains("no package/package.json"));
    }
}
