//! Full validation beside that of the fastest rival known, in one run and one thread. See README.md.
//!
//! Each figure is the time from the bytes of a resource to its verdict, all issues told. The pieces of work take
//! turns, so that a machine that slows down slows down all of them; what counts are the ratios to
//! `serde_json::from_slice::<Value>` of the same bytes in the same round.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fhir_models::definition::Definitions;
use fhir_models::document::Tape;
use octofhir_fhirpath::{FhirPathEngine, create_function_registry};
use octofhir_fhirschema::{
    EmbeddedSchemaProvider, FhirSchema, FhirValidator, FhirVersion, SchemaProvider, get_schemas,
};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use varco_core::fhirpath::Temporal;
use varco_core::validation::Validator;

/// The files of the workload: NDJSON, one R4 resource a line.
const FILES: [&str; 2] = ["examples.ndjson", "synthea.ndjson"];
/// Rounds that count, unless `ROUNDS` says otherwise. One more goes before, for schemas and plans to be compiled.
const ROUNDS: usize = 9;
/// The time that Varco is told, for the invariants that ask for it; the rival takes the machine's.
const NOW: &str = "2026-11-22T00:00:00.000Z";
/// How many kinds of complaint are listed with `EXPLAIN`.
const MOST_KINDS: usize = 12;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The rival's embedded R4 schemas, found by name and by URL alike. Its own in-memory provider is meant for tests
/// and looks through all of them for each URL that it doesn't know, as for each extension of somebody's own.
struct Schemas(HashMap<String, Arc<FhirSchema>>);

impl Schemas {
    fn r4() -> Schemas {
        let mut all = HashMap::new();
        for (name, schema) in get_schemas(FhirVersion::R4) {
            let schema = Arc::new(schema.clone());
            all.insert(schema.url.clone(), schema.clone());
            all.insert(name.clone(), schema);
        }
        Schemas(all)
    }
}

#[async_trait]
impl SchemaProvider for Schemas {
    async fn get_schema(&self, name: &str) -> Option<Arc<FhirSchema>> {
        self.0.get(name).cloned()
    }
}

/// The rival, built once: schemas and expressions stay compiled between resources.
struct Rival {
    structure: FhirValidator,
    complete: FhirValidator,
    runtime: Runtime,
}

impl Rival {
    /// Its embedded R4 schemas, and its own FHIRPath engine on the same for the constraints.
    fn new() -> Outcome<Rival> {
        let runtime = Builder::new_current_thread().build()?;
        let registry = Arc::new(create_function_registry());
        let model = Arc::new(EmbeddedSchemaProvider::r4());
        let engine = Arc::new(runtime.block_on(FhirPathEngine::new(registry, model))?);
        let schemas = Arc::new(Schemas::r4());
        Ok(Rival {
            structure: FhirValidator::new(schemas.clone()),
            complete: FhirValidator::new_with_fhirpath(schemas, engine),
            runtime,
        })
    }

    /// Validates each resource as what its `resourceType` says, the least that can be asked for.
    fn validate(&self, validator: &FhirValidator, resources: &[Vec<u8>], heard: &mut Heard) -> Outcome<()> {
        self.runtime.block_on(async {
            for bytes in resources {
                let value: Value = serde_json::from_slice(bytes)?;
                let name = value.get("resourceType").and_then(Value::as_str).unwrap_or_default().to_owned();
                let result = black_box(validator.validate(&value, vec![name]).await);
                let errors = result.errors.iter();
                heard.add(result.valid, || {
                    errors.map(|it| it.constraint_key.clone().unwrap_or_else(|| it.error_type.clone()))
                });
            }
            Ok(())
        })
    }
}

/// What a validator said in one round.
#[derive(Default)]
struct Heard {
    flagged: usize,
    kinds: BTreeMap<String, usize>,
}

impl Heard {
    fn add<I: Iterator<Item = String>>(&mut self, valid: bool, errors: impl FnOnce() -> I) {
        if !valid {
            self.flagged += 1;
            errors().for_each(|kind| *self.kinds.entry(kind).or_default() += 1);
        }
    }
}

fn read(path: &Path) -> Outcome<Vec<Vec<u8>>> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(<[u8]>::to_vec).collect())
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list.get(list.len() / 2).copied().unwrap_or(f64::NAN)
}

fn measure(path: &Path, rounds: usize, validator: &Validator, rival: &Rival) -> Outcome<()> {
    let resources = read(path)?;
    let bytes: usize = resources.iter().map(Vec::len).sum();
    let mut tape = Tape::new();
    let mut work: [(&str, Box<dyn FnMut(&mut Heard) -> Outcome<()> + '_>); 4] = [
        (
            "serde_json Value",
            Box::new(|_| {
                for bytes in &resources {
                    black_box(serde_json::from_slice::<Value>(bytes)?);
                }
                Ok(())
            }),
        ),
        (
            "Varco, full validation",
            Box::new(|heard| {
                for bytes in &resources {
                    let report = black_box(validator.validate_bytes_with(&mut tape, bytes));
                    let errors = report.issues.iter().filter(|issue| issue.severity.is_error());
                    heard.add(report.is_valid(), || errors.map(|issue| format!("{:?}", issue.code)));
                }
                Ok(())
            }),
        ),
        (
            "octofhir, schema and constraints",
            Box::new(|heard| rival.validate(&rival.complete, &resources, heard)),
        ),
        ("octofhir, schema alone", Box::new(|heard| rival.validate(&rival.structure, &resources, heard))),
    ];

    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut said: [Heard; 4] = Default::default();
    for round in 0..=rounds {
        for (((_, task), times), said) in work.iter_mut().zip(&mut times).zip(&mut said) {
            let mut heard = Heard::default();
            let start = Instant::now();
            task(&mut heard)?;
            let took = start.elapsed();
            if round > 0 {
                times.push(took);
            }
            *said = heard;
        }
    }

    println!(
        "{}: {} resources, {bytes} bytes, median of {rounds} rounds",
        path.file_name().unwrap_or_default().display(),
        resources.len()
    );
    let [first, ..] = &times;
    for (((name, _), times), said) in work.iter().zip(&times).zip(&said) {
        let ratio = median(
            times.iter().zip(first).map(|(took, base)| took.as_secs_f64() / base.as_secs_f64()).collect(),
        );
        let took = median(times.iter().map(Duration::as_secs_f64).collect());
        let per_byte = took * 1e9 / bytes as f64;
        let milliseconds = took * 1e3;
        println!(
            "  {name:32} {milliseconds:9.1} ms  {per_byte:7.2} ns/B  {ratio:7.2} x   flagged {}",
            said.flagged
        );
        if std::env::var_os("EXPLAIN").is_some() {
            let mut kinds: Vec<_> = said.kinds.iter().collect();
            kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            kinds.iter().take(MOST_KINDS).for_each(|(kind, count)| println!("      {count:6} {kind}"));
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let folder = std::env::var_os("FHIR_WORKLOAD").map(PathBuf::from);
    let folder = folder.ok_or("set FHIR_WORKLOAD to the folder with examples.ndjson and synthea.ndjson")?;
    let rounds = match std::env::var("ROUNDS") {
        Ok(text) => text.parse().ok().filter(|&rounds| rounds > 0).ok_or("ROUNDS must be 1 or more")?,
        Err(_) => ROUNDS,
    };
    let mut validator = Validator::new(Definitions::r4());
    if let Some(now) = Temporal::parse_date_time(NOW) {
        validator = validator.with_now(now);
    }
    let rival = Rival::new()?;
    FILES.iter().try_for_each(|file| measure(&folder.join(file), rounds, &validator, &rival))
}
