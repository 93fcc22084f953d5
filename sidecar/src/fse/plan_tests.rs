#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn chain(number: u8) -> Chain {
    [number; 16]
}

fn message(chains: &[u8]) -> Waiting {
    Waiting {
        id: "m".into(),
        route: "fse".into(),
        kind: Kind::Replace,
        chains: chains.iter().copied().map(chain).collect(),
        identity: [0; 32],
        sending: [0; 32],
        state: State::Queued,
        tokens_until: None,
        arrived: 0,
        due: 0,
        faults: 0,
        bytes: 1,
    }
}

#[test]
fn one_document_keeps_its_order_and_holds_up_no_other() {
    let mut plan = Plan::default();
    for (seq, chains) in [(1, &[1][..]), (2, &[1, 2]), (3, &[2]), (4, &[3])] {
        plan.add(seq, message(chains));
    }
    assert_eq!(plan.ready(0, 9), [1, 4]);
    plan.take(1);
    assert_eq!(plan.ready(0, 9), [4]);
    plan.end(1);
    assert_eq!(plan.ready(0, 9), [2, 4]);
    plan.wait(2, State::NeedsToken, 0);
    assert_eq!((plan.ready(0, 9), plan.turn(3)), (vec![4], Turn::BehindTokens));
    assert_eq!(plan.ready(0, 0), Vec::<i64>::new());
}

#[test]
fn after_silence_one_message_goes_first() {
    let mut plan = Plan::default();
    (1..=3).for_each(|seq| plan.add(seq, message(&[u8::try_from(seq).unwrap()])));
    let route: Arc<str> = "fse".into();
    let until = plan.fell_silent(&route, 1_000, 1.0, 0);
    assert_eq!(until, 2_000);
    assert!(plan.rests("fse", 1_999) && plan.ready(1_999, 9).is_empty());
    assert_eq!(plan.next_due(1_500), Some(2_000));
    assert_eq!(plan.ready(2_000, 9), [1]);
    plan.take(1);
    assert_eq!(plan.ready(2_000, 9), Vec::<i64>::new(), "one is under way to see whether it answers");
    assert_eq!(plan.fell_silent(&route, 1_500, 1.0, 0), 2_000, "together they have seen one failure");
    assert!(plan.answered("fse") && !plan.answered("fse"));
    assert_eq!(plan.ready(2_000, 9), [2, 3]);
    assert_eq!(plan.fell_silent(&route, 0, 0.0, 90_000), 90_000, "what the gateway asks for counts");
}

#[test]
fn pauses_double_up_to_a_minute_and_are_spread() {
    let whole: Vec<i64> = (0..8).map(|failures| pause(failures, 1.0)).collect();
    assert_eq!(whole, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!((pause(0, 0.0), pause(u32::MAX, 0.5)), (500, 45_000));
}

#[test]
fn a_message_that_comes_again_is_known_unless_something_came_between() {
    let known = |seq, kind, identity: u8, sending: u8| Known {
        seq,
        kind,
        identity: [identity; 32],
        sending: [sending; 32],
    };
    let again = |kind, identity: u8, sending: u8, list: &[Known]| {
        repeated(kind, &[identity; 32], &[sending; 32], list)
    };
    let (create, meta, delete) = (Kind::Create, Kind::UpdateMetadata, Kind::Delete);
    let list = [known(1, create, 1, 1), known(2, meta, 2, 2)];
    assert_eq!(again(create, 1, 9, &list), Some(1), "new metadata does not undo a creation");
    assert_eq!(again(create, 3, 9, &list), None);
    let masked_and_unmasked = [known(1, meta, 1, 1), known(2, meta, 2, 2)];
    assert_eq!(again(meta, 1, 9, &masked_and_unmasked), None, "masked again");
    assert_eq!(again(meta, 1, 1, &masked_and_unmasked), Some(1), "the very same sending");
    assert_eq!(again(meta, 2, 9, &masked_and_unmasked), Some(2));
    let created_and_deleted = [known(1, create, 1, 1), known(2, delete, 2, 2)];
    assert_eq!(again(create, 1, 9, &created_and_deleted), None);
    assert_eq!(again(create, 1, 9, &[]), None);
}

#[derive(Debug, Clone)]
enum Step {
    Arrives(Vec<u8>),
    Send,
    Ends(usize),
    Fails(usize),
    LosesItsToken(usize),
    GetsNewTokens,
    Passes(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0u8..5, 1..3).prop_map(Step::Arrives),
        4 => Just(Step::Send),
        3 => any::<usize>().prop_map(Step::Ends),
        2 => any::<usize>().prop_map(Step::Fails),
        1 => any::<usize>().prop_map(Step::LosesItsToken),
        1 => Just(Step::GetsNewTokens),
        2 => (0i64..100_000).prop_map(Step::Passes),
    ]
}

proptest! {
    /// Whatever happens: of one chain at most one message is under way, they end in the order in which they came, none is lost
    /// and none ends twice; and once everything works, everything ends.
    #[test]
    fn order_is_kept_and_nothing_is_lost(steps in prop::collection::vec(step(), 0..80)) {
        let (mut plan, mut now) = (Plan::default(), 0);
        let route: Arc<str> = "fse".into();
        let (mut came, mut under_way, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = steps;
        // At the end, everything works.
        all.push(Step::GetsNewTokens);
        for _ in 0..400 {
            all.extend([Step::Passes(120_000), Step::Send, Step::Ends(0)]);
        }
        for step in all {
            match step {
                Step::Arrives(mut chains) => {
                    chains.sort_unstable();
                    chains.dedup();
                    let seq = plan.number(now);
                    came.push((seq, chains.clone()));
                    plan.add(seq, message(&chains));
                }
                Step::Send => for seq in plan.ready(now, 2) {
                    plan.take(seq);
                    under_way.push(seq);
                },
                Step::Ends(at) if !under_way.is_empty() => {
                    let seq = under_way.remove(at % under_way.len());
                    plan.answered("fse");
                    prop_assert!(plan.end(seq).is_some());
                    ended.push(seq);
                }
                Step::Fails(at) if !under_way.is_empty() => {
                    let seq = under_way.remove(at % under_way.len());
                    let due = plan.fell_silent(&route, now, 0.5, 0);
                    plan.wait(seq, State::Queued, due);
                }
                Step::LosesItsToken(at) if !under_way.is_empty() => {
                    let seq = under_way.remove(at % under_way.len());
                    plan.wait(seq, State::NeedsToken, now);
                }
                Step::GetsNewTokens => {
                    let without: Vec<i64> =
                        plan.iter().filter(|(_, own)| own.state == State::NeedsToken).map(|(seq, _)| seq).collect();
                    without.into_iter().for_each(|seq| plan.wait(seq, State::Queued, now));
                }
                Step::Passes(time) => now += time,
                _ => {}
            }
            let mut busy = HashSet::new();
            for seq in &under_way {
                for chain in &plan.get(*seq).unwrap().chains {
                    prop_assert!(busy.insert(*chain), "two of one chain are under way");
                }
            }
            prop_assert_eq!(plan.iter().count() + ended.len(), came.len());
            prop_assert_eq!(plan.bytes(), plan.iter().count() as u64);
        }
        prop_assert_eq!(ended.iter().collect::<HashSet<_>>().len(), came.len(), "each ends once");
        for number in 0u8..5 {
            let of_chain = |seq: &&i64| came.iter().any(|(own, chains)| own == *seq && chains.contains(&number));
            let order: Vec<&i64> = ended.iter().filter(of_chain).collect();
            prop_assert!(order.is_sorted(), "{order:?}");
        }
    }
}
