//! Does what a plugin must not do. The gateway's tests load it to see that each bound holds.
//!
//! The setting `behaviour` chooses the misdeed: `panic`, `loop`, `memory`, `recursion`, `garbage`, `oversize`,
//! `log-flood`, `counter-flood`, `host-flood`, `costly-questions`, `long-question`; `pass` does nothing, `ask` gives the answer
//! to the setting `question`, and `by-body` takes the misdeed from the body, so that one plugin can fail and recover.

use std::hint::black_box;

use varco_plugin::{Context, FhirPathError, FhirPathValue, Level, Verdict, count, fhirpath};

/// An expression that visits every element once for each element.
const COSTLY: &str =
    "descendants().where(%resource.descendants().where(%resource.descendants().count() > 0).count() > 0)";

/// Misbehaves on requests and on answers alike.
pub fn misdeed(_context: &Context, body: &[u8]) -> Verdict {
    misbehave(body)
}

varco_plugin::export!(request: misdeed, response: misdeed);

fn misbehave(body: &[u8]) -> Verdict {
    let settings = varco_plugin::settings();
    let behaviour = setting(&settings);
    let behaviour = match behaviour {
        "by-body" => std::str::from_utf8(body).map_or("pass", setting),
        named => named,
    };
    match behaviour {
        "panic" => panic!("a plugin that panics"),
        "loop" => endless_loop(),
        "memory" => take_all_memory(),
        "recursion" => Verdict::Replace(vec![descend(0)]),
        "garbage" => Verdict::Replace(b"{\"resourceType\": \"Patient\", oops".to_vec()),
        "oversize" => Verdict::Replace(oversize()),
        "log-flood" => flood_the_log(),
        "counter-flood" => flood_the_counters(),
        "host-flood" => flood_the_host(),
        "costly-questions" => ask_for_ever(),
        "long-question" => ask_at_length(),
        "ask" => ask(&settings),
        _ => Verdict::Pass,
    }
}

/// The value of `behaviour` in a small JSON object.
fn setting(json: &str) -> &str {
    json.split_once("\"behaviour\"").and_then(|(_, rest)| rest.split('"').nth(1)).unwrap_or("pass")
}

fn endless_loop() -> Verdict {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn take_all_memory() -> Verdict {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[allow(unconditional_recursion)]
fn descend(depth: u32) -> u8 {
    let frame = black_box([depth as u8; 64]);
    let below = descend(black_box(depth.wrapping_add(1)));
    below.wrapping_add(frame.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)))
}

fn oversize() -> Vec<u8> {
    let mut text = vec![b' '; 8 << 20];
    if let [first, .., last] = text.as_mut_slice() {
        (*first, *last) = (b'{', b'}');
    }
    text
}

fn flood_the_log() -> Verdict {
    let long = "x".repeat(100_000);
    for _ in 0..20 {
        varco_plugin::log(Level::Warn, "two\nlines");
    }
    varco_plugin::log(Level::Warn, &long);
    Verdict::Pass
}

fn flood_the_counters() -> Verdict {
    for number in 0..500 {
        count(&format!("name_{number}"), 1);
        count("flood", u32::MAX);
    }
    count(&"x".repeat(1 << 20), 1);
    Verdict::Pass
}

fn flood_the_host() -> Verdict {
    loop {
        count("flood", 1);
        varco_plugin::log(Level::Error, "again");
        let _ = black_box(varco_plugin::settings());
    }
}

/// Each question is as slow as the gateway lets it be.
fn ask_for_ever() -> Verdict {
    loop {
        let _ = black_box(fhirpath(COSTLY));
    }
}

/// Passes where the gateway refuses to read expressions of any length, deep ones, and more than it answers.
fn ask_at_length() -> Verdict {
    let long = fhirpath(&"1 + ".repeat(1 << 16));
    let deep = fhirpath(&format!("{}1{}", "(".repeat(2000), ")".repeat(2000)));
    let refused = |answer: Result<_, FhirPathError>| matches!(answer, Err(FhirPathError::Expression(_)));
    let costly = matches!(fhirpath(COSTLY), Err(FhirPathError::TooCostly));
    let last = (0..200).map(|_| fhirpath("1")).last();
    let exhausted = matches!(last, Some(Err(FhirPathError::TooCostly)));
    if refused(long) && refused(deep) && costly && exhausted {
        Verdict::Pass
    } else {
        Verdict::Replace(Vec::new())
    }
}

/// Puts the answer to the question in the settings in the place of the body.
fn ask(settings: &str) -> Verdict {
    let question =
        settings.split_once("\"question\"").and_then(|(_, rest)| rest.split('"').nth(1)).unwrap_or("");
    let told = match fhirpath(question) {
        Ok(items) => items
            .iter()
            .map(|item| format!("{} {}", item.type_name, value(&item.value)))
            .collect::<Vec<_>>()
            .join("; "),
        Err(FhirPathError::Expression(_)) => "no expression".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    Verdict::Replace(format!("{{\"answer\":\"{}\"}}", told.replace('"', "'")).into_bytes())
}

fn value(value: &FhirPathValue) -> String {
    match value {
        FhirPathValue::Boolean(value) => value.to_string(),
        FhirPathValue::Integer(value) => value.to_string(),
        FhirPathValue::Decimal(text) | FhirPathValue::Text(text) => text.clone(),
        FhirPathValue::Element(json) => String::from_utf8_lossy(json).into_owned(),
        FhirPathValue::WithoutValue => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use varco_plugin::testing;

    use super::*;

    #[test]
    fn the_setting_or_the_body_chooses_the_misdeed() {
        assert_eq!(setting(r#"{"behaviour": "loop"}"#), "loop");
        assert_eq!(setting("{}"), "pass");
        testing::Gateway::new().settings(r#"{"behaviour":"by-body"}"#).run(|| {
            let context = testing::request("Patient");
            assert_eq!(misdeed(&context, b"{}"), Verdict::Pass);
            let verdict = misdeed(&context, br#"{"behaviour":"garbage"}"#);
            assert!(matches!(verdict, Verdict::Replace(_)));
        });
    }

    #[test]
    fn a_flood_is_more_than_the_gateway_keeps() {
        let seen = testing::Gateway::new().settings(r#"{"behaviour":"log-flood"}"#).run(|| {
            assert_eq!(misdeed(&testing::response("Patient"), b"{}"), Verdict::Pass);
        });
        assert_eq!(seen.lines.len(), 21);
    }
}
