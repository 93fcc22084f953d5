//! `varco plugin new`: a project that builds and passes its tests, with the SDK inside, so that nothing but a compiler
//! must be fetched.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::project::Language;
use super::{CONTRACT, Ending, say};

/// Makes a plugin's project: source, manifest, fixtures, tests, SDK.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco plugin new small-bodies                in Rust
  varco plugin new --lang js small-bodies      in JavaScript
  varco plugin new --lang c --in plugins small-bodies

The project is made in a folder of its name, which must not be there yet. Its README says how to go on.")]
pub struct New {
    /// The plugin's name: 1 to 64 lower-case letters, digits and hyphens, starting with a letter.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// Where its folder is made.
    #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

/// A file of a project: its path, and its text before names are put in.
type File = (&'static str, &'static str);

const COMMON: &[File] = &[
    ("plugin.json", include_str!("template/plugin.json.txt")),
    ("README.md", include_str!("template/README.md.txt")),
    ("fixtures/known.in.json", include_str!("template/known.in.json")),
    ("fixtures/known.out.json", include_str!("template/known.out.json")),
    ("fixtures/unknown.in.json", include_str!("template/unknown.in.json")),
    ("fixtures/unknown.refused.json", include_str!("template/unknown.refused.json")),
];

macro_rules! sdk {
    ($path:literal) => {
        include_str!(concat!("../../../../plugins/", $path))
    };
}

const RUST: &[File] = &[
    ("Cargo.toml", include_str!("template/rust/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("template/rust/lib.rs")),
    (".gitignore", "/target/\n/dist/\n"),
    ("sdk/wit/varco-plugin.wit", CONTRACT),
    ("sdk/rust/Cargo.toml", sdk!("sdk-rust/Cargo.toml")),
    ("sdk/rust/src/lib.rs", sdk!("sdk-rust/src/lib.rs")),
    ("sdk/rust/src/arena.rs", sdk!("sdk-rust/src/arena.rs")),
    ("sdk/rust/src/bindings.rs", sdk!("sdk-rust/src/bindings.rs")),
    ("sdk/rust/src/host.rs", sdk!("sdk-rust/src/host.rs")),
    ("sdk/rust/src/json.rs", sdk!("sdk-rust/src/json.rs")),
    ("sdk/rust/src/json/rewrite.rs", sdk!("sdk-rust/src/json/rewrite.rs")),
    ("sdk/rust/src/testing.rs", sdk!("sdk-rust/src/testing.rs")),
];

const JAVASCRIPT: &[File] = &[
    ("package.json", include_str!("template/js/package.json.txt")),
    ("src/plugin.js", include_str!("template/js/plugin.js")),
    ("tests/plugin.test.js", include_str!("template/js/plugin.test.js")),
    (".gitignore", "/node_modules/\n/dist/\n"),
    ("sdk/varco-plugin.wit", CONTRACT),
    ("sdk/package.json", sdk!("sdk-js/package.json")),
    ("sdk/index.js", sdk!("sdk-js/index.js")),
    ("sdk/index.d.ts", sdk!("sdk-js/index.d.ts")),
    ("sdk/log.js", sdk!("sdk-js/log.js")),
    ("sdk/log.d.ts", sdk!("sdk-js/log.d.ts")),
    ("sdk/settings.js", sdk!("sdk-js/settings.js")),
    ("sdk/settings.d.ts", sdk!("sdk-js/settings.d.ts")),
    ("sdk/counters.js", sdk!("sdk-js/counters.js")),
    ("sdk/counters.d.ts", sdk!("sdk-js/counters.d.ts")),
    ("sdk/fhirpath.js", sdk!("sdk-js/fhirpath.js")),
    ("sdk/fhirpath.d.ts", sdk!("sdk-js/fhirpath.d.ts")),
    ("sdk/concept-map.js", sdk!("sdk-js/concept-map.js")),
    ("sdk/concept-map.d.ts", sdk!("sdk-js/concept-map.d.ts")),
    ("sdk/codice-fiscale.js", sdk!("sdk-js/codice-fiscale.js")),
    ("sdk/codice-fiscale.d.ts", sdk!("sdk-js/codice-fiscale.d.ts")),
    ("sdk/pseudonym.js", sdk!("sdk-js/pseudonym.js")),
    ("sdk/pseudonym.d.ts", sdk!("sdk-js/pseudonym.d.ts")),
    ("sdk/testing/index.js", sdk!("sdk-js/testing/index.js")),
    ("sdk/testing/index.d.ts", sdk!("sdk-js/testing/index.d.ts")),
    ("sdk/testing/register.js", sdk!("sdk-js/testing/register.js")),
    ("sdk/testing/resolve.js", sdk!("sdk-js/testing/resolve.js")),
];

const C: &[File] = &[
    ("src/plugin.c", include_str!("template/c/plugin.c")),
    ("tests/native.c", include_str!("template/c/native.c")),
    (".gitignore", "/native\n/dist/\n"),
    ("sdk/varco-plugin.wit", CONTRACT),
    ("sdk/varco_plugin.h", sdk!("sdk-c/varco_plugin.h")),
];

impl New {
    pub(super) fn run(self) -> Result<Ending> {
        check_name(&self.name)?;
        let folder = self.folder.join(&self.name);
        if folder.exists() {
            bail!("{} is there already; choose another name, or another place with --in", folder.display());
        }
        let files = match self.lang {
            Language::Rust => RUST,
            Language::Js => JAVASCRIPT,
            Language::C => C,
        };
        for (path, text) in COMMON.iter().chain(files) {
            write(&folder.join(path), &self.filled(path, text))?;
        }
        say::line(format!("{} is made; go on with", folder.display()));
        say::line(format!("  cd {}", folder.display()));
        if self.lang == Language::Js {
            say::line("  npm install");
        }
        say::line("  varco plugin build && varco plugin test");
        Ok(Ending::Well)
    }

    /// The text with the plugin's name and what goes with its language.
    fn filled(&self, path: &str, text: &str) -> String {
        // The SDK is a package of this repository's own workspace there, and of the project's here.
        if path == "sdk/rust/Cargo.toml" {
            return text
                .replace("workspace = \"../samples\"\n", "")
                .replace("[lints]\nworkspace = true\n\n", "");
        }
        if path.starts_with("sdk/") {
            return text.to_owned();
        }
        // An interpreter inside the component takes longer, and less at once.
        let (language, source, first, deadline, input) = match self.lang {
            Language::Rust => (
                "Rust",
                "src/lib.rs",
                "cargo test               # the logic, without a gateway",
                "50",
                "1024",
            ),
            Language::Js => (
                "JavaScript",
                "src/plugin.js",
                "npm install && npm test  # the logic, without a gateway",
                "500",
                "64",
            ),
            Language::C => (
                "C",
                "src/plugin.c",
                "cc -Isdk tests/native.c -o native && ./native    # the logic, without a gateway",
                "50",
                "1024",
            ),
        };
        text.replace("{{name}}", &self.name)
            .replace("{{language}}", language)
            .replace("{{source}}", source)
            .replace("{{first}}", first)
            .replace("{{deadline}}", deadline)
            .replace("{{input}}", input)
    }
}

fn check_name(name: &str) -> Result<()> {
    let letters = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    if name.starts_with(|it: char| it.is_ascii_lowercase()) && name.len() <= 64 && name.chars().all(letters) {
        return Ok(());
    }
    bail!(
        "{name:?} can't be a plugin's name; use 1 to 64 lower-case letters, digits and hyphens, starting with a letter"
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_language_gets_a_project_whose_manifest_is_right() {
        for lang in [Language::Rust, Language::Js, Language::C] {
            let folder = tempfile::tempdir().unwrap();
            let new = || New { name: "my-plugin".to_owned(), lang, folder: folder.path().to_owned() };
            assert_eq!(new().run().unwrap(), Ending::Well);
            let project = super::super::project::Project::open(&folder.path().join("my-plugin")).unwrap();
            assert_eq!((project.language, project.manifest.name()), (lang, "my-plugin"));
            let readme = fs::read_to_string(project.folder.join("README.md")).unwrap();
            assert!(!readme.contains("{{"), "{readme}");
            assert!(new().run().unwrap_err().to_string().contains("there already"));
        }
    }

    #[test]
    fn the_sdk_in_a_project_depends_on_no_workspace_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        New { name: "p".to_owned(), lang: Language::Rust, folder: folder.path().to_owned() }.run().unwrap();
        let manifest = fs::read_to_string(folder.path().join("p/sdk/rust/Cargo.toml")).unwrap();
        assert!(
            manifest.contains("name = \"varco-plugin\"") && !manifest.contains("workspace"),
            "{manifest}"
        );
    }

    #[test]
    fn a_name_that_would_leave_the_folder_is_refused() {
        for name in ["", "../x", "A", "1a", "a/b", "a_b", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
