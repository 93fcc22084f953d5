//! `varco plugin build`: compiles a project, wraps it into a component and stamps the manifest with its digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use serde_json::{Map, Value};
use varco_plugin_host::component_digest;

use super::component::{self, Interfaces};
use super::project::{Built, Language, Project, stamped};
use super::stand::Stand;
use super::toolchain::{CToolchain, RUST_TARGET, RustToolchain, componentize_qjs};
use super::{CONTRACT, Ending, say};
use crate::cli::whole_file::write;

/// Compiles a plugin's project into a component and its manifest.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco plugin build small-bodies                  small-bodies/dist/small-bodies.wasm and small-bodies.plugin.json
  varco plugin build                               the project in this folder
  varco plugin build --out /srv/varco/plugins small-bodies
  varco plugin build --compiler /usr/bin/cargo small-bodies

Rust is compiled with the target wasm32-unknown-unknown of rustup's toolchain, or with a standard library from source
(Debian); JavaScript with componentize-qjs from npm; C with clang and wasm-ld. What is missing is named with how to get it.
The result is loaded once as the gateway would load it: an import that isn't granted is told here.")]
pub struct Build {
    /// The project's folder.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Where component and manifest go; the project's dist/ unless named.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The compiler: a cargo with a rustc beside it, a clang, or componentize-qjs.
    #[arg(long, value_name = "FILE")]
    compiler: Option<PathBuf>,
    /// Fails where Cargo.lock would have to change.
    #[arg(long)]
    locked: bool,
}

impl Build {
    pub(super) fn run(self) -> Result<Ending> {
        let project = Project::open(&self.folder)?;
        let component = match project.language {
            Language::Rust => self.rust(&project)?,
            Language::Js => self.javascript(&project)?,
            Language::C => self.c(&project)?,
        };
        let out = self.out.clone().unwrap_or_else(|| project.dist());
        let name = project.manifest.name();
        let digest = component_digest(&component);
        fs::create_dir_all(&out)
            .with_context(|| format!("{} can't be made; name another with --out", out.display()))?;
        let manifest = out.join(format!("{name}.plugin.json"));
        write(&out.join(format!("{name}.wasm")), &component)?;
        write(&manifest, stamped(&project.text, &digest)?.as_bytes())?;

        let interfaces = Interfaces::of(&component)?;
        say::line(format!(
            "{name} {}: {} bytes, sha256 {digest}",
            project.manifest.version(),
            component.len()
        ));
        say::line(format!("  {}", manifest.display()));
        let imports: Vec<&str> = interfaces.imports.iter().map(String::as_str).collect();
        say::line(format!(
            "  imports: {}",
            if imports.is_empty() { "none".to_owned() } else { imports.join(", ") }
        ));
        let built = Built::open(&manifest)?;
        match Stand::new()?.load(&built, &Map::new()) {
            Ok(_) => Ok(Ending::Well),
            Err(fault) => {
                say::note(format!("varco: the gateway would not load it: {fault:#}"));
                Ok(Ending::AtFault)
            }
        }
    }

    fn rust(&self, project: &Project) -> Result<Vec<u8>> {
        let toolchain = RustToolchain::find(self.compiler.as_deref())?;
        let package = project.folder.join("Cargo.toml").canonicalize()?;
        let mut cargo = Command::new(&toolchain.cargo);
        cargo
            .args([
                "build",
                "--release",
                "--target",
                RUST_TARGET,
                "--message-format",
                "json-render-diagnostics",
            ])
            .arg("--manifest-path")
            .arg(&package)
            .args(self.locked.then_some("--locked"))
            .env("RUSTC", &toolchain.rustc)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags(&toolchain, &package)?)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .stderr(Stdio::inherit());
        if toolchain.from_source {
            cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        }
        if let Some(linker) = &toolchain.linker {
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        let messages = run(&mut cargo)?;
        let module = module_of(&messages, &package)?;
        let module = fs::read(&module).with_context(|| format!("{} can't be read", module.display()))?;
        component::wrap(&module)
    }

    fn javascript(&self, project: &Project) -> Result<Vec<u8>> {
        let program = componentize_qjs(&project.folder, self.compiler.as_deref())?;
        let work = project.dist().join("work");
        let contract = work.join("wit/deps/varco-plugin");
        fs::create_dir_all(&contract).with_context(|| format!("{} can't be made", contract.display()))?;
        write(&contract.join("varco-plugin.wit"), CONTRACT.as_bytes())?;
        write(&work.join("wit/own.wit"), component::own_world(&project.manifest).as_bytes())?;
        let made = work.join("component.wasm");
        let folder = project.folder.canonicalize()?;
        // The SDK may lie beside the project, as that of the samples does.
        let root = if folder.join("sdk").is_dir() || folder.join("node_modules/varco-plugin").exists() {
            folder.clone()
        } else {
            folder.ancestors().nth(2).unwrap_or(&folder).to_owned()
        };
        let mut command = Command::new(&program);
        command
            .args(["--stub-wasi", "--sync", "--opt-size", "--minify", "--world", "plugin", "--wit"])
            .arg(work.join("wit").canonicalize()?)
            .arg("--js")
            .arg(folder.join("src/plugin.js"))
            .arg("--module-root")
            .arg(root)
            .arg("--output")
            .arg(work.canonicalize()?.join("component.wasm"))
            .current_dir(&folder);
        run(&mut command)?;
        let component = fs::read(&made).with_context(|| format!("{} can't be read", made.display()))?;
        let _ = fs::remove_dir_all(&work);
        Ok(component)
    }

    fn c(&self, project: &Project) -> Result<Vec<u8>> {
        let toolchain = CToolchain::find(self.compiler.as_deref())?;
        let work = project.dist().join("work");
        fs::create_dir_all(&work).with_context(|| format!("{} can't be made", work.display()))?;
        let module = work.join("module.wasm");
        let headers = [project.folder.join("sdk"), project.folder.join("../../sdk-c")];
        let mut command = Command::new(&toolchain.clang);
        command
            .args([
                "--target=wasm32",
                "-std=c11",
                "-O2",
                "-Wall",
                "-Wextra",
                "-nostdlib",
                "-fvisibility=hidden",
            ])
            .args(headers.iter().filter(|it| it.is_dir()).map(|it| format!("-I{}", it.display())))
            .args(["-Wl,--no-entry", "-Wl,--export-memory", "-Wl,--strip-all", "-Wl,-z,stack-size=65536"])
            .arg(format!("-fuse-ld={}", toolchain.linker.display()))
            .arg(project.folder.join("src/plugin.c"))
            .arg("-o")
            .arg(&module)
            .stderr(Stdio::inherit());
        run(&mut command)?;
        let bytes = fs::read(&module).with_context(|| format!("{} can't be read", module.display()))?;
        let _ = fs::remove_dir_all(&work);
        component::wrap_for_world(bytes, &project.manifest)
    }
}

/// The component's bytes must not depend on where it was built.
fn flags(toolchain: &RustToolchain, package: &Path) -> Result<String> {
    let root = run(Command::new(&toolchain.cargo)
        .args(["locate-project", "--workspace", "--message-format", "plain", "--manifest-path"])
        .arg(package))?;
    let root = PathBuf::from(root.trim());
    let above = root.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
    let sysroot = run(Command::new(&toolchain.rustc).args(["--print", "sysroot"]))?;
    let mut prefixes = vec![(above.display().to_string(), "plugin".to_owned())];
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    if let Some(registries) = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok()) {
        let found =
            registries.flatten().map(|it| (it.path().display().to_string(), "dependencies".to_owned()));
        prefixes.extend(found);
    }
    prefixes.push((sysroot.trim().to_owned(), "rust".to_owned()));
    let flag = |(from, to): (String, String)| format!("--remap-path-prefix={from}={to}");
    // A path with a space can't be told to the compiler in this way: the component is as good without.
    Ok(prefixes.into_iter().filter(|(from, _)| !from.contains(' ')).map(flag).collect::<Vec<_>>().join(" "))
}

/// The module that Cargo made of the package, by its messages (one JSON object a line).
fn module_of(messages: &str, package: &Path) -> Result<PathBuf> {
    let package = package.display().to_string();
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["manifest_path"] == package.as_str()
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|it| it == "wasm"))
        .ok_or_else(|| {
            anyhow!("{package} makes no module; add `crate-type = [\"cdylib\", \"rlib\"]` under [lib]")
        })
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{program} doesn't run"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim();
        bail!("{program} failed{}{words}", if words.is_empty() { "; see above" } else { ":\n" });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
