//! Finds the compilers that a plugin needs, and says what is missing and how to get it.
//!
//! Nothing is installed or downloaded here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// What Rust calls a plugin's machine.
pub const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// A Rust toolchain that can compile for WebAssembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RustToolchain {
    /// Cargo.
    pub cargo: PathBuf,
    /// The compiler that belongs to it.
    pub rustc: PathBuf,
    /// The standard library must be compiled from its source.
    pub from_source: bool,
    /// A linker to use in the place of the toolchain's own.
    pub linker: Option<PathBuf>,
}

impl RustToolchain {
    /// The toolchain whose Cargo is `chosen`, or the first that is able: the one on the search path, then Debian's.
    ///
    /// # Errors
    ///
    /// What each lacks, and three ways to get it.
    pub fn find(chosen: Option<&Path>) -> Result<Self> {
        let candidates: Vec<PathBuf> = match chosen {
            Some(cargo) => vec![cargo.to_owned()],
            None => on_path("cargo").into_iter().chain([PathBuf::from("/usr/bin/cargo")]).collect(),
        };
        let mut lacks = Vec::new();
        for cargo in candidates.iter().filter(|cargo| cargo.is_file()) {
            match Self::with(cargo) {
                Ok(toolchain) => return Ok(toolchain),
                Err(lack) => lacks.push(format!("  {}: {lack}", cargo.display())),
            }
        }
        if lacks.is_empty() {
            lacks.push("  no cargo was found".to_owned());
        }
        bail!(
            "no Rust toolchain here can compile for {RUST_TARGET}:\n{}\nGet one in one of these ways:\n  \
             rustup target add {RUST_TARGET}\n  \
             apt-get install cargo rustc rust-src lld            (Debian 13; the standard library is compiled once)\n  \
             apt-get install cargo-web rustc-web rust-web-src lld-19    (Debian 12)",
            lacks.join("\n")
        )
    }

    fn with(cargo: &Path) -> Result<Self, String> {
        let rustc = cargo.with_file_name("rustc");
        let ask = |question: &[&str]| output(&rustc, question).ok_or("its rustc doesn't run".to_owned());
        let ready = ask(&["--print", "target-libdir", "--target", RUST_TARGET])?;
        let own =
            |from_source, linker| Self { cargo: cargo.to_owned(), rustc: rustc.clone(), from_source, linker };
        if has_file(Path::new(&ready), "libstd-") {
            return Ok(own(false, None));
        }
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?);
        if !sysroot.join("lib/rustlib/src/rust/library/std").is_dir() {
            return Err(
                "it has no standard library for WebAssembly, neither compiled nor as source".to_owned()
            );
        }
        let host = ask(&["-vV"])?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        if sysroot.join("lib/rustlib").join(host).join("bin/rust-lld").is_file() {
            return Ok(own(true, None));
        }
        match linker() {
            Some(linker) => Ok(own(true, Some(linker))),
            None => {
                Err("it has the source of the standard library, but no linker (wasm-ld) is here".to_owned())
            }
        }
    }
}

/// A C compiler for WebAssembly and its linker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CToolchain {
    /// Clang.
    pub clang: PathBuf,
    /// wasm-ld.
    pub linker: PathBuf,
}

impl CToolchain {
    /// The compiler `chosen`, or the first clang that knows WebAssembly.
    ///
    /// # Errors
    ///
    /// What is missing and how to get it.
    pub fn find(chosen: Option<&Path>) -> Result<Self> {
        let able = |clang: &PathBuf| {
            output(clang, &["--print-targets"]).is_some_and(|targets| targets.contains("wasm32"))
        };
        let candidates: Vec<PathBuf> = match chosen {
            Some(clang) => vec![clang.to_owned()],
            None => versions("clang"),
        };
        let Some(clang) = candidates.into_iter().find(able) else {
            bail!("no clang that knows WebAssembly is here; get one with: apt-get install clang lld");
        };
        let Some(linker) = linker() else {
            bail!(
                "{} is here, but its linker wasm-ld is not; get it with: apt-get install lld",
                clang.display()
            );
        };
        Ok(Self { clang, linker })
    }
}

/// The program that puts JavaScript into a component: `chosen`, the project's own, or that on the search path.
///
/// # Errors
///
/// What is missing and how to get it.
pub fn componentize_qjs(folder: &Path, chosen: Option<&Path>) -> Result<PathBuf> {
    const NAME: &str = "componentize-qjs";
    if let Some(chosen) = chosen {
        return Ok(chosen.to_owned());
    }
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let own =
        folder.ancestors().map(|above| above.join("node_modules/.bin").join(NAME)).find(|it| it.is_file());
    match own.or_else(|| on_path(NAME)) {
        Some(program) => Ok(program),
        None => bail!(
            "{NAME} is not here: it puts JavaScript into a component. Get it with `npm install` in {} (Node.js 20 or later)",
            folder.display()
        ),
    }
}

fn linker() -> Option<PathBuf> {
    versions("wasm-ld").into_iter().next()
}

/// The program of this name, and those with a version behind it, the newest first.
fn versions(name: &str) -> Vec<PathBuf> {
    let numbered = (14..=30).rev().map(|version| format!("{name}-{version}"));
    [name.to_owned()].into_iter().chain(numbered).filter_map(|name| on_path(&name)).collect()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn has_file(folder: &Path, start: &str) -> bool {
    std::fs::read_dir(folder)
        .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with(start)))
}

fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A toolchain that answers as these lines of shell do.
    fn toolchain(folder: &Path, rustc: &str) -> PathBuf {
        for (name, script) in [("cargo", "exit 0"), ("rustc", rustc)] {
            let path = folder.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder.join("cargo")
    }

    #[test]
    fn a_target_that_is_installed_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libstd-1.rlib"), "").unwrap();
        let cargo = toolchain(folder.path(), &format!("echo {}", folder.path().display()));
        let found = RustToolchain::find(Some(&cargo)).unwrap();
        assert_eq!((found.from_source, found.linker), (false, None));
        assert_eq!(found.rustc, folder.path().join("rustc"));
    }

    #[test]
    fn the_source_of_the_standard_library_does_with_a_linker() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("lib/rustlib/src/rust/library/std");
        std::fs::create_dir_all(source).unwrap();
        let linker = folder.path().join("lib/rustlib/h/bin/rust-lld");
        std::fs::create_dir_all(linker.parent().unwrap()).unwrap();
        std::fs::write(linker, "").unwrap();
        let answers = format!(
            "case \"$*\" in *target-libdir*) echo /none;; *sysroot*) echo {};; *) echo 'host: h';; esac",
            folder.path().display()
        );
        let found = RustToolchain::find(Some(&toolchain(folder.path(), &answers))).unwrap();
        assert_eq!((found.from_source, found.linker), (true, None));
    }

    #[test]
    fn what_is_missing_is_told_with_ways_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let cargo = toolchain(folder.path(), "echo /none");
        let fault = RustToolchain::find(Some(&cargo)).unwrap_err().to_string();
        assert!(
            fault.contains("neither compiled nor as source") && fault.contains("rustup target add"),
            "{fault}"
        );
        let fault = RustToolchain::find(Some(&folder.path().join("none"))).unwrap_err().to_string();
        assert!(fault.contains("no cargo was found"), "{fault}");
        let fault = CToolchain::find(Some(&cargo)).unwrap_err().to_string();
        assert!(fault.contains("apt-get install clang"), "{fault}");
    }
}
