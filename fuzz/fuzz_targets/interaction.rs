//! Any request line, header and Bundle: the parser of interactions refuses it or gives a request that, written
//! anew and read again, is the same.
//!
//! The input is lines: method, path, query, headers as `name: value`, an empty line, and a body that is read as
//! a form and as a Bundle.

#![no_main]

use std::sync::LazyLock;

use fhir_models::definition::Definitions;
use fhir_models::document::{Limits, Tape};
use libfuzzer_sys::fuzz_target;
use varco_core::interaction::batch::{Batch, conditional_reference, references};
use varco_core::interaction::headers::{Handling, RequestHeaders, check_form, handling};
use varco_core::interaction::transaction::{relinked, searches};
use varco_core::interaction::{Interaction, SearchSchema};

static R4: LazyLock<SearchSchema> = LazyLock::new(|| SearchSchema::from_definitions(Definitions::r4()));

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let (method, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let query = lines.next().filter(|query| !query.is_empty());
    let headers: Vec<(&str, &[u8])> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name, value.as_bytes())).collect();
    let own = handling(headers.iter().copied());
    let form = Interaction::expects_form(method, path).then_some(body.as_bytes());
    let _ = check_form(headers.iter().copied());
    if let Ok(interaction) = Interaction::parse_with(method, path, query, form, &R4, own) {
        same(&interaction);
        for (resource_type, parameters) in interaction.joined_reads() {
            assert!(R4.resource_type(resource_type.as_str()).is_some());
            assert!(parameters.iter().all(|name| !name.contains([':', '.'])));
        }
        if let Ok(read) = RequestHeaders::parse(headers, &interaction, Interaction::asks_format(query, form)) {
            for (_, value) in read.to_upstream(&interaction, &interaction.to_request()) {
                assert!(value.bytes().all(|byte| (0x20..0x7F).contains(&byte)), "{value}");
            }
            if let Some(criteria) = &read.if_none_exist
                && let Ok(conditional) = interaction.unless_exists(criteria, &R4)
            {
                let written = conditional.to_request().if_none_exist.unwrap_or_default();
                let plain = Interaction::parse("POST", &conditional.to_request().path_and_query, None, None, &R4);
                assert_eq!(plain.and_then(|plain| plain.unless_exists(&written, &R4)), Ok(conditional));
            }
        }
    }
    let mut tape = Tape::new();
    let limits = Limits { bytes: 1 << 16, depth: 64, nodes: 10_000 };
    let Ok(document) = tape.parse_json(body.as_bytes(), &limits) else { return };
    let bases = ["https://here.example/fhir".to_owned()];
    if let Ok(batch) = Batch::parse(document.root(), &bases, &R4, Handling::Lenient) {
        assert_eq!(batch.depends().len(), batch.entries.len());
        for entry in &batch.entries {
            if let Ok(asked) = &entry.asked
                && asked.interaction.to_request().if_none_exist.is_none()
            {
                assert_ne!(asked.interaction, Interaction::Batch);
                same(&asked.interaction);
            }
        }
    }
    for text in searches(document).iter().take(100) {
        assert!(conditional_reference(text, &R4).is_some());
    }
    if let Some(linked) = relinked(document, |text| (text.len() % 2 == 0).then(|| format!("urn:uuid:{text}"))) {
        assert!(Tape::new().parse_json(&linked, &Limits::default()).is_ok());
    }
    for reference in references(document.root()).take(100) {
        let _ = conditional_reference(&reference.as_str().unwrap_or_default(), &R4);
    }
});

/// Written and read again, a request is the same.
fn same(interaction: &Interaction) {
    // Answered by the gateway from a body: their requests are never written.
    if matches!(interaction, Interaction::Transform(..) | Interaction::Translate(..) | Interaction::Match(..)) {
        return;
    }
    let request = match interaction.count() {
        Some(count) => interaction.to_request_with_count(count),
        None => interaction.to_request(),
    };
    assert!(request.path_and_query.bytes().all(|byte| byte.is_ascii_graphic()));
    let (path, query) = match request.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path_and_query.as_str(), None),
    };
    let form = request.form.as_deref().map(str::as_bytes);
    let again = Interaction::parse(request.method.as_str(), path, query, form, &R4);
    match again {
        Ok(again) => assert_eq!(again, *interaction, "{request:?}"),
        // Canonical spelling may be longer than the caller's.
        Err(error) => assert_eq!(error.issue_type(), varco_core::outcome::IssueType::TooCostly, "{request:?}"),
    }
}
