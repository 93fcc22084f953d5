//! Maps in the sidecar: those of the site and the built-in ones, compiled, and swapped as a whole when their files
//! change.
//!
//! Invariants: a request works with one set from its beginning to its end; a set with a fault never replaces one without.
//! Bounds: of a run, [`LIMITS`]; content that is larger than [`INLINE`] is mapped off the request's thread, as many at a
//! time as there are processors.

mod set;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fhir_models::document::OwnedDocument;
use metrics::{counter, gauge};
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use varco_core::fhirpath::Temporal;
use varco_core::mapping::{CompiledMap, Limits, NoteKind, Output, Randomness, RunError, Settings};

use crate::config::Config;
use crate::files::{self, Fingerprint, Wanted, Watched};

pub use set::{MapSet, MapSetError, MapSetFault, RouteMapCode, Setting, SiteMap};

/// Text is a map of the Mapping Language; JSON and XML hold a `StructureMap`, or a definition that maps need, such as a
/// `ConceptMap` or a logical model.
const FILES: Wanted = Wanted { name: "map", endings: &["fml", "map", "json", "xml"] };

/// Content that is mapped at once on the request's own thread, in bytes: a fraction of a millisecond of work.
const INLINE: usize = 16 << 10;

/// The bounds of a run: a million steps, 64 MiB.
pub const LIMITS: Limits =
    Limits { steps: 1_000_000, depth: 100, nodes: 1_000_000, bytes: 64 << 20, notes: 1_000 };

/// The maps of a sidecar.
pub struct Maps {
    current: ArcSwap<MapSet>,
    places: Arc<Semaphore>,
}

/// A run that gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapFailure {
    /// A rule failed, or a bound was met.
    #[error("{0}")]
    Rule(Box<RunError>),
    /// The work ended badly: a fault of this program.
    #[error("a transformation ended badly")]
    Broken,
}

impl Maps {
    /// The maps that a configuration names, and the built-in ones.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(config: &Config) -> Result<Maps, MapSetError> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let set = MapSet::load(config)?;
        Ok(Maps { current: ArcSwap::from_pointee(set), places: Arc::new(Semaphore::new(processors)) })
    }

    /// The set that holds now.
    pub fn current(&self) -> Arc<MapSet> {
        self.current.load_full()
    }

    /// Puts another set in the place of the current one. Requests that have begun go on with theirs.
    pub fn replace(&self, set: MapSet) {
        self.current.store(Arc::new(set));
    }

    fn fingerprint(&self) -> Fingerprint {
        self.current.load().fingerprint().clone()
    }

    /// Runs a map on a document, which stays as it is.
    ///
    /// # Errors
    /// [`MapFailure`]; nothing is half done.
    pub async fn run(&self, map: &Arc<SiteMap>, source: &OwnedDocument) -> Result<Output, MapFailure> {
        let failed = |_| MapFailure::Broken;
        let result = if source.text().len() <= INLINE {
            run(&map.compiled, source)
        } else {
            gauge!("varco_map_waiting").increment(1.0);
            let place = self.places.clone().acquire_owned().await;
            gauge!("varco_map_waiting").decrement(1.0);
            let place = place.map_err(failed)?;
            let (map, source) = (Arc::clone(map), source.clone());
            let working = tokio::task::spawn_blocking(move || {
                let _place = place;
                run(&map.compiled, &source)
            });
            working.await.map_err(|_| MapFailure::Broken)?
        };
        tell(&map.url, &result);
        result.map_err(MapFailure::Rule)
    }
}

/// Takes up maps whose files have changed, until `stopping` turns true.
pub async fn watch(maps: Arc<Maps>, config: Config, stopping: Receiver<bool>) {
    if config.mapping.maps.is_empty() {
        return;
    }
    let every = Duration::from_secs(config.mapping.reload_seconds);
    files::watch(MapFiles { maps, config }, every, stopping).await;
}

struct MapFiles {
    maps: Arc<Maps>,
    config: Config,
}

impl Watched for MapFiles {
    type Set = MapSet;
    const WHAT: &'static str = "maps";
    const COUNTER: &'static str = "varco_map_reloads_total";

    fn in_use(&self) -> Fingerprint {
        self.maps.fingerprint()
    }

    fn on_disk(&self) -> Fingerprint {
        files::fingerprint(&FILES, &self.config.mapping.maps)
    }

    fn read(&self) -> Result<MapSet, String> {
        MapSet::load(&self.config).map_err(|error| error.to_string())
    }

    fn take_up(&self, set: MapSet) -> String {
        let change = format!("{} maps", set.len());
        self.maps.replace(set);
        change
    }
}

fn run(map: &CompiledMap, source: &OwnedDocument) -> Result<Output, Box<RunError>> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let settings = Settings {
        limits: LIMITS,
        now: Temporal::parse_date_time(&now),
        randomness: Some(&Drawn),
        count_losses: true,
        ..Settings::default()
    };
    map.run(&[source.document()], &settings)
}

/// Counts results, losses by rule, and codes that no concept map knew. No value is among the labels.
fn tell(map: &str, result: &Result<Output, Box<RunError>>) {
    let counted = if result.is_ok() { "mapped" } else { "failed" };
    counter!("varco_map_runs_total", "map" => map.to_owned(), "result" => counted).increment(1);
    let Ok(output) = result else { return };
    for (rule, count) in &output.lost {
        let rule = if rule.is_empty() { "none" } else { rule.as_str() };
        counter!("varco_map_lost_total", "map" => map.to_owned(), "rule" => rule.to_owned())
            .increment(*count);
    }
    let unmapped = output.notes.iter().filter(|note| matches!(note.kind, NoteKind::Unmapped { .. }));
    counter!("varco_map_unmapped_codes_total", "map" => map.to_owned()).increment(unmapped.count() as u64);
}

/// Random numbers of the operating system.
struct Drawn;

impl Randomness for Drawn {
    fn next(&self) -> u128 {
        uuid::Uuid::new_v4().as_u128()
    }
}
