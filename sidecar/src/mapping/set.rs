//! One set of maps: read, compiled and checked against the routes that name them.
//!
//! A site's map stands in the place of a built-in one with the same canonical. What a site names is compiled when the
//! set is made, so that its faults are known before traffic meets them; a built-in map that no route names, when it is first
//! asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Format, Limits, OwnedDocument};
use moka::sync::Cache;
use varco_core::interaction::Translate;
use varco_core::mapping::{CompiledMap, MapError, Mapper, regional_maps};
use varco_core::terminology::concept_map::ConceptMap;

use super::FILES;
use crate::cache::Counted;
use crate::config::{Config, Direction, OnMapFailure, Route};
use crate::definitions;
use crate::files::{self, FileText, Fingerprint};

/// Most faults that one error lists.
const MOST_FAULTS: usize = 20;
/// Most concept maps that a question without canonical is put to.
const MOST_CONCEPT_MAPS: usize = 50;
/// How many concept maps are kept read.
const CONCEPT_MAPS_KEPT: u64 = 64;
/// Where FHIR's own types are defined.
const STRUCTURES: &str = "http://hl7.org/fhir/StructureDefinition/";

/// A compiled map and its name.
#[derive(Debug)]
pub struct SiteMap {
    /// Its canonical, without version.
    pub url: String,
    /// The map.
    pub compiled: CompiledMap,
}

/// A map for traffic.
#[derive(Debug, Clone)]
pub struct RouteMapCode {
    /// Resources of this type.
    pub resource_type: String,
    /// Which way they go.
    pub direction: Direction,
    /// What comes of one that it fails on.
    pub on_failure: OnMapFailure,
    /// The map.
    pub map: Arc<SiteMap>,
}

/// Maps, ready to be run.
pub struct MapSet {
    mapper: Mapper,
    definitions: Arc<Definitions>,
    known: BTreeMap<String, Known>,
    /// For each configured route, in their order.
    routes: Vec<Vec<RouteMapCode>>,
    /// What each concept map is between; read once somebody asks without naming one.
    scopes: OnceLock<Vec<Scope>>,
    concept_maps: Counted<String, Arc<ConceptMap>>,
    fingerprint: Fingerprint,
}

impl fmt::Debug for MapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapSet").field("maps", &self.known.keys()).finish_non_exhaustive()
    }
}

struct Known {
    number: usize,
    version: Option<String>,
    compiled: OnceLock<Result<Arc<SiteMap>, String>>,
}

/// The setting that a fault belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `mapping.maps[n]`
    Maps(usize),
    /// `[validation]`
    Definitions,
    /// `route[n].map[m].canonical`
    Canonical(usize, usize),
    /// `route[n].map[m].type`
    Type(usize, usize),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSetFault {
    /// Where it was asked for.
    pub setting: Setting,
    /// What is wrong, with file, line and column where it is about a map's text.
    pub cause: String,
    /// What to do.
    pub cure: String,
}

/// A set that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MapSetError {
    /// What is wrong: at least one fault.
    pub faults: Vec<MapSetFault>,
}

impl fmt::Display for MapSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().take(MOST_FAULTS).enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{}", fault.cause)?;
        }
        Ok(())
    }
}

impl MapSet {
    /// Reads and compiles what a configuration names.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(config: &Config) -> Result<MapSet, MapSetError> {
        let paths = &config.mapping.maps;
        let fingerprint = files::fingerprint(&FILES, paths);
        let mut faults = Vec::new();
        let texts = files::read(&FILES, paths).unwrap_or_else(|unreadable| {
            faults.extend(unreadable.into_iter().map(|(at, cause)| MapSetFault {
                setting: Setting::Maps(at),
                cause,
                cure: "Name files of maps, or a folder that holds them.".to_owned(),
            }));
            Vec::new()
        });
        let (maps, others): (Vec<FileText>, Vec<FileText>) =
            texts.into_iter().partition(|it| Held::by(&it.text) == Held::Map);
        let files: Vec<PathBuf> = config
            .validation
            .definitions
            .iter()
            .cloned()
            .chain(others.iter().map(|it| it.file.clone()))
            .collect();
        let definitions = match definitions::gather(&config.validation.packages, &files) {
            Ok(gathered) => gathered.definitions,
            Err(error) => {
                let setting = others.first().map_or(Setting::Definitions, |it| Setting::Maps(it.path));
                let cure =
                    "Name maps of the Mapping Language, StructureMaps, and definitions that they need.";
                faults.push(MapSetFault { setting, cause: error.to_string(), cure: cure.to_owned() });
                return Err(MapSetError { faults });
            }
        };
        let mut set = MapSet {
            mapper: Mapper::new(Arc::clone(&definitions)),
            definitions,
            known: BTreeMap::new(),
            routes: Vec::new(),
            scopes: OnceLock::new(),
            concept_maps: Counted::new("concept-maps", Cache::builder().max_capacity(CONCEPT_MAPS_KEPT)),
            fingerprint,
        };
        let own = set.add_own(maps, &mut faults);
        for built_in in regional_maps().iter().filter(|it| !own.contains_key(it.url)) {
            if let Ok(number) = set.mapper.add(built_in.url, built_in.text.as_bytes()) {
                set.know(built_in.url, number);
            }
        }
        for (url, path) in &own {
            if let Some(Err(cause)) = set.map(url) {
                let cure = "Correct the map at this place.".to_owned();
                faults.push(MapSetFault { setting: Setting::Maps(*path), cause, cure });
            }
        }
        for (at, route) in config.route.iter().enumerate() {
            let code = set.route_maps(at, route, &own, &mut faults);
            set.routes.push(code);
        }
        if faults.is_empty() { Ok(set) } else { Err(MapSetError { faults }) }
    }

    /// Reads the site's maps; gives their canonicals, with the configured path of each.
    fn add_own(&mut self, texts: Vec<FileText>, faults: &mut Vec<MapSetFault>) -> BTreeMap<String, usize> {
        let mut own: BTreeMap<String, usize> = BTreeMap::new();
        for FileText { path, file, text } in texts {
            let mut fault = |cause: String, cure: &str| {
                faults.push(MapSetFault { setting: Setting::Maps(path), cause, cure: cure.to_owned() });
            };
            let shown = file.display().to_string();
            let number = match self.mapper.add(&shown, &text) {
                Ok(number) => number,
                Err(error) => {
                    fault(error.to_string(), "Correct the map at this place.");
                    continue;
                }
            };
            let url = self.mapper.map(number).map(|it| it.url.clone()).unwrap_or_default();
            let plain = url.split('|').next().unwrap_or_default().to_owned();
            if plain.is_empty() {
                fault(format!("{shown}: the map has no canonical"), "Begin it with: map \"URL\" = \"name\"");
            } else if own.insert(plain.clone(), path).is_some() {
                let cause = format!("{shown}: there is another map with the canonical {plain}");
                fault(cause, "Remove one of them, or give one another canonical.");
            } else {
                self.know(&plain, number);
            }
        }
        own
    }

    fn know(&mut self, url: &str, number: usize) {
        let map = self.mapper.map(number);
        let pinned = map.and_then(|it| it.url.split_once('|').map(|(_, version)| version.to_owned()));
        let stated = map.and_then(|it| {
            let (_, value) = it.metadata.iter().find(|(key, _)| key == "version")?;
            match value.as_ref()? {
                varco_core::mapping::syntax::Literal::String(text) => Some(text.clone()),
                _ => None,
            }
        });
        let known = Known { number, version: stated.or(pinned), compiled: OnceLock::new() };
        self.known.insert(url.to_owned(), known);
    }

    fn route_maps(
        &self,
        at: usize,
        route: &Route,
        own: &BTreeMap<String, usize>,
        faults: &mut Vec<MapSetFault>,
    ) -> Vec<RouteMapCode> {
        let mut code = Vec::new();
        for (number, wanted) in route.map.iter().enumerate() {
            let canonical = Setting::Canonical(at, number);
            let mut fault = |setting, cause: String, cure: String| {
                faults.push(MapSetFault { setting, cause, cure });
            };
            let map = match self.map(&wanted.canonical) {
                Some(Ok(map)) => map,
                // A site's own map that can't be used is told at its file.
                Some(Err(_)) if own.contains_key(plain(&wanted.canonical)) => continue,
                Some(Err(cause)) => {
                    fault(canonical, cause, "Correct the definitions that the map needs.".to_owned());
                    continue;
                }
                None => {
                    let cause = format!("There is no map {}.", wanted.canonical);
                    let known: Vec<&str> = self.known.keys().map(String::as_str).collect();
                    let cure = format!("Add its file to mapping.maps; known are {}.", known.join(", "));
                    fault(canonical, cause, cure);
                    continue;
                }
            };
            let wrong = |types: Vec<Option<String>>| {
                let own = format!("{STRUCTURES}{}", wanted.resource_type);
                types.len() != 1 || types.iter().flatten().any(|ty| *ty != own)
            };
            if wrong(map.compiled.source_types()) || wrong(map.compiled.target_types()) {
                let shown = |types: Vec<Option<String>>| {
                    let shown = types.into_iter().map(|ty| ty.unwrap_or_else(|| "anything".to_owned()));
                    shown.collect::<Vec<_>>().join(" and ")
                };
                let from = shown(map.compiled.source_types());
                let to = shown(map.compiled.target_types());
                let cause = format!("The map {} makes {to} of {from}.", map.url);
                let cure = format!(
                    "Name a map from one {0} to one {0}: what is asked for as {0} is answered as {0}.",
                    wanted.resource_type
                );
                fault(Setting::Type(at, number), cause, cure);
                continue;
            }
            code.push(RouteMapCode {
                resource_type: wanted.resource_type.clone(),
                direction: wanted.direction,
                on_failure: wanted.on_failure,
                map,
            });
        }
        code
    }

    /// The map with this canonical, with or without version, compiled; an error says what is wrong with it. `None` where
    /// there is none.
    pub fn map(&self, canonical: &str) -> Option<Result<Arc<SiteMap>, String>> {
        let known = self.known.get(plain(canonical))?;
        if let Some((_, version)) = canonical.split_once('|')
            && known.version.as_deref() != Some(version)
        {
            return None;
        }
        let compiled = known.compiled.get_or_init(|| {
            let told = |errors: Vec<MapError>| {
                let errors: Vec<String> = errors.iter().take(MOST_FAULTS).map(ToString::to_string).collect();
                errors.join("; ")
            };
            let compiled = self.mapper.compile(known.number).map_err(told)?;
            Ok(Arc::new(SiteMap { url: plain(canonical).to_owned(), compiled }))
        });
        Some(compiled.clone())
    }

    /// The map for resources of this type that go this way on the route with this number.
    pub fn of_route(&self, route: usize, resource_type: &str, direction: Direction) -> Option<&RouteMapCode> {
        let own = self.routes.get(route)?;
        own.iter().find(|it| it.resource_type == resource_type && it.direction == direction)
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.concept_maps.observe();
    }

    /// The concept map with this canonical; an error says why it can't be used. `None` where there is none.
    pub fn concept_map(&self, canonical: &str) -> Option<Result<Arc<ConceptMap>, String>> {
        if let Some(known) = self.concept_maps.get(canonical) {
            return Some(Ok(known));
        }
        match ConceptMap::find(&self.definitions, canonical) {
            Ok(None) => None,
            Ok(Some(found)) => {
                let found = Arc::new(found);
                self.concept_maps.insert(canonical.to_owned(), Arc::clone(&found));
                Some(Ok(found))
            }
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// The canonicals of the concept maps that may answer a question that names none: between the value sets that it
    /// names, with a group for its systems.
    pub fn concept_maps_for(&self, asked: &Translate) -> Vec<&str> {
        let all = self.scopes.get_or_init(|| {
            let urls = self.definitions.canonicals("ConceptMap").into_iter();
            urls.filter_map(|url| Scope::of(&self.definitions, url)).collect()
        });
        all.iter().filter(|it| it.serves(asked)).map(|it| it.url.as_str()).take(MOST_CONCEPT_MAPS).collect()
    }

    /// What is defined here.
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// How many maps there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// What a concept map is between.
struct Scope {
    url: String,
    source: Option<String>,
    target: Option<String>,
    /// Source and target system of each group.
    systems: Vec<(Option<String>, Option<String>)>,
}

impl Scope {
    fn of(definitions: &Definitions, url: String) -> Option<Scope> {
        let map = ConceptMap::find(definitions, &url).ok()??;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Scope {
            source: owned(map.source_scope().map(plain)),
            target: owned(map.target_scope().map(plain)),
            systems: map.systems().map(|(from, to)| (owned(from), owned(to))).collect(),
            url,
        })
    }

    fn serves(&self, asked: &Translate) -> bool {
        let named = |own: &Option<String>, asked: &Option<String>| {
            asked.as_deref().is_none_or(|asked| own.as_deref() == Some(plain(asked)))
        };
        let (from, to) =
            if asked.reverse { (&self.target, &self.source) } else { (&self.source, &self.target) };
        let systems = |(from, to): &(Option<String>, Option<String>)| {
            let (from, to) = if asked.reverse { (to, from) } else { (from, to) };
            let of = asked.codings.iter().any(|it| it.system.is_none() || it.system == *from);
            of && asked.target_system.as_ref().is_none_or(|own| to.as_ref() == Some(own))
        };
        named(from, &asked.source) && named(to, &asked.target) && self.systems.iter().any(systems)
    }
}

fn plain(canonical: &str) -> &str {
    canonical.split('|').next().unwrap_or_default()
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    Map,
    Definition,
}

impl Held {
    /// What can't be read is taken for a map: reading it as one says where its fault is.
    fn by(text: &[u8]) -> Held {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace() && !b"\xEF\xBB\xBF".contains(byte));
        if !matches!(first, Some(b'{' | b'<')) {
            return Held::Map;
        }
        let document = match Format::of(text) {
            Format::Json => OwnedDocument::parse_json(text, &Limits::default()),
            Format::Xml => {
                let schema = DefinitionSchema::new(Definitions::r4());
                OwnedDocument::parse_xml(text, &schema, &Limits::default())
            }
        };
        match document {
            Ok(document) if document.root().resource_type().as_deref() != Some("StructureMap") => {
                Held::Definition
            }
            _ => Held::Map,
        }
    }
}
