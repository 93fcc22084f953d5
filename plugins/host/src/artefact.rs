//! Components compiled ahead of time, kept in a folder of the gateway's own, so that a start doesn't compile.
//!
//! Machine code that is loaded runs outside of the sandbox. Loading it is the one thing here that the compiler can't check, so
//! an artefact is loaded only if all of this holds:
//!
//! * the folder belongs to the gateway's user and nobody else may enter it; so does the key in it;
//! * the artefact carries an HMAC-SHA-256 under that key over the component's digest, the engine's version and settings, and
//!   every byte of the code: what was cut short, altered, renamed or made elsewhere is not loaded but made anew;
//! * the bytes that were verified are the bytes that are loaded: they are read once.
//!
//! The engine's own cache takes any file in its folder for code; that is why this isn't it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::{hmac, rand};
use thiserror::Error;
use tracing::{debug, warn};
use wasmtime::component::Component;

use crate::engine::PluginEngine;

/// Bytes of the key and of an artefact's code.
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// The largest artefact that is loaded, in bytes.
const ARTEFACT_BYTES: u64 = 256 << 20;
/// Artefacts that are kept; the oldest go first.
const KEPT: usize = 64;
/// What an artefact's file name ends with.
const ENDING: &str = ".cwasm";
/// Stands before what is authenticated: the form of these files.
const FORMAT: &[u8] = b"varco-artefact/1\n";

/// Why a folder can't hold artefacts.
#[derive(Debug, Error)]
pub enum ArtefactError {
    /// It can't be made, read or written.
    #[error(
        "the folder {path} can't hold compiled plugins: {cause}. Let the gateway's user own it, or name another."
    )]
    Io {
        /// The folder.
        path: String,
        /// The system's words.
        cause: io::Error,
    },
    /// Somebody else could put code into it.
    #[error(
        "the folder {path} can't hold compiled plugins: {cause}. Compiled code runs with the gateway's rights: remove the folder, and the gateway makes it anew for itself alone."
    )]
    NotOurs {
        /// The folder.
        path: String,
        /// Who could.
        cause: &'static str,
    },
}

/// A folder of compiled components.
#[derive(Debug)]
pub struct ArtefactFolder {
    path: PathBuf,
    key: hmac::Key,
}

impl ArtefactFolder {
    /// The folder at `path`, which is made where it is absent.
    ///
    /// # Errors
    ///
    /// [`ArtefactError`]
    pub fn open(path: &Path) -> Result<Self, ArtefactError> {
        let failed = |cause: io::Error| ArtefactError::Io { path: path.display().to_string(), cause };
        let not_ours = |cause| ArtefactError::NotOurs { path: path.display().to_string(), cause };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let folder = fs::symlink_metadata(path).map_err(failed)?;
        if !folder.is_dir() {
            return Err(not_ours("it is no folder"));
        }
        if folder.mode() & 0o077 != 0 {
            return Err(not_ours("others than its owner may enter it"));
        }
        // What we make belongs to us: the folder must belong to the same.
        let (mine, probe) = create_new(path, "probe").map_err(failed)?;
        let uid = mine.metadata().map_err(failed)?.uid();
        fs::remove_file(probe).map_err(failed)?;
        if folder.uid() != uid {
            return Err(not_ours("it belongs to another user"));
        }
        let place = path.join("key");
        let key = match File::open(&place) {
            Ok(file) => {
                let about = file.metadata().map_err(failed)?;
                if about.uid() != uid || about.mode() & 0o077 != 0 || !about.is_file() {
                    return Err(not_ours("others than the gateway may read its key"));
                }
                let mut key = Vec::new();
                file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key).map_err(failed)?;
                if key.len() != KEY_BYTES {
                    return Err(not_ours("its key is not of 32 bytes"));
                }
                key
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = vec![0; KEY_BYTES];
                rand::fill(&mut key).map_err(|_| failed(io::Error::other("no random numbers")))?;
                put(path, &place, &[&key]).map_err(failed)?;
                key
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path: path.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// The compiled component with this digest, or nothing where there is none that this engine made here.
    pub(crate) fn load(&self, engine: &PluginEngine, sha256: &str) -> Option<Component> {
        let path = self.place(engine, sha256);
        let file = File::open(&path).ok()?;
        let mut bytes = Vec::new();
        file.take(ARTEFACT_BYTES).read_to_end(&mut bytes).ok()?;
        let (mac, code) = bytes.split_at_checked(MAC_BYTES)?;
        if hmac::verify(&self.key, &self.message(engine, sha256, code), mac).is_err() {
            warn!(path = %path.display(), "a compiled plugin was altered or made elsewhere; it is compiled anew");
            return None;
        }
        match deserialize(engine, code) {
            Ok(component) => Some(component),
            Err(error) => {
                warn!(path = %path.display(), cause = %error, "a compiled plugin can't be loaded; it is compiled anew");
                None
            }
        }
    }

    /// Keeps compiled code. A fault costs time at the next start, nothing else.
    pub(crate) fn keep(&self, engine: &PluginEngine, sha256: &str, component: &Component) {
        let place = self.place(engine, sha256);
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| {
            let mac = hmac::sign(&self.key, &self.message(engine, sha256, &code));
            put(&self.path, &place, &[mac.as_ref(), &code])?;
            Ok(code.len())
        });
        match kept {
            Ok(bytes) => debug!(path = %place.display(), bytes, "compiled plugin kept"),
            Err(error) => {
                warn!(path = %place.display(), cause = %error, "a compiled plugin can't be kept");
            }
        }
        self.remove_oldest();
    }

    fn place(&self, engine: &PluginEngine, sha256: &str) -> PathBuf {
        self.path.join(format!("{sha256}-{:016x}{ENDING}", compatibility(engine)))
    }

    fn message(&self, engine: &PluginEngine, sha256: &str, code: &[u8]) -> Vec<u8> {
        [FORMAT, sha256.as_bytes(), &compatibility(engine).to_be_bytes(), code].concat()
    }

    fn remove_oldest(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let mut kept: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(ENDING))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        kept.sort();
        for (_, path) in kept.iter().take(kept.len().saturating_sub(KEPT)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Version and settings of the engine, and the processor's features: artefacts of another don't fit.
fn compatibility(engine: &PluginEngine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.wasm().precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Makes machine code callable.
#[allow(unsafe_code)]
fn deserialize(engine: &PluginEngine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks that the bytes be those that `Engine::precompile_component` or
    // `Component::serialize` of this version gave. The only caller has verified an HMAC over all of them under a key that only
    // this gateway's user can read, which is made over nothing but such bytes.
    unsafe { Component::deserialize(engine.wasm(), code) }
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn create_new(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".{name}-{}-{number}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((file, path))
}

/// Writes a file whole or not at all.
fn put(folder: &Path, place: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let (mut file, path) = create_new(folder, "new")?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    let done = written.and_then(|()| fs::rename(&path, place));
    if done.is_err() {
        let _ = fs::remove_file(&path);
    }
    done
}
