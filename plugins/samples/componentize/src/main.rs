//! `componentize MODULE MANIFEST OUT-DIRECTORY`
//!
//! Wraps a core WebAssembly module that holds a `component-type` section into a component, writes it beside a copy of
//! the manifest, and stamps the manifest with the component's file name and SHA-256 digest.

use std::{env, error::Error, fs, path::Path, process::ExitCode};

use sha2::{Digest, Sha256};
use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, manifest, out] = arguments.as_slice() else {
        return fail("usage: componentize MODULE MANIFEST OUT-DIRECTORY");
    };
    match componentize(Path::new(module), Path::new(manifest), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn componentize(module: &Path, manifest: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let module = fs::read(module).map_err(|error| format!("{}: {error}", module.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))?;

    let text = fs::read_to_string(manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let mut stamped: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let fields = stamped.as_object_mut().ok_or("the manifest must be a JSON object")?;
    let name =
        fields.get("name").and_then(|name| name.as_str()).ok_or("the manifest must have a name")?.to_owned();
    let file = format!("{name}.wasm");
    let digest: String = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect();
    fields.insert("component".to_owned(), file.clone().into());
    fields.insert("sha256".to_owned(), digest.into());

    fs::create_dir_all(out)?;
    fs::write(out.join(&file), &component)?;
    fs::write(out.join(format!("{name}.plugin.json")), format!("{stamped:#}\n"))?;
    report(&format!("{file}: {} bytes", component.len()));
    Ok(())
}

#[allow(clippy::print_stdout)]
fn report(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr)]
fn fail(cause: &str) -> ExitCode {
    eprintln!("componentize: {cause}");
    ExitCode::FAILURE
}
