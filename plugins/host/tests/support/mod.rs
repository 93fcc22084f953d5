//! Loads the checked-in samples, with a manifest that a test may change first.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use varco_plugin_host::{
    ChainOutcome, Context, EngineSettings, Hook, LoadError, Manifest, Plugin, PluginEngine, PluginError,
    PluginSet, Verdict,
};

pub const READ: Context<'static> = Context {
    interaction: "read",
    resource_type: Some("Observation"),
    route: "exchange",
    roles: &["AAS", "APR"],
    purposes: &["TREAT"],
    content_type: "application/fhir+json",
    traceparent: None,
};

pub fn engine() -> PluginEngine {
    PluginEngine::start(&EngineSettings::default()).unwrap()
}

pub fn components() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/components"))
}

pub fn manifest_path(sample: &str) -> PathBuf {
    components().join(format!("{sample}.plugin.json"))
}

pub fn manifest(sample: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(manifest_path(sample)).unwrap()).unwrap()
}

pub fn component(sample: &str) -> Vec<u8> {
    fs::read(components().join(format!("{sample}.wasm"))).unwrap()
}

/// The sample, after `change` has edited its manifest.
pub fn load(
    engine: &PluginEngine,
    sample: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Plugin, LoadError> {
    let mut manifest = manifest(sample);
    change(&mut manifest);
    Plugin::load(engine, Manifest::parse(&manifest.to_string()).unwrap(), &component(sample))
}

/// The hostile sample, set to one misdeed. But for the loop, its deadline is the longest: on a busy machine another
/// misdeed may take its time.
pub fn hostile(engine: &PluginEngine, behaviour: &str) -> Plugin {
    load(engine, "hostile", |manifest| {
        manifest["settings"]["behaviour"] = behaviour.into();
        if behaviour != "loop" {
            manifest["limits"]["deadline_ms"] = 1000.into();
        }
    })
    .unwrap()
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

/// Runs a call to its end, with its thread to itself.
pub fn to_the_end<T>(call: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(call))
}

/// Calls at one moment of the clock that quarantines go by, to their end.
pub trait CallsAt {
    fn judge_at(&self, hook: Hook, context: &Context<'_>, body: &[u8], now: Duration) -> Judged;

    fn on_request(&self, context: &Context<'_>, body: &[u8], now: Duration) -> Judged {
        self.judge_at(Hook::Request, context, body, now)
    }

    fn on_response(&self, context: &Context<'_>, body: &[u8], now: Duration) -> Judged {
        self.judge_at(Hook::Response, context, body, now)
    }
}

pub type Judged = Result<Verdict, PluginError>;

impl CallsAt for Plugin {
    fn judge_at(&self, hook: Hook, context: &Context<'_>, body: &[u8], now: Duration) -> Judged {
        to_the_end(self.judge(hook, context, body, &|| now))
    }
}

/// Gives a body to all plugins of a set, to the end.
pub fn run(set: &PluginSet, hook: Hook, body: &[u8]) -> Result<ChainOutcome, PluginError> {
    to_the_end(set.run(hook, &READ, body, &|| Duration::ZERO))
}
