#![allow(clippy::print_stdout, clippy::unwrap_used)]
use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, Tape};
use varco_core::validation::Validator;
fn main() {
    let v = Validator::new(Definitions::r4());
    let mut tape = Tape::new();
    let (mut n, mut bad, mut unknown) = (0, 0, 0);
    for path in std::env::args().skip(1) {
        let text = std::fs::read(&path).unwrap();
        let lines: Vec<&[u8]> = if path.ends_with("ndjson") { text.split(|b| *b == b'\n').collect() } else { vec![&text] };
        for (i, line) in lines.iter().enumerate() {
            if line.is_empty() { continue }
            n += 1;
            let doc = match tape.parse_json(line, &Limits::default()) { Ok(d) => d, Err(e) => { println!("{path}:{} SYNTAX {e}", i + 1); bad += 1; continue } };
            let r = v.validate(doc);
            assert_eq!(r.is_valid(), v.is_valid(doc));
            unknown += r.unknown_codes;
            if !r.is_valid() { bad += 1 }
            let id = doc.root().get_key("id").map(|i| i.raw().to_owned()).unwrap_or_default();
            for issue in r.issues {
                println!("{path}:{} {id} {} [{}] {} ({})", i + 1, issue.expression.as_deref().unwrap_or("-"), issue.rule.unwrap_or(""), issue.message, issue.position.unwrap());
            }
        }
    }
    println!("{n} resources, {bad} bad, {unknown} unknown codes");
}
