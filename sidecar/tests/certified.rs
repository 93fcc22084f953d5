//! The gateway passes the suite that it demands of others.
#![allow(clippy::unwrap_used)]

mod harness;

use std::collections::BTreeMap;

use harness::Region;
use serde_json::json;
use varco_conformance::suite::{RunOptions, Runner, Suite, Token, Verdict};

#[tokio::test(flavor = "multi_thread")]
async fn the_base_suite_passes_through_the_gateway() {
    let region = Region::start_bare("[consent]\nwithout_consent = \"permit\"\n").await;
    let suite = Suite::builtin("base-r4").unwrap().unwrap();
    let tokens = BTreeMap::from([("default".to_owned(), Token::new(region.setup.token(json!({}))))]);
    let options = RunOptions { tokens, ..RunOptions::default() };
    let report = Runner::new(&suite, &region.setup.base(), options).unwrap().run(&mut |_| ()).await.unwrap();
    let failed: Vec<_> = report.tests.iter().filter(|test| test.verdict != Verdict::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(report.tests.len(), 10);
    region.stop().await;
}
