#![allow(clippy::unwrap_used)]

use varco_core::consent::Reading;

use super::*;

fn open(folder: &tempfile::TempDir) -> Store {
    let reading = Reading { zone: jiff::tz::TimeZone::UTC, bases: Vec::new() };
    Store::open(&folder.path().join("s.sqlite"), reading).unwrap()
}

fn message(seq: i64, chain: u8) -> OutboxMessage {
    OutboxMessage {
        head: OutboxHead {
            seq,
            id: format!("m{seq}"),
            route: "fse".to_owned(),
            kind: "create".to_owned(),
            state: "queued".to_owned(),
            client: String::new(),
            arrived: 100,
            identity: [chain; 32],
            sending: [1; 32],
            tokens_until: Some(200),
            request: "r".to_owned(),
            trace: "t".to_owned(),
            bytes: 3,
            attempts: 0,
            unsure: false,
            until: None,
            cause: None,
            told: false,
            ended: None,
            status: None,
        },
        chains: vec![[chain; 16]],
        caller: r#"{"client":"ris"}"#.to_owned(),
        patient: Some("P".to_owned()),
        method: "POST".to_owned(),
        target: "/documents".to_owned(),
        headers: b"a: b\r\n".to_vec(),
        body: Bytes::from_static(b"PDF"),
    }
}

async fn changed(store: &Store, changes: Vec<OutboxChange>) {
    store.writer().outbox(changes, Vec::new()).await.unwrap();
}

fn claim(seq: i64, holder: &str, now: i64) -> OutboxChange {
    OutboxChange::Claim { seq, holder: holder.to_owned(), until: now + 10, now }
}

#[tokio::test]
async fn a_message_waits_over_a_restart_and_is_gone_when_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(&folder);
        changed(
            &store,
            vec![OutboxChange::Put(Box::new(message(2, 1))), OutboxChange::Put(Box::new(message(1, 1)))],
        )
        .await;
    }
    let store = open(&folder);
    let waiting = store.outbox_waiting(|_| false).unwrap();
    let order: Vec<(i64, Vec<[u8; 16]>)> =
        waiting.iter().map(|(head, chains)| (head.seq, chains.clone())).collect();
    assert_eq!(order, [(1, vec![[1; 16]]), (2, vec![[1; 16]])]);
    let whole = store.outbox_message(1).unwrap().unwrap();
    assert_eq!(
        (whole.body, whole.headers, whole.target.as_str(), whole.head.client.as_str()),
        (Bytes::from_static(b"PDF"), b"a: b\r\n".to_vec(), "/documents", "ris")
    );
    let end = |seq| OutboxChange::End {
        seq,
        state: "done",
        cause: None,
        told: false,
        at: 500,
        answer: Some((201, b"x: y\r\n".to_vec(), Bytes::from_static(b"{}"))),
    };
    changed(&store, vec![end(1)]).await;
    let ended = store.outbox_message(1).unwrap().unwrap();
    assert_eq!(
        (ended.body, ended.patient, ended.target.as_str()),
        (Bytes::new(), None, ""),
        "no text is kept"
    );
    assert_eq!(store.outbox_answer(1).unwrap(), Some((201, b"x: y\r\n".to_vec(), Bytes::from_static(b"{}"))));
    let known = store.outbox_known(&[[1; 16], [9; 16]]).unwrap();
    assert_eq!(known.iter().map(|head| (head.seq, head.told)).collect::<Vec<_>>(), [(1, false)]);
    changed(&store, vec![OutboxChange::Told(1)]).await;
    assert!(store.outbox_known(&[[1; 16]]).unwrap()[0].told);
    changed(
        &store,
        vec![end(2), OutboxChange::Wait { seq: 2, state: "queued", cause: String::new(), unsure: false }],
    )
    .await;
    assert!(store.outbox_waiting(|_| false).unwrap().is_empty(), "what has ended never waits again");
    changed(&store, vec![OutboxChange::Forget(500)]).await;
    assert_eq!(store.outbox_ended(true, 9).unwrap().len(), 2);
    changed(&store, vec![OutboxChange::Forget(501)]).await;
    assert!(
        store.outbox_ended(true, 9).unwrap().is_empty() && store.outbox_known(&[[1; 16]]).unwrap().is_empty()
    );
}

#[tokio::test]
async fn one_holder_sends_a_message_and_another_only_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    changed(&store, vec![OutboxChange::Put(Box::new(message(1, 1)))]).await;
    changed(&store, vec![claim(1, "old", 1_000), claim(1, "new", 1_005)]).await;
    assert_eq!(store.outbox_holder(1).unwrap().as_deref(), Some("old"));
    let head = |store: &Store| store.outbox_heads(1).unwrap().remove(0);
    assert!(!head(&store).unsure);
    changed(&store, vec![claim(1, "new", 1_010)]).await;
    assert_eq!(store.outbox_holder(1).unwrap().as_deref(), Some("new"));
    assert!(head(&store).unsure, "how the first attempt ended is not known");
    assert_eq!(head(&store).attempts, 2);
    let renew = OutboxChange::Renew {
        seq: 1,
        sending: [2; 32],
        tokens_until: None,
        headers: b"c: d\r\n".to_vec(),
        body: Bytes::from_static(b"PDF2"),
    };
    changed(&store, vec![renew.clone()]).await;
    assert_eq!(head(&store).sending, [1; 32], "what is under way is not changed");
    changed(
        &store,
        vec![
            OutboxChange::Wait { seq: 1, state: "needs-token", cause: "x".to_owned(), unsure: false },
            renew,
        ],
    )
    .await;
    let whole = store.outbox_message(1).unwrap().unwrap();
    assert_eq!(
        (whole.head.state.as_str(), whole.body, whole.head.bytes),
        ("queued", Bytes::from_static(b"PDF2"), 4)
    );
    assert!(whole.head.unsure && whole.head.sending == [2; 32]);
}

#[tokio::test]
async fn a_document_that_was_sent_is_nowhere_in_the_stores_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let document = b"%PDF Mario Rossi ".repeat(4_000);
    let text = b"Mario Rossi";
    let holds = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let texts = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        texts.map(|bytes| bytes.windows(text.len()).filter(|part| part == text).count()).sum::<usize>()
    };
    for seq in 1..4 {
        let whole = OutboxMessage { body: document.clone().into(), ..message(seq, 1) };
        changed(&store, vec![OutboxChange::Put(Box::new(whole))]).await;
    }
    assert!(holds() >= 3 * 4_000);
    let end = |seq| OutboxChange::End { seq, state: "done", cause: None, told: true, at: 500, answer: None };
    changed(&store, (1..4).map(end).collect()).await;
    for _ in 0..400 {
        if holds() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{} are left", holds());
}
