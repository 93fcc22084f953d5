//! Searches of a trail, page by page.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use varco_core::consent::Reading;

use super::*;
use crate::store::AuditRow;

fn row(number: usize, outcome: &str, who: &str) -> AuditRow {
    let id = format!("r{number}");
    let body = format!(
        r#"{{"resourceType":"AuditEvent","id":"{id}","outcome":"{outcome}","agent":[{{"who":{{"identifier":{{"value":"{who}"}}}},"name":"Niccolò"}}],"entity":[{{"what":{{"reference":"Patient/{}"}}}}]}}"#,
        number % 2
    );
    AuditRow {
        id,
        request: format!("q{number}"),
        recorded: format!("2026-05-{:02}T10:00:00.000Z", number + 1),
        body: body.into_bytes(),
    }
}

fn is(parameter: &'static str, value: &str, not: bool) -> TrailCondition {
    TrailCondition::Term { parameter, values: vec![TrailValue::is(value, None)], not }
}

fn ids(page: &TrailPage) -> Vec<String> {
    let id = |body: &Vec<u8>| {
        let event: serde_json::Value = serde_json::from_slice(body).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    page.records.iter().map(id).collect()
}

#[tokio::test]
async fn conditions_meet_and_pages_follow_each_other_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let reading = || Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    let store = Store::open(&folder.path().join("s.sqlite"), reading()).unwrap();
    let rows =
        (0..9).map(|at| row(at, if at % 3 == 0 { "8" } else { "0" }, if at < 4 { "anna" } else { "bruno" }));
    store.writer().append(rows.collect()).await.unwrap();

    let find = async |conditions: Vec<TrailCondition>| {
        let wanted = TrailSearch { conditions, most: 100, ..TrailSearch::default() };
        let page = store.search_trail(&wanted).await.unwrap();
        assert_eq!(page.next, None);
        ids(&page)
    };
    assert_eq!(find(vec![is("outcome", "8", false)]).await, ["r6", "r3", "r0"]);
    assert_eq!(find(vec![is("outcome", "0", true)]).await, ["r6", "r3", "r0"]);
    let anna = || is("agent:identifier", "anna", false);
    assert_eq!(find(vec![is("outcome", "8", false), anna()]).await, ["r3", "r0"]);
    assert_eq!(find(vec![TrailCondition::patients(["Patient/1"]), anna()]).await, ["r3", "r1"]);
    let may = |from: &str, until: &str, outside| TrailTime {
        from: Some(from.to_owned()),
        until: Some(until.to_owned()),
        outside,
    };
    let time = may("2026-05-02T10:00:00", "2026-05-04T10:00:00", false);
    assert_eq!(find(vec![TrailCondition::Recorded(vec![time])]).await, ["r2", "r1"]);
    let time = may("2026-05-02T10:00:00", "2026-05-09T10:00:00", true);
    assert_eq!(find(vec![TrailCondition::Recorded(vec![time])]).await, ["r8", "r0"]);
    let name = |value| TrailCondition::Term {
        parameter: "agent-name",
        values: vec![TrailValue { value, system: None }],
        not: false,
    };
    assert_eq!(find(vec![name(TrailText::Begins("nicco".to_owned())), anna()]).await.len(), 4);
    assert_eq!(find(vec![name(TrailText::Contains("colo".to_owned()))]).await.len(), 9);
    assert_eq!(find(vec![name(TrailText::Begins("colo".to_owned()))]).await.len(), 0);
    assert_eq!(
        find(vec![TrailCondition::Requests(vec!["q5".to_owned(), "q7".to_owned()])]).await,
        ["r7", "r5"]
    );

    for oldest_first in [false, true] {
        let mut wanted = TrailSearch { oldest_first, most: 4, ..TrailSearch::default() };
        let mut all = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let page = store.search_trail(&wanted).await.unwrap();
            sizes.push(page.records.len());
            all.extend(ids(&page));
            wanted.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        if !oldest_first {
            all.reverse();
        }
        assert_eq!((all, sizes), ((0..9).map(|at| format!("r{at}")).collect(), vec![4, 4, 1]));
    }
}

#[tokio::test]
async fn a_trail_from_before_the_index_or_with_its_first_form_is_indexed() {
    let reading = || Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    let first_form = "CREATE TABLE audit_term (parameter TEXT, value TEXT, seq INTEGER, system TEXT);
                      UPDATE audit_indexed SET terms = 1, seq = 1200;";
    for before in ["DROP TABLE audit_indexed;", first_form] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sqlite");
        let store = Store::open(&path, reading()).unwrap();
        let rows = (0..1_200).map(|at| AuditRow {
            id: format!("r{at}"),
            request: String::new(),
            ..row(at % 20, "8", "anna")
        });
        store.writer().append(rows.collect()).await.unwrap();
        drop(store);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&format!("DROP TABLE audit_posting; {before}")).unwrap();
        drop(connection);
        let store = Store::open(&path, reading()).unwrap();
        let conditions = vec![is("outcome", "8", false)];
        let wanted = TrailSearch { conditions, most: 2_000, ..TrailSearch::default() };
        assert_eq!(store.search_trail(&wanted).await.unwrap().records.len(), 1_200, "{before}");
        assert_eq!(store.verify_audit().unwrap(), Ok(1_200));
        let of_first_form = "SELECT count(*) FROM sqlite_master WHERE name = 'audit_term'";
        let left: i64 = store.trail().query_row(of_first_form, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{before}");
    }
}

/// Whatever the size of a step, a record has exactly one place in the row of its block.
#[tokio::test]
async fn a_block_that_is_indexed_in_pieces_has_each_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let reading = Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    let store = Store::open(&folder.path().join("s.sqlite"), reading).unwrap();
    let wanted = |name: &str| TrailSearch {
        conditions: vec![is("outcome", "8", false), is("agent:identifier", name, false)],
        most: 2_000,
        ..TrailSearch::default()
    };
    let mut written = 0;
    for (count, name) in [(1, "anna"), (30, "bruno"), (200, "anna"), (3, "bruno"), (127, "anna")] {
        let rows =
            (written..written + count).map(|at| AuditRow { id: format!("r{at}"), ..row(at % 20, "8", name) });
        store.writer().append(rows.collect()).await.unwrap();
        written += count;
        // A search indexes what is left.
        assert!(!store.search_trail(&wanted(name)).await.unwrap().records.is_empty());
    }
    let found = async |name: &str| ids(&store.search_trail(&wanted(name)).await.unwrap()).len();
    assert_eq!((found("anna").await, found("bruno").await), (328, 33));
    let places =
        "SELECT count(*) FROM audit_posting, json_each('[' || places || ']') WHERE parameter = 'outcome'";
    let places: i64 = store.trail().query_row(places, [], |row| row.get(0)).unwrap();
    assert_eq!(places, written as i64);
}

#[tokio::test]
async fn a_record_is_found_by_its_request_be_that_its_own_id_or_another_and_a_store_from_before_is_taken_over()
 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let reading = || Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    {
        let store = Store::open(&path, reading()).unwrap();
        // A read, a search whose caller named it, and two patients of one request.
        let mut rows: Vec<AuditRow> = (0..4).map(|at| row(at, "0", "anna")).collect();
        rows[0].request = rows[0].id.clone();
        rows[3].request = rows[2].id.clone();
        rows[2].request = rows[2].id.clone();
        store.writer().append(rows).await.unwrap();
    }
    let before = Connection::open(&path).unwrap();
    let old = "DROP INDEX audit_request_of_its_own; CREATE INDEX audit_request ON audit (request)";
    before.execute_batch(old).unwrap();
    drop(before);

    let store = Store::open(&path, reading()).unwrap();
    for (request, records) in
        [("r0", vec!["r0"]), ("q1", vec!["r1"]), ("r2", vec!["r3", "r2"]), ("r1", vec![])]
    {
        let conditions = vec![TrailCondition::Requests(vec![request.to_owned()])];
        let wanted = TrailSearch { conditions, most: 10, ..TrailSearch::default() };
        assert_eq!(ids(&store.search_trail(&wanted).await.unwrap()), records, "{request}");
    }
    let connection = store.trail();
    let indexes = "SELECT group_concat(name, ' ' ORDER BY name) FROM sqlite_master
                   WHERE type = 'index' AND tbl_name = 'audit' AND sql IS NOT NULL";
    let indexes: String = connection.query_row(indexes, [], |row| row.get(0)).unwrap();
    assert_eq!(indexes, "audit_request_of_its_own");
    let plan = format!("EXPLAIN QUERY PLAN SELECT seq FROM audit WHERE {}", schema::of_requests(1));
    let mut plan = connection.prepare(&plan).unwrap();
    let steps = plan.query_map(["r0", "r0"], |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<String> = steps.map(Result::unwrap).collect();
    assert!(steps.iter().any(|step| step.contains("audit_request_of_its_own")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("SCAN audit")), "{steps:?}");
}

/// Records of these days, indexed where it says so, in a trail; those of some days, as it finds them.
async fn found_of_days(
    parts: &[(Vec<usize>, bool)],
    from: usize,
    until: usize,
    oldest_first: bool,
) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let reading = Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    let store = Store::open(&folder.path().join("s.sqlite"), reading).unwrap();
    for (at, (days, index)) in parts.iter().enumerate() {
        let rows = days.iter().enumerate().map(|(number, day)| AuditRow {
            id: format!("r{at}-{number}"),
            request: String::new(),
            ..row(*day, "0", "anna")
        });
        let rows = rows.map(|row| AuditRow { body: format!(r#"{{"id":"{}"}}"#, row.id).into_bytes(), ..row });
        store.writer().append(rows.collect()).await.unwrap();
        if *index {
            store.writer().index().await.unwrap();
        }
    }
    let bound = |day: usize| Some(format!("2026-05-{:02}T10:00:00", day + 1));
    let time = TrailTime { from: bound(from), until: bound(until), outside: false };
    let conditions = vec![TrailCondition::Recorded(vec![time])];
    let mut wanted = TrailSearch { conditions, oldest_first, most: 50, ..TrailSearch::default() };
    let mut all = Vec::new();
    loop {
        let page = store.search_trail(&wanted).await.unwrap();
        all.extend(ids(&page));
        match page.next {
            Some(next) => wanted.after = Some(next),
            None => return all,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn records_are_found_by_their_time_whatever_order_they_came_in(
        parts in vec((vec(0..28usize, 1..200), any::<bool>()), 1..5),
        from in 0..28usize,
        until in 0..28usize,
        oldest_first in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(found_of_days(&parts, from, until, oldest_first));
        let all = parts.iter().enumerate().flat_map(|(at, (days, _))| {
            days.iter().enumerate().map(move |(number, day)| (format!("r{at}-{number}"), *day))
        });
        let mut wanted: Vec<String> =
            all.filter(|(_, day)| (from..until).contains(day)).map(|(id, _)| id).collect();
        if !oldest_first {
            wanted.reverse();
        }
        prop_assert_eq!(found, wanted);
    }
}

#[tokio::test]
async fn a_time_is_looked_for_in_its_blocks_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("s.sqlite"), Reading::default()).unwrap();
    // Sixty records a day: those of the fourth have the numbers from 181 on.
    let rows = (0..600).map(|at| AuditRow { id: format!("r{at}"), ..row(at / 60, "0", "anna") });
    store.writer().append(rows.collect()).await.unwrap();
    let day = |from: &str, until: &str| {
        let time = TrailTime { from: Some(from.to_owned()), until: Some(until.to_owned()), outside: false };
        TrailSearch { conditions: vec![TrailCondition::Recorded(vec![time])], ..TrailSearch::default() }
    };
    let bounds = |wanted: &TrailSearch| bounds(&store.trail(), wanted).unwrap();
    for _ in 0..3 {
        store.writer().index().await.unwrap();
    }
    assert_eq!(bounds(&day("2026-05-04", "2026-05-05")), (128, 255));
    assert_eq!(bounds(&day("2026-05-10", "2027")), (512, 600));
    let (low, high) = bounds(&day("2027", "2028"));
    assert!(low > high, "{low} to {high}");
    assert_eq!(bounds(&TrailSearch::default()), (1, 600));
}

#[tokio::test]
async fn an_index_of_another_version_is_left_to_the_process_that_began_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("s.sqlite"), Reading::default()).unwrap();
    store.trail().execute("UPDATE audit_indexed SET terms = terms + 1", []).unwrap();
    store.writer().append(vec![row(1, "0", "anna")]).await.unwrap();
    assert!(store.writer().index().await.is_err());
    let indexed = "SELECT (SELECT count(*) FROM audit_posting) + (SELECT seq FROM audit_indexed)";
    assert_eq!(store.trail().query_row(indexed, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
