//! Reading an HL7 v2 admission of 665 bytes (goal: at most 2 µs), beside the crates `er7` and `hl7-parser`.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use varco_core::hl7v2::{Message, Path, Reading};

const ADMISSION: &str = "MSH|^~\\&|ADT_NIGUARDA|030913|VARCO|HUB|20260301101500+0100||ADT^A01^ADT_A01|MSG00000001|P|2.5.1|||AL|NE|ITA|UNICODE UTF-8\r\
EVN|A01|20260301101500+0100|||OPERATORE1^Bianchi^Lucia\r\
PID|1||4711^^^030913^MR~RSSMRA71E01F205E^^^MEF^NN||Rossi^Mario^^^^^L||19710501|M|||Via Giuseppe Mazzini 12^^Milano^MI^20121^ITA^H||0255501234^PRN^PH~3335550123^PRN^CP||ITA|M||30001^^^030913^VN\r\
NK1|1|Rossi^Anna|SPO|Via Giuseppe Mazzini 12^^Milano^MI^20121^ITA|0255501234\r\
PV1|1|I|MED^201^1^030913|E|||0300^Verdi^Giulia^^^Dr|||MED||||1|||0300^Verdi^Giulia^^^Dr|IN|30001|||||||||||||||||||||||||20260301100000+0100\r\
DG1|1||J18.9^Polmonite, non specificata^I10|||A\r\
AL1|1|DA|^Penicillina|SV|Orticaria\r";

/// What splitting alone costs: the least that any reader does.
fn split(text: &str) -> usize {
    text.split('\r').flat_map(|segment| segment.split('|')).flat_map(|field| field.split('^')).count()
}

fn per_run(runs: u32, mut work: impl FnMut()) -> f64 {
    for _ in 0..runs / 10 {
        work();
    }
    let started = Instant::now();
    for _ in 0..runs {
        work();
    }
    started.elapsed().as_secs_f64() / f64::from(runs) * 1e6
}

fn reading(criterion: &mut Criterion) {
    let bytes = ADMISSION.as_bytes();
    let name: Path = "PID-5.1".parse().unwrap();
    let read = || Message::parse(black_box(bytes), &Reading::STRICT).unwrap();
    assert_eq!(read().value(&name).unwrap(), "Rossi");

    let mut group = criterion.benchmark_group("hl7v2");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(read));
    group.bench_function("read, and ask for a name", |bencher| {
        bencher.iter(|| read().value(&name).map(|value| value.len()));
    });
    group.finish();

    let ours = per_run(100_000, || drop(black_box(read())));
    let er7 = per_run(20_000, || drop(black_box(er7::parse(black_box(ADMISSION)).unwrap())));
    let hl7_parser =
        per_run(20_000, || drop(black_box(hl7_parser::parse_message(black_box(ADMISSION)).unwrap())));
    let splitting = per_run(100_000, || {
        black_box(split(black_box(ADMISSION)));
    });
    println!(
        "hl7v2: {} bytes in {ours:.2} µs; er7 {er7:.2} µs ({:.1} times), hl7-parser {hl7_parser:.2} µs ({:.1} times), \
         splitting alone {splitting:.2} µs",
        bytes.len(),
        er7 / ours,
        hl7_parser / ours
    );
}

criterion_group!(benches, reading);
criterion_main!(benches);
