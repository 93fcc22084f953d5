//! Where the parts of a plugin lie: the project that its author writes, and what was built from it.
//!
//! A project has `plugin.json` (the manifest with an empty digest), `fixtures/`, and its source: `Cargo.toml` for Rust,
//! `src/plugin.js` for JavaScript, `src/plugin.c` for C. Built are `NAME.wasm` and `NAME.plugin.json`, in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use varco_plugin_host::Manifest;

/// The digest of no component: it stands in for the empty one of a manifest that is checked before it is built.
const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The largest manifest that is read, in bytes.
const MANIFEST_BYTES: u64 = 1 << 20;

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Rust, with the crate `varco-plugin`.
    Rust,
    /// JavaScript, run by QuickJS inside the component (about 1 MB).
    Js,
    /// C, with one header.
    C,
}

/// A project's folder, whose manifest has been checked.
#[derive(Debug)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// The manifest as its author wrote it.
    pub text: String,
    /// What it says, with stand-ins for component and digest.
    pub manifest: Manifest,
    /// What the source is written in.
    pub language: Language,
}

impl Project {
    /// Reads the project in `folder`.
    ///
    /// # Errors
    ///
    /// What is missing there, or what is wrong with the manifest.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("plugin.json");
        if !path.is_file() {
            bail!(
                "{} has no plugin.json; give the folder of a plugin's project, or make one with `varco plugin new NAME`",
                folder.display()
            );
        }
        let text = read_text(&path)?;
        let manifest = unbuilt(&text).with_context(|| path.display().to_string())?;
        let sources =
            [(Language::Rust, "Cargo.toml"), (Language::Js, "src/plugin.js"), (Language::C, "src/plugin.c")];
        let found = sources.into_iter().find(|(_, file)| folder.join(file).is_file());
        let (language, _) = found.ok_or_else(|| {
            anyhow!(
                "{} has no source: Cargo.toml (Rust), src/plugin.js (JavaScript) or src/plugin.c (C)",
                folder.display()
            )
        })?;
        Ok(Self { folder: folder.to_owned(), text, manifest, language })
    }

    /// The folder for what is built, unless another is asked for.
    pub fn dist(&self) -> PathBuf {
        self.folder.join("dist")
    }
}

/// The manifest of what was built, and its text.
#[derive(Debug)]
pub struct Built {
    /// Where the manifest lies; the component lies beside it.
    pub path: PathBuf,
    /// The manifest's text.
    pub text: String,
    /// What it says.
    pub manifest: Manifest,
}

impl Built {
    /// What `place` holds: a manifest `NAME.plugin.json`, or a project that has been built into its `dist/`.
    ///
    /// # Errors
    ///
    /// Where there is none, it can't be read, or isn't a manifest.
    pub fn open(place: &Path) -> Result<Self> {
        let path = if place.is_dir() { in_project(place)? } else { place.to_owned() };
        let text = read_text(&path)?;
        let manifest = Manifest::parse(&text).with_context(|| path.display().to_string())?;
        Ok(Self { path, text, manifest })
    }

    /// Where the component lies.
    pub fn component_path(&self) -> PathBuf {
        self.path.with_file_name(self.manifest.component())
    }

    /// The component.
    ///
    /// # Errors
    ///
    /// Where it can't be read.
    pub fn component(&self) -> Result<Vec<u8>> {
        let path = self.component_path();
        fs::read(&path)
            .with_context(|| format!("{} can't be read; it must lie beside its manifest", path.display()))
    }
}

fn in_project(folder: &Path) -> Result<PathBuf> {
    let project = Project::open(folder)?;
    let built = project.dist().join(format!("{}.plugin.json", project.manifest.name()));
    if !built.is_file() {
        bail!("{} has not been built; run `varco plugin build {}` first", folder.display(), folder.display());
    }
    Ok(built)
}

fn read_text(path: &Path) -> Result<String> {
    let size =
        fs::metadata(path).map(|it| it.len()).with_context(|| format!("{} can't be read", path.display()))?;
    if size > MANIFEST_BYTES {
        bail!("{} has {size} bytes; a manifest has at most {MANIFEST_BYTES}", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
}

/// A manifest that may lack component and digest.
fn unbuilt(text: &str) -> Result<Manifest> {
    match serde_json::from_str(text) {
        Ok(Value::Object(_)) => Ok(Manifest::parse(&stamped(text, NO_DIGEST)?)?),
        // The manifest's own parser explains it best.
        _ => Ok(Manifest::parse(text)?),
    }
}

/// The manifest with the component's file name and digest.
///
/// # Errors
///
/// Where the text is no JSON object with a name.
pub fn stamped(text: &str, sha256: &str) -> Result<String> {
    let mut value: Value = serde_json::from_str(text)?;
    let members = value.as_object_mut().context("the manifest is not a JSON object")?;
    let name = members.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    members.insert("component".to_owned(), format!("{name}.wasm").into());
    members.insert("sha256".to_owned(), sha256.into());
    Ok(format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MANIFEST: &str = r#"{"name":"p","version":"0.1.0","description":"d","world":"varco:plugin/request-plugin@0.2.0","component":"","sha256":"","hooks":["request"]}"#;

    #[test]
    fn a_project_is_known_by_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let fault = |folder: &Path| format!("{:#}", Project::open(folder).unwrap_err());
        assert!(fault(folder.path()).contains("varco plugin new"));
        fs::write(folder.path().join("plugin.json"), MANIFEST).unwrap();
        assert!(fault(folder.path()).contains("no source"));
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/plugin.c"), "").unwrap();
        let project = Project::open(folder.path()).unwrap();
        assert_eq!((project.language, project.manifest.name()), (Language::C, "p"));
        assert!(format!("{:#}", Built::open(folder.path()).unwrap_err()).contains("varco plugin build"));
    }

    #[test]
    fn a_fault_of_the_manifest_is_told_before_anything_is_built() {
        let folder = tempfile::tempdir().unwrap();
        for (text, cause) in
            [("{", "line 1"), ("[]", "plugin.json"), (&MANIFEST.replace("request", "x"), "/hooks/0")]
        {
            fs::write(folder.path().join("plugin.json"), text).unwrap();
            let fault = format!("{:#}", Project::open(folder.path()).unwrap_err());
            assert!(fault.contains(cause), "{fault}");
        }
    }

    #[test]
    fn a_stamp_keeps_the_order_of_the_manifest() {
        let text = stamped(MANIFEST, "ab").unwrap();
        assert!(text.contains("\"component\": \"p.wasm\",\n  \"sha256\": \"ab\",\n  \"hooks\""), "{text}");
    }
}
