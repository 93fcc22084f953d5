//! Where an issuer's keys come from, and how they stay fresh.
//!
//! They are read on a schedule ([`watch`]), and at once when a token names a key that is not among them; not again within a
//! pause, so that invented names cost the issuer nothing. A reading that fails changes nothing: the keys that are there stay,
//! until they are too old. Then there are none, and callers are told to come back later.
//!
//! Metrics: `varco_token_keys_reads_total`, `varco_token_keys_age_seconds`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use std::path::PathBuf;

use arc_swap::ArcSwapOption;
use http::Uri;
use metrics::{counter, gauge};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, watch::Receiver};

use super::keys::{self, Keys, KeysError};
use crate::config::Issuer;
use crate::fetch::address::NetworkError;
use crate::fetch::{FetchError, Fetcher};
use crate::listen::tls::TlsError;
use crate::telemetry::background;

/// How soon a first reading that failed is tried again, at most.
const FIRST_AGAIN: Duration = Duration::from_secs(5);

/// Keys that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// Not a key set, or no file.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The URL.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The authorities of the URL's server.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The ranges of addresses.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Neither a file nor a URL.
    #[error("neither a file nor a URL of keys is configured")]
    Nowhere,
    /// The task that reads.
    #[error("reading ended badly")]
    Task,
}

enum Origin {
    File(PathBuf),
    Url(Fetcher, Uri),
}

/// A set of keys, and when it was last found to be the issuer's.
#[derive(Clone)]
pub(super) struct Held {
    pub keys: Arc<Keys>,
    /// Another number for another set.
    pub generation: u64,
    digest: [u8; 32],
    read: Instant,
}

/// One issuer's keys.
pub struct KeySource {
    issuer: String,
    origin: Origin,
    held: ArcSwapOption<Held>,
    /// When a reading last began. Held while one is under way: there is one at a time.
    begun: Mutex<Option<Instant>>,
    refresh: Duration,
    pause: Duration,
    oldest: Duration,
}

impl KeySource {
    /// The keys that a configuration names. A file is read now; a URL is fetched first by [`watch`], or for a caller.
    pub fn new(config: &Issuer) -> Result<KeySource, KeySourceError> {
        let origin = match (&config.jwks, &config.jwks_url) {
            (Some(path), _) => Origin::File(path.clone()),
            (None, Some(url)) => {
                let uri: Uri = url.parse().map_err(|_| FetchError::Url(url.clone()))?;
                let listed =
                    config.jwks_networks.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
                let (seconds, most) = (config.fetch_seconds, keys::LARGEST_SET);
                let fetcher = match &config.jwks_ca {
                    Some(ca) => Fetcher::over_tls(ca, listed, seconds, most)?,
                    None => Fetcher::of_this_machine(seconds, most),
                };
                Origin::Url(fetcher, uri)
            }
            (None, None) => return Err(KeySourceError::Nowhere),
        };
        let source = KeySource {
            issuer: config.issuer.clone(),
            held: ArcSwapOption::empty(),
            begun: Mutex::new(None),
            refresh: Duration::from_secs(config.refresh_seconds.max(1)),
            pause: Duration::from_secs(config.unknown_key_seconds.max(1)),
            oldest: Duration::from_secs(config.max_age_seconds),
            origin,
        };
        if let Origin::File(path) = &source.origin {
            let bytes = keys::read(path)?;
            source.take(Keys::strict(&bytes)?, &bytes);
        }
        Ok(source)
    }

    /// The keys, where there are any that are not too old.
    pub(super) fn current(&self) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| held.read.elapsed() <= self.oldest)
    }

    /// The keys after a token that `seen` couldn't check: read anew, where that wasn't done within the pause. None where
    /// nothing newer is to be had.
    pub(super) async fn newer_than(&self, seen: Option<u64>) -> Option<Arc<Held>> {
        let mut begun = self.begun.lock().await;
        let newer = || self.current().filter(|held| Some(held.generation) != seen);
        if let Some(held) = newer() {
            return Some(held);
        }
        if begun.is_some_and(|at| at.elapsed() < self.pause) {
            return None;
        }
        *begun = Some(Instant::now());
        self.read().await;
        newer()
    }

    /// Sets the gauge, before metrics are rendered.
    pub(super) fn observe(&self) {
        let age = self.held.load().as_ref().map_or(f64::INFINITY, |held| held.read.elapsed().as_secs_f64());
        gauge!("varco_token_keys_age_seconds", "issuer" => self.issuer.clone()).set(age);
    }

    async fn refresh(&self) {
        let mut begun = self.begun.lock().await;
        *begun = Some(Instant::now());
        self.read().await;
    }

    /// Reads once. What fails is told, and changes nothing.
    async fn read(&self) {
        let result = match self.bytes().await.and_then(|bytes| Ok((self.parse(&bytes)?, bytes))) {
            Ok((keys, bytes)) => {
                let number = keys.len();
                if self.take(keys, &bytes) {
                    tracing::info!(issuer = self.issuer, keys = number, "the issuer's keys were taken up");
                    "changed"
                } else {
                    "unchanged"
                }
            }
            Err(error) => {
                let usable = self.current().is_some();
                tracing::error!(
                    issuer = self.issuer, cause = %error, usable,
                    "the issuer's keys can't be read: those that were there stay until they are too old"
                );
                "failed"
            }
        };
        let issuer = self.issuer.clone();
        counter!("varco_token_keys_reads_total", "issuer" => issuer, "result" => result).increment(1);
    }

    async fn bytes(&self) -> Result<Vec<u8>, KeySourceError> {
        match &self.origin {
            Origin::Url(fetcher, url) => Ok(fetcher.get(url).await?.to_vec()),
            Origin::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || keys::read(&path)).await;
                Ok(read.map_err(|_| KeySourceError::Task)??)
            }
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Keys, KeysError> {
        match self.origin {
            Origin::File(_) => Keys::strict(bytes),
            Origin::Url(..) => Keys::lenient(bytes),
        }
    }

    /// Takes up a set; true where it is another than before.
    fn take(&self, keys: Keys, bytes: &[u8]) -> bool {
        let (digest, read): ([u8; 32], _) = (Sha256::digest(bytes).into(), Instant::now());
        let before = self.held.load_full();
        let same = before.as_ref().filter(|held| held.digest == digest);
        let next = match same {
            Some(held) => Held { read, ..Held::clone(held) },
            None => {
                let generation = before.as_ref().map_or(0, |held| held.generation.wrapping_add(1));
                Held { keys: Arc::new(keys), generation, digest, read }
            }
        };
        let changed = same.is_none();
        self.held.store(Some(Arc::new(next)));
        changed
    }
}

/// Reads on schedule until `stopping` turns true: at once where nothing is held, else at the next time.
pub async fn watch(source: Arc<KeySource>, mut stopping: Receiver<bool>) {
    if source.current().is_none() {
        source.refresh().await;
    }
    loop {
        let every = match source.current() {
            Some(_) => source.refresh,
            None => source.refresh.min(FIRST_AGAIN),
        };
        match source.current() {
            Some(_) => background::done(Some(every)),
            None => background::failed("no keys are at hand; the log says why", Some(every)),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        source.refresh().await;
    }
}
