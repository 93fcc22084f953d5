//! `varco packages`: the definitions that are built in, how they are made, and the cache of further ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use fhir_models::definition::package::cache_folder;
use fhir_models::definition::package_cache::{add_to_cache, cached_packages, cached_version};
use fhir_models::definition::{Keeping, Pack, PackBuilder, Package, PackageLimits, built_in_packs, names_of};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::say;
use super::whole_file::write;

/// The packs that are built in, by the package they are made of. Others take the package's own name.
const BUILT_IN: &[(&str, &str)] = &[
    ("hl7.fhir.r4.core", "r4.pack"),
    ("hl7.terminology.r4", "terminology.pack"),
    ("hl7.fhir.uv.extensions.r4", "extensions.pack"),
    ("hl7.fhir.uv.ips", "ips.pack"),
];
/// The package whose types name the elements that the parser knows.
const CORE: &str = "hl7.fhir.r4.core";

/// Lists FHIR packages, adds some to the package cache, or builds definition packs from them.
#[derive(Debug, Args)]
pub struct Packages {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is built in (package, version, how many of each type, size), and what the package cache holds.
    #[command(after_help = "Examples:
  varco packages list
  varco packages list --output json")]
    List {
        /// The package cache [default: .fhir/packages in the home folder].
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
        /// How to print the list.
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Output,
    },
    /// Adds packages to the package cache, where `--package id#version` and dependencies are looked for.
    #[command(after_help = "Examples:
  varco packages add hl7.fhir.uv.ips-2.0.0.tgz
  varco packages add --replace my-guide/package.tgz
  varco validate --package hl7.fhir.uv.ips#2.0.0 summary.json")]
    Add {
        /// FHIR packages: .tgz files, or folders of unpacked ones.
        #[arg(value_name = "TGZ|DIR", required = true)]
        source: Vec<PathBuf>,
        /// Put it in the place of the same version that the cache holds.
        #[arg(long)]
        replace: bool,
        /// The package cache [default: .fhir/packages in the home folder].
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
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
            Command::List { output, cache } => list(output, cache),
            Command::Add { source, replace, cache } => add(&source, replace, cache),
            Command::Build { source, out, cache } => build(&source, &out, cache),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => say::failed(format!("{fault:#}")),
        }
    }
}

fn list(output: Output, cache: Option<PathBuf>) -> anyhow::Result<()> {
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
    if let Some(cache) = cache.or_else(own_cache) {
        let cached = cached_packages(&cache);
        if matches!(output, Output::Text) && !cached.is_empty() {
            say::line(format!("\nin the package cache {}:", cache.display()));
        }
        for name in cached {
            match (output, name.split_once('#')) {
                (Output::Json, Some((id, version))) => {
                    listed.push(
                        json!({ "package": id, "version": version, "cache": cache.display().to_string() }),
                    );
                }
                _ => say::line(format!("  {name}")),
            }
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

/// The package cache of the user who runs the command.
fn own_cache() -> Option<PathBuf> {
    std::env::home_dir().map(|home| cache_folder(&home))
}

fn add(sources: &[PathBuf], replace: bool, cache: Option<PathBuf>) -> anyhow::Result<()> {
    let cache = cache
        .or_else(own_cache)
        .context("no home folder is known, and so no package cache: name one with --cache")?;
    for source in sources {
        let place = source.display().to_string();
        let added = add_to_cache(source, &cache, replace, &PackageLimits::default())
            .map_err(|error| named(&place, &error.to_string()))?;
        let name = format!("{}#{}", added.manifest.name, added.manifest.version);
        if added.already {
            say::line(format!("{name} is in the cache already; --replace puts this one in its place"));
            continue;
        }
        say::line(format!("{name} added: {}", added.folder.display()));
        for (id, version) in &added.manifest.dependencies {
            if !is_at_hand(&cache, id, version) {
                say::note(format!("  it depends on {id}#{version}, which is not in the cache: add that too"));
            }
        }
    }
    Ok(())
}

/// True for a package that is built in or in the cache.
pub(super) fn is_at_hand(cache: &Path, id: &str, version: &str) -> bool {
    id == CORE
        || built_in_packs()
            .iter()
            .any(|pack| pack.manifest().name == id && pack.manifest().version == version)
        || cached_version(cache, id, version).is_some()
}

fn counts(pack: &Pack) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in pack.entries() {
        *counts.entry(entry.resource_type.to_owned()).or_default() += 1;
    }
    counts
}

fn build(sources: &[String], out: &Path, cache: Option<PathBuf>) -> anyhow::Result<()> {
    let cache = cache.or_else(own_cache);
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

fn sha256(bytes: &[u8]) -> String {
    varco::hexadecimal::write(&Sha256::digest(bytes))
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

    const MANIFEST_OF_CACHE: (&str, &str) = ("package.json", r#"{"name":"it.example","version":"1.0.0"}"#);
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
    fn a_package_is_added_to_the_cache_and_at_hand() {
        let source = folder(&[MANIFEST_OF_CACHE, ("Patient-1.json", "{}")]);
        let cache = tempfile::tempdir().unwrap();
        let sources = [source.path().to_owned()];
        add(&sources, false, Some(cache.path().to_owned())).unwrap();
        add(&sources, false, Some(cache.path().to_owned())).unwrap();
        assert_eq!(cached_packages(cache.path()), ["it.example#1.0.0"]);
        assert!(is_at_hand(cache.path(), "it.example", "1.0.x"));
        assert!(is_at_hand(cache.path(), CORE, "4.0.1"));
        assert!(!is_at_hand(cache.path(), "it.example", "2.0.0"));
        let fault = add(&[cache.path().join("none.tgz")], false, Some(cache.path().to_owned())).unwrap_err();
        assert!(fault.to_string().contains("none.tgz can't be read"), "{fault}");
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
