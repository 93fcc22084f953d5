//! Given uses of break-glass, when they are reviewed, then each is in the queue once and the trail stays whole.
#![allow(clippy::unwrap_used)]

use varco_core::consent::Reading;

use super::*;
use crate::store::writer::tests::record;

fn used(number: usize, key: u8, at: &str, seen: &[&str]) -> ReviewUse {
    ReviewUse {
        id: format!("review-{number}"),
        key: [key; 32],
        at: at.to_owned(),
        patient: "Patient/1".to_owned(),
        who: "{}".to_owned(),
        reason: Some("urgenza".to_owned()),
        withheld: 1,
        overridden: vec!["withheld".to_owned()],
        seen: seen.iter().map(|own| (*own).to_owned()).collect(),
    }
}

fn row(id: &str) -> AuditRow {
    AuditRow {
        id: id.to_owned(),
        request: id.to_owned(),
        recorded: "2026-05-01T12:00:00.000Z".to_owned(),
        body: id.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn uses_gather_in_one_review_until_it_is_closed_and_the_chain_holds_across_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store = Store::open(&path, Reading::default()).unwrap();
    let write = async |id: &str, own: ReviewUse| {
        store.writer().append_reviewed(vec![record(id)], vec![own]).await.unwrap();
    };
    write("1", used(1, 1, "2026-05-01T10:00:00.000Z", &["Observation/1", "Observation/2"])).await;
    write("2", used(2, 1, "2026-05-01T11:00:00.000Z", &["Observation/1", "Condition/1"])).await;
    write("3", used(3, 2, "2026-05-02T10:00:00.000Z", &[])).await;
    let mut desk = ReviewDesk::open(&path).unwrap();
    let open = desk.list().unwrap();
    assert_eq!(open.iter().map(|own| own.id.as_str()).collect::<Vec<_>>(), ["review-1", "review-3"]);
    assert_eq!(
        (open[0].requests, open[0].withheld, open[0].last.as_str()),
        (2, 2, "2026-05-01T11:00:00.000Z")
    );
    assert_eq!(open[0].seen, ["Condition/1", "Observation/1", "Observation/2"]);
    assert_eq!(open[0].overridden, ["withheld"]);
    let waiting = |before| store.reviews_waiting(before).unwrap();
    assert_eq!(waiting("2026-05-02T00:00:00.000Z"), ReviewsWaiting { open: 2, overdue: 1 });

    // Closed from outside while the sidecar's writer is at work: both go on with the same chain.
    desk.close("review-1", "2026-05-03T10:00:00.000Z", "Dott. Verdi", "motivato", &row("closing")).unwrap();
    write("4", used(4, 1, "2026-05-04T10:00:00.000Z", &["Observation/9"])).await;
    desk.close("review-3", "2026-05-05T10:00:00.000Z", "Dott. Verdi", "motivato", &row("closing-2")).unwrap();
    assert_eq!(store.verify_audit().unwrap(), Ok(6));
    let open = desk.list().unwrap();
    assert_eq!(open.len(), 1, "a use after closing opens a review of its own");
    assert_eq!(
        (open[0].id.as_str(), open[0].seen.as_slice()),
        ("review-4", &["Observation/9".to_owned()][..])
    );
    let again = desk.close("review-1", "", "x", "y", &row("never"));
    assert!(matches!(&again, Err(CloseError::Closed { by, .. }) if by == "Dott. Verdi"), "{again:?}");
    let unknown = desk.close("review-9", "", "x", "y", &row("never"));
    assert!(matches!(unknown, Err(CloseError::Unknown(_))));
    assert_eq!(store.verify_audit().unwrap(), Ok(6), "what was not closed is not recorded");
}

#[tokio::test]
async fn a_review_lists_a_bounded_number_of_resources_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sqlite");
    let store = Store::open(&path, Reading::default()).unwrap();
    let seen: Vec<String> = (0..MOST_SEEN + 5).map(|number| format!("Observation/{number}")).collect();
    let own = ReviewUse { seen, ..used(1, 1, "2026-05-01T10:00:00.000Z", &[]) };
    store.writer().append_reviewed(vec![record("1")], vec![own]).await.unwrap();
    let open = ReviewDesk::open(&path).unwrap().list().unwrap();
    assert_eq!((open[0].seen.len() as i64, open[0].unlisted), (MOST_SEEN, 5));
    assert!(ReviewDesk::open(&folder.path().join("other.sqlite")).is_err());
}
