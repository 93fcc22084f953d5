//! Validation against the time that `serde_json` takes to parse the same bytes into a `Value`.
//!
//! Set `VARCO_WORKLOAD` to a folder with NDJSON files of R4 resources; without it nothing is measured. Each
//! figure is for a whole file, parse included. What matters is the ratio printed at the end.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, Tape};
use varco_core::validation::Validator;

/// The lines of one file.
struct Workload {
    name: String,
    lines: Vec<Vec<u8>>,
}

fn workloads() -> Vec<Workload> {
    let Some(folder) = std::env::var_os("VARCO_WORKLOAD").map(PathBuf::from) else {
        println!("skipped: set VARCO_WORKLOAD to a folder with NDJSON files");
        return Vec::new();
    };
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let ndjson = paths.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    ndjson.map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Workload {
    let text = std::fs::read(path).unwrap();
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    Workload {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        lines: lines.map(<[u8]>::to_vec).collect(),
    }
}

fn parse_values(workload: &Workload) {
    for line in &workload.lines {
        black_box(serde_json::from_slice::<serde_json::Value>(line).unwrap());
    }
}

fn parse_tapes(workload: &Workload, tape: &mut Tape) {
    for line in &workload.lines {
        black_box(tape.parse_json(line, &Limits::default()).unwrap());
    }
}

fn validate(workload: &Workload, validator: &Validator, tape: &mut Tape) {
    for line in &workload.lines {
        let document = tape.parse_json(line, &Limits::default()).unwrap();
        black_box(validator.validate(document));
    }
}

/// The fastest of many runs: the one that was disturbed least.
fn fastest(mut run: impl FnMut()) -> Duration {
    let times = (0..15).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap()
}

fn benches(criterion: &mut Criterion) {
    let validator = Validator::new(Definitions::r4());
    let mut tape = Tape::new();
    for workload in workloads() {
        let bytes = workload.lines.iter().map(Vec::len).sum::<usize>();
        let mut group = criterion.benchmark_group(&workload.name);
        group.sample_size(10).throughput(Throughput::Bytes(bytes as u64));
        let case = BenchmarkId::from_parameter;
        group.bench_function(case("serde_json Value"), |b| b.iter(|| parse_values(&workload)));
        group.bench_function(case("tape"), |b| b.iter(|| parse_tapes(&workload, &mut tape)));
        group.bench_function(case("tape and validation"), |b| {
            b.iter(|| validate(&workload, &validator, &mut tape));
        });
        group.finish();
        let values = fastest(|| parse_values(&workload));
        let tapes = fastest(|| parse_tapes(&workload, &mut tape));
        let validated = fastest(|| validate(&workload, &validator, &mut tape));
        let per_byte = |time: Duration| time.as_secs_f64() * 1e9 / bytes as f64;
        println!(
            "{}: serde_json Value {:.2} ns/B, tape {:.2} ns/B, tape and validation {:.2} ns/B; ratio {:.2}",
            workload.name,
            per_byte(values),
            per_byte(tapes),
            per_byte(validated),
            validated.as_secs_f64() / values.as_secs_f64()
        );
    }
}

criterion_group!(group, benches);
criterion_main!(group);
