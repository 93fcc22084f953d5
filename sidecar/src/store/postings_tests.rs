//! Whatever order a trail comes about in, its index says what its events say.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use fhir_models::document::{Limits, OwnedDocument};
use proptest::prelude::*;
use varco_core::audit::search_terms;
use varco_core::consent::Reading;

use super::super::packed::Unpacked;
use super::super::writer::tests::record;
use super::super::{AuditRow, Removal, Store, trail_index};
use super::*;

/// What happens to a trail.
#[derive(Debug, Clone)]
enum Step {
    /// Records are appended whose terms are kept.
    Records(usize),
    /// Records are appended that are read again.
    Rows(usize),
    /// A search asks.
    Index,
    /// The records of before today, of which so many were taken elsewhere, are removed.
    Remove(i64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..180usize).prop_map(Step::Records),
        2 => (1..40usize).prop_map(Step::Rows),
        2 => Just(Step::Index),
        1 => (1..400i64).prop_map(Step::Remove),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..12)
}

fn open(path: &Path) -> Store {
    Store::open(path, Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() }).unwrap()
}

async fn take(steps: Vec<Step>, path: &Path) -> (BTreeSet<(String, i64)>, BTreeSet<(String, i64)>) {
    let mut store = open(path);
    let mut next = 0;
    let mut some = |count: usize| {
        let records: Vec<AuditRecord> = (next..next + count).map(|at| record(&format!("r{at}"))).collect();
        next += count;
        records
    };
    for step in steps {
        match step {
            Step::Records(count) => {
                store.writer().append_reviewed(some(count), Vec::new()).await.unwrap();
            }
            Step::Rows(count) => {
                let rows = some(count).iter().map(AuditRow::of).collect();
                store.writer().append(rows).await.unwrap();
            }
            Step::Index => store.writer().index().await.unwrap(),
            Step::Remove(through) => {
                let place = "https://arr.example/AuditEvent".to_owned();
                store.exported(&place, through).await.unwrap();
                let removal = Removal {
                    before: "2026-05-02".to_owned(),
                    exported_to: Some(place),
                    rule: "keep".to_owned(),
                    id: some(1).remove(0).id,
                    at: "2026-05-03T00:00:00Z".parse().unwrap(),
                    recorder: record("r").recorder,
                };
                store.remove(removal).await.unwrap();
            }
            Step::Restart => {
                drop(store);
                store = open(path);
            }
        }
    }
    for _ in 0..20 {
        store.writer().index().await.unwrap();
    }
    let trail = store.trail();
    assert_eq!(trail_index::behind(&trail), 0);
    let mut indexed = BTreeSet::new();
    let rows = format!(
        "SELECT parameter || '=' || system || '|' || posting.value, block * {BLOCK} + place.value
         FROM audit_posting AS posting, json_each('[' || places || ']') AS place"
    );
    let mut rows = trail.prepare(&rows).unwrap();
    for row in rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        assert!(indexed.insert(row.unwrap()), "a record stands once in a row");
    }
    let mut said = BTreeSet::new();
    let mut rows = trail.prepare("SELECT seq, body FROM audit").unwrap();
    for row in rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, Unpacked>(1)?.0))).unwrap() {
        let (seq, body): (i64, Vec<u8>) = row.unwrap();
        let event = OwnedDocument::parse_json(body, &Limits::default()).unwrap();
        let terms = search_terms(event.root());
        said.extend(
            terms.iter().map(|term| (format!("{}={}|{}", term.parameter, term.system, term.value), seq)),
        );
    }
    (indexed, said)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_index_says_what_the_events_say(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (indexed, said) = runtime.block_on(take(steps, &folder.path().join("s.sqlite")));
        prop_assert_eq!(indexed, said);
    }
}

#[test]
fn terms_are_kept_for_so_many_blocks_and_no_more() {
    let mut ahead = Ahead::default();
    let records: Vec<AuditRecord> = (0..BLOCK * 2).map(|at| record(&format!("r{at}"))).collect();
    for at in 0..40 {
        ahead.note(1 + at * BLOCK * 2, &records);
    }
    let kept = |ahead: &Ahead| (0..).map_while(|at| ahead.after(at)).count();
    assert_eq!(kept(&ahead), MOST);
    assert_eq!(ahead.after(MOST - 1).map(Postings::last), Some(MOST as i64 * BLOCK - 1));
    ahead.drop_through(BLOCK - 1);
    // What was left out stays so; what comes next is kept.
    ahead.note(1 + 40 * BLOCK * 2, &records[..1]);
    assert_eq!((kept(&ahead), ahead.after(MOST - 1).map(Postings::first)), (MOST, Some(1 + 40 * BLOCK * 2)));
}
