//! Full validation (structure, types, bindings, invariants, claimed profiles) on one thread, against the time
//! that `serde_json` takes to parse the same bytes into a `Value`.
//!
//! Every figure has its parse in it. Set `FHIR_WORKLOAD` to a folder with NDJSON files of R4 resources for the
//! large inputs; the small ones are here. With `fhir.schema.json` in that folder, the `jsonschema` crate stands
//! beside: it looks at the shape alone, with no code, profile, primitive grammar or invariant beyond the schema's.
//!
//! The last lines are what counts: ratios of times taken in turn, run by run, so that a machine that slows down
//! slows down both.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, OwnedDocument, Tape};
use serde_json::Value;
use varco_core::validation::Validator;

/// Synthetic, in the shape that record exports have.
const PATIENT: &str = include_str!("patient.json");
/// Synthetic: an International Patient Summary whose resources claim the IPS profiles.
const SUMMARY: &str = include_str!("ips.json");
/// Least length of the large Bundle.
const LARGE: usize = 1 << 20;
/// Most runs of a comparison, and the time after which it ends.
const RUNS: usize = 41;
const PATIENCE: Duration = Duration::from_secs(6);

/// Resources, validated one by one.
struct Input {
    name: String,
    resources: Vec<Vec<u8>>,
}

impl Input {
    fn one(name: &str, text: &str) -> Input {
        Input { name: name.to_owned(), resources: vec![text.as_bytes().to_vec()] }
    }

    fn read(path: &Path) -> Input {
        let text = std::fs::read(path).unwrap();
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Input {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            resources: lines.map(<[u8]>::to_vec).collect(),
        }
    }

    fn bytes(&self) -> usize {
        self.resources.iter().map(Vec::len).sum()
    }

    fn to_values(&self) {
        for text in &self.resources {
            black_box(serde_json::from_slice::<Value>(text).unwrap());
        }
    }

    fn to_tapes(&self, tape: &mut Tape) {
        for text in &self.resources {
            black_box(tape.parse_json(text, &Limits::default()).unwrap());
        }
    }

    fn validate(&self, validator: &Validator, tape: &mut Tape) {
        for text in &self.resources {
            let document = tape.parse_json(text, &Limits::default()).unwrap();
            black_box(validator.validate(document));
        }
    }

    fn check_shape(&self, schema: &jsonschema::Validator) {
        for text in &self.resources {
            black_box(schema.is_valid(&serde_json::from_slice(text).unwrap()));
        }
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("FHIR_WORKLOAD").map(PathBuf::from)
}

fn inputs() -> Vec<Input> {
    let mut all =
        vec![Input::one("patient", PATIENT), Input::one("ips", SUMMARY), Input::one("bundle", &bundle())];
    let Some(folder) = folder() else {
        println!("skipped: set FHIR_WORKLOAD to a folder with NDJSON files");
        return all;
    };
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut ndjson: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson")).collect();
    ndjson.sort();
    all.extend(ndjson.iter().map(|path| Input::read(path)));
    all
}

/// A collection of resources of many types: those of the summary again and again.
fn bundle() -> String {
    let document = OwnedDocument::parse_json(SUMMARY, &Limits::default()).unwrap();
    let entries: Vec<_> = document.root().get_key("entry").unwrap().items().collect();
    let mut text = r#"{"resourceType":"Bundle","type":"collection","entry":["#.to_owned();
    for round in 0u32.. {
        for entry in &entries {
            // Each round has identities of its own.
            let own = format!("urn:uuid:{round:08x}");
            let raw = entry.raw();
            for (number, part) in raw.split("urn:uuid:").enumerate() {
                text += if number > 0 { &own } else { "" };
                text += if number > 0 { part.get(8..).unwrap() } else { part };
            }
            text.push(',');
        }
        if text.len() >= LARGE {
            break;
        }
    }
    text.pop();
    text + "]}"
}

/// What is measured must be the ordinary case: a resource without error.
fn assert_valid(input: &Input, validator: &Validator) {
    for text in &input.resources {
        let document = OwnedDocument::parse_json(text.as_slice(), &Limits::default()).unwrap();
        let report = validator.validate(document.document());
        assert!(report.is_valid(), "{}: {:?}", input.name, report.issues);
    }
}

/// Times of several pieces of work, done in turn. Gives the median of each one's ratio to the first, and the
/// shortest time of the first.
fn compare(work: &mut [&mut dyn FnMut()]) -> (Duration, Vec<f64>) {
    let mut ratios: Vec<Vec<f64>> = work.iter().map(|_| Vec::new()).collect();
    let mut shortest = Duration::MAX;
    let start = Instant::now();
    for run in 0..RUNS {
        if run > 4 && start.elapsed() > PATIENCE {
            break;
        }
        let mut first = Duration::ZERO;
        for (number, task) in work.iter_mut().enumerate() {
            let start = Instant::now();
            task();
            let took = start.elapsed();
            if number == 0 {
                (first, shortest) = (took, shortest.min(took));
            }
            ratios[number].push(took.as_secs_f64() / first.as_secs_f64());
        }
    }
    let median = |list: &mut Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    (shortest, ratios.iter_mut().map(median).collect())
}

/// Small inputs are repeated, so that a run is long enough to time.
fn repeats(input: &Input) -> usize {
    (200_000 / input.bytes()).max(1)
}

fn ratios(input: &Input, validator: &Validator, schema: Option<&jsonschema::Validator>) {
    let repeats = repeats(input);
    let (mut tape, mut other) = (Tape::new(), Tape::new());
    let mut values = || (0..repeats).for_each(|_| input.to_values());
    let mut tapes = || (0..repeats).for_each(|_| input.to_tapes(&mut tape));
    let mut validated = || (0..repeats).for_each(|_| input.validate(validator, &mut other));
    let mut shaped = || {
        if let Some(schema) = schema {
            (0..repeats).for_each(|_| input.check_shape(schema));
        }
    };
    let mut work: Vec<&mut dyn FnMut()> = vec![&mut values, &mut tapes, &mut validated];
    if schema.is_some() {
        work.push(&mut shaped);
    }
    let (shortest, ratios) = compare(&mut work);
    let per_byte = shortest.as_secs_f64() * 1e9 / (input.bytes() * repeats) as f64;
    let beside =
        ratios.get(3).map(|ratio| format!(", jsonschema (shape only) {ratio:.2}")).unwrap_or_default();
    println!(
        "ratio {}: full validation {:.2}, tape alone {:.2}{beside}; serde_json Value = 1 = {per_byte:.2} ns/B",
        input.name, ratios[2], ratios[1]
    );
}

/// The same resources type by type and in the order of the file: types that change cost nothing.
fn mixing(input: &Input, validator: &Validator) {
    let mut by_type: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for text in &input.resources {
        let value: Value = serde_json::from_slice(text).unwrap();
        let name = value["resourceType"].as_str().unwrap().to_owned();
        by_type.entry(name).or_default().push(text.clone());
    }
    let types = by_type.len();
    let sorted = Input { name: String::new(), resources: by_type.into_values().flatten().collect() };
    // Neighbours differ in type as often as can be: every so-manyth resource of the sorted ones.
    let step =
        (0..).map(|it| 97 + 2 * it).find(|step| !sorted.resources.len().is_multiple_of(*step)).unwrap();
    let order = (0..sorted.resources.len()).map(|at| at * step % sorted.resources.len());
    let resources = order.map(|at| sorted.resources[at].clone()).collect();
    let mixed = Input { name: String::new(), resources };
    let (mut tape, mut other) = (Tape::new(), Tape::new());
    let (_, ratios) = compare(&mut [&mut || sorted.validate(validator, &mut tape), &mut || {
        mixed.validate(validator, &mut other)
    }]);
    println!(
        "ratio {}: {types} types mixed {:.2} of the time of the same resources type by type",
        input.name, ratios[1]
    );
}

fn schema() -> Option<jsonschema::Validator> {
    let path = folder()?.join("fhir.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).ok()?).unwrap();
    Some(jsonschema::validator_for(&schema).unwrap())
}

fn benches(criterion: &mut Criterion) {
    let validator = Validator::new(Definitions::r4());
    let inputs = inputs();
    for input in inputs.iter().take(3) {
        assert_valid(input, &validator);
    }
    let mut tape = Tape::new();
    for input in &inputs {
        let mut group = criterion.benchmark_group(&input.name);
        group.sample_size(10).throughput(Throughput::Bytes(input.bytes() as u64));
        let case = BenchmarkId::from_parameter;
        group.bench_function(case("serde_json Value"), |b| b.iter(|| input.to_values()));
        group.bench_function(case("tape"), |b| b.iter(|| input.to_tapes(&mut tape)));
        group.bench_function(case("full validation"), |b| b.iter(|| input.validate(&validator, &mut tape)));
        group.finish();
    }
    if std::env::args().any(|argument| argument == "--profile-time") {
        return;
    }
    let schema = schema();
    for input in &inputs {
        ratios(input, &validator, schema.as_ref());
        if input.resources.len() > 1 {
            mixing(input, &validator);
        }
    }
}

criterion_group!(group, benches);
criterion_main!(group);
