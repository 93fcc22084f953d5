//! Reloads: nothing leaks, what is in use is not compiled again, and only artefacts of our own are loaded.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use support::{CallsAt, READ, component, manifest};
use tempfile::TempDir;
use varco_plugin_host::{
    ArtefactError, ArtefactFolder, Deployment, LoadError, Made, Manifest, Plugin, PluginError, PluginLibrary,
    Terms, Trust, Unsigned, Verdict,
    signature::{SignatureError, SigningKey, sign},
};

const NOW: Duration = Duration::ZERO;
const BODY: &[u8] = br#"{"resourceType":"Patient"}"#;
const PANIC: &[u8] = br#"{"behaviour":"panic"}"#;
// RFC 8410, section 10.3.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// A folder with the hostile sample and one for what is compiled.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hostile.wasm"), component("hostile")).unwrap();
        let mut manifest = manifest("hostile");
        // On a busy machine a call may take its time.
        manifest["limits"]["deadline_ms"] = 1000.into();
        fs::write(folder.path().join("hostile.plugin.json"), manifest.to_string()).unwrap();
        Self { folder }
    }

    fn manifest(&self) -> PathBuf {
        self.folder.path().join("hostile.plugin.json")
    }

    fn compiled(&self) -> PathBuf {
        self.folder.path().join("compiled")
    }

    fn artefact(&self) -> PathBuf {
        let entries = fs::read_dir(self.compiled()).unwrap().map(|entry| entry.unwrap().path());
        let mut found = entries.filter(|path| path.extension().is_some_and(|own| own == "cwasm"));
        let path = found.next().expect("an artefact");
        assert_eq!(found.next(), None);
        path
    }

    fn terms(&self) -> Terms {
        let artefacts = Some(ArtefactFolder::open(&self.compiled()).unwrap());
        Terms { artefacts, ..Terms::default() }
    }

    fn load(&self, library: &PluginLibrary) -> Arc<Plugin> {
        library.load_file(&self.manifest(), &self.terms(), Deployment::default()).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Resident memory in KiB (proc(5), `/proc/PID/status`).
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn threads_named(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|own| own.trim() == name).count()
}

#[test]
fn ten_thousand_reloads_leave_memory_flat() {
    let (place, library) = (Place::new(), PluginLibrary::default());
    let terms = place.terms();
    let reload = |rounds: std::ops::Range<u32>| {
        for round in rounds {
            let plugin = library.load_file(&place.manifest(), &terms, Deployment::default()).unwrap();
            assert_eq!(library.components(), 1);
            if round % 10 == 0 {
                assert_eq!(plugin.on_request(&READ, BODY, NOW), Ok(Verdict::Pass));
            }
        }
        assert_eq!(library.components(), 0, "a component outlives its plugin");
    };
    reload(0..1000);
    let before = resident();
    reload(1000..10_000);
    let after = resident();
    assert!(after < before + (8 << 10), "{before} KiB before, {after} KiB after");
    // Other tests of this file have engines too; one a reload would be thousands.
    assert!(threads_named("plugin-epoch") < 20);
}

#[test]
fn a_component_in_use_is_shared_and_its_quarantine_goes_on() {
    let (place, library) = (Place::new(), PluginLibrary::default());
    let before = place.load(&library);
    for _ in 0..3 {
        assert!(before.on_request(&READ, PANIC, NOW).is_err());
    }
    // Other settings, same component.
    let mut changed = manifest("hostile");
    changed["settings"]["behaviour"] = "pass".into();
    fs::write(place.manifest(), changed.to_string()).unwrap();
    let after = place.load(&library);
    assert_eq!(library.components(), 1);
    assert!(matches!(after.on_request(&READ, BODY, NOW), Err(PluginError::Quarantined { .. })));
    assert_eq!(after.counters().traps, 3);
    drop(before);
    assert_eq!(after.on_request(&READ, PANIC, Duration::from_secs(1)), Ok(Verdict::Pass));
    drop(after);
    // Nobody used it any more: whoever loads it then begins anew.
    assert!(!place.load(&library).counters().in_quarantine);
}

#[test]
fn another_component_under_the_same_name_begins_anew() {
    let library = PluginLibrary::default();
    let terms = Terms::default();
    let load = |sample: &str| {
        let mut manifest = manifest(sample);
        manifest["name"] = "the-same".into();
        let manifest = Manifest::parse(&manifest.to_string()).unwrap();
        library.load(manifest, &component(sample), &terms, Deployment::default()).unwrap()
    };
    let bad = load("hostile");
    for _ in 0..3 {
        assert!(bad.on_request(&READ, PANIC, NOW).is_err());
    }
    let good = load("narrative-stripper");
    assert_eq!(library.components(), 2);
    assert_eq!(good.on_request(&READ, BODY, NOW), Ok(Verdict::Pass));
    assert!(bad.counters().in_quarantine);
}

#[test]
fn an_artefact_is_loaded_only_as_it_was_made() {
    let place = Place::new();
    drop(place.load(&PluginLibrary::default()));
    let path = place.artefact();
    assert_eq!((mode(&place.compiled()), mode(&path)), (0o700, 0o600));
    let made = fs::read(&path).unwrap();
    let key = fs::read(place.compiled().join("key")).unwrap();
    let other_key: Vec<u8> = key.iter().map(|byte| !byte).collect();

    // As it was made, it is loaded and not written again.
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(place.load(&PluginLibrary::default()).on_request(&READ, BODY, NOW), Ok(Verdict::Pass));
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);

    let flipped = |at: usize| {
        let mut bytes = made.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cut = made[..made.len() - 1].to_vec();
    let longer = [made.as_slice(), b"x"].concat();
    for altered in
        [flipped(0), flipped(40), flipped(made.len() / 2), flipped(made.len() - 1), cut, longer, Vec::new()]
    {
        fs::write(&path, &altered).unwrap();
        let plugin = place.load(&PluginLibrary::default());
        assert_eq!(plugin.on_request(&READ, BODY, NOW), Ok(Verdict::Pass));
        // It was compiled anew.
        assert_ne!(fs::read(&path).unwrap(), altered);
    }

    // Made by another gateway.
    let own = fs::read(&path).unwrap();
    fs::write(place.compiled().join("key"), other_key).unwrap();
    let plugin = place.load(&PluginLibrary::default());
    assert_eq!(plugin.on_request(&READ, BODY, NOW), Ok(Verdict::Pass));
    assert_ne!(fs::read(&path).unwrap(), own);
}

#[test]
fn an_artefact_of_another_component_is_not_taken_for_this_one() {
    let place = Place::new();
    let (library, terms) = (PluginLibrary::default(), place.terms());
    drop(place.load(&library));
    let hostile = place.artefact();
    let other = Manifest::parse(&manifest("narrative-stripper").to_string()).unwrap();
    let name = hostile.file_name().unwrap().to_string_lossy();
    let (_, compatibility) = name.split_once('-').unwrap();
    let posing = hostile.with_file_name(format!("{}-{compatibility}", other.sha256()));
    fs::copy(&hostile, &posing).unwrap();
    let plugin =
        library.load(other, &component("narrative-stripper"), &terms, Deployment::default()).unwrap();
    let told = plugin.on_response(&READ, br#"{"resourceType":"Patient","text":{"div":"a"}}"#, NOW);
    assert_eq!(told, Ok(Verdict::Replace(Made::Text(br#"{"resourceType":"Patient"}"#.to_vec()))));
    assert_ne!(fs::read(&posing).unwrap(), fs::read(&hostile).unwrap());
}

#[test]
fn a_folder_that_others_may_enter_holds_no_code() {
    let place = Place::new();
    fs::create_dir(place.compiled()).unwrap();
    fs::set_permissions(place.compiled(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = ArtefactFolder::open(&place.compiled()).unwrap_err();
    assert!(matches!(error, ArtefactError::NotOurs { .. }), "{error}");
    fs::set_permissions(place.compiled(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(place.compiled().join("key"), [1; 32]).unwrap();
    let error = ArtefactFolder::open(&place.compiled()).unwrap_err();
    assert!(error.to_string().contains("others than the gateway may read its key"), "{error}");
}

#[test]
fn only_plugins_of_trusted_signers_are_loaded_once_a_key_is_trusted() {
    let (place, library) = (Place::new(), PluginLibrary::default());
    let key = SigningKey::from_pem(KEY).unwrap();
    let load = |keys: &[&SigningKey], unsigned| {
        let keys = keys.iter().map(|key| key.public().clone()).collect();
        let terms = Terms { trust: Trust { keys, unsigned }, artefacts: None };
        library.load_file(&place.manifest(), &terms, Deployment::default())
    };
    let kept = load(&[], Unsigned::AsKeysSay).unwrap();
    assert!(matches!(load(&[], Unsigned::Refuse), Err(LoadError::Signature { .. })));
    let refused = load(&[&key], Unsigned::AsKeysSay).unwrap_err();
    assert!(
        matches!(refused, LoadError::Signature { error: SignatureError::UnknownSigner(_), .. }),
        "{refused}"
    );
    assert!(load(&[&key], Unsigned::Allow).is_ok());

    let signatures = sign(&fs::read_to_string(place.manifest()).unwrap(), None, &key).unwrap();
    fs::write(place.manifest().with_extension("sig"), signatures).unwrap();
    assert!(load(&[&key], Unsigned::AsKeysSay).is_ok());

    // What a trusted key signed was another manifest: not even where unsigned plugins are allowed.
    let mut wider = manifest("hostile");
    wider["limits"]["memory_mib"] = 64.into();
    fs::write(place.manifest(), wider.to_string()).unwrap();
    let altered = load(&[&key], Unsigned::Allow).unwrap_err();
    assert!(matches!(altered, LoadError::Signature { error: SignatureError::Altered(_), .. }), "{altered}");
    drop(kept);
}
