//! Slicing: repetitions told apart, each by the rules of its slice (FHIR R4 §5.1.0.13).

use std::sync::{Arc, LazyLock};

use fhir_models::definition::{DiscriminatorKind, Max, Slicing, SlicingRules};

use crate::outcome::IssueType;

use super::super::cardinality::Cardinality;
use super::super::finding::Rule;
use super::super::walk::Walk;
use super::build::implied;
use super::discriminator::{Seen, compile};
use super::{NodeNumber, Occurrence, Profile, Slice};

/// How extensions are told apart where nothing else is said.
static BY_URL: LazyLock<Slicing> = LazyLock::new(|| implied(DiscriminatorKind::Value, "url"));

/// Gives each repetition to its slice and checks the slices. `sliced` is the node of the element, or of the
/// slice that is sliced again.
pub(super) fn check<'d>(
    walk: &mut Walk<'_, 'd>,
    parent: Occurrence<'d>,
    items: &[Occurrence<'d>],
    profile: &Arc<Profile>,
    sliced: NodeNumber,
    name: &str,
) {
    let Some(node) = profile.node(sliced) else { return };
    if node.slices.is_empty() {
        return;
    }
    let stated = node.slicing.as_ref();
    let stated = stated.filter(|it| !it.discriminators.is_empty() || it.rules != SlicingRules::Open);
    let slicing = match (stated, name) {
        (Some(slicing), _) => slicing,
        (None, "extension" | "modifierExtension") => &*BY_URL,
        (None, _) => return,
    };
    // The slice of each item, by its number.
    let mut members: Vec<Option<usize>> = Vec::with_capacity(items.len());
    let mut latest = 0;
    let mut outside = false;
    for item in items {
        let mut seen = Seen::default();
        let found = node
            .slices
            .iter()
            .position(|slice| belongs(walk, *item, profile, slice.node, slicing, &mut seen));
        let found = found.map(|first| {
            let rest = (first + 1..node.slices.len()).filter(|_| compares_values(slicing));
            let others: Vec<usize> = rest
                .filter(|at| {
                    let slice = node.slices.get(*at);
                    slice.is_some_and(|it| belongs(walk, *item, profile, it.node, slicing, &mut seen))
                })
                .collect();
            if others.is_empty() { first } else { chosen(walk, *item, profile, sliced, first, &others) }
        });
        members.push(found);
        match found {
            Some(at) => {
                if slicing.ordered && at < latest {
                    let slice = node.slices.get(at).map_or("", |slice| &*slice.name);
                    let message =
                        format!("the slice {slice} of {} stands out of order ({})", node.id, profile.url);
                    walk.report(item.at, item.at, Rule::Slicing.error(IssueType::Structure, message));
                }
                if outside && slicing.rules == SlicingRules::OpenAtEnd {
                    let message = format!(
                        "what is in no slice of {} must stand after the slices ({})",
                        node.id, profile.url
                    );
                    walk.report(item.at, item.at, Rule::Slicing.error(IssueType::Structure, message));
                }
                latest = latest.max(at);
            }
            None => {
                outside = true;
                if slicing.rules == SlicingRules::Closed {
                    let message = format!(
                        "this is in no slice of {}, and the slicing is closed ({})",
                        node.id, profile.url
                    );
                    walk.report(item.at, item.at, Rule::Slicing.error(IssueType::Structure, message));
                }
            }
        }
    }
    for (at, slice) in node.slices.iter().enumerate() {
        let own =
            || items.iter().zip(&members).filter(|(_, slice)| **slice == Some(at)).map(|(item, _)| *item);
        if is_forbidden(profile, slice.node) && by_type(slicing) {
            // A variant of a choice stands once at most: it is the fault, not its number.
            for item in own() {
                let message =
                    format!("the profile {} does not allow {} as {}", profile.url, node.id, item.type_name);
                walk.report(item.at, item.at, Rule::Type.error(IssueType::Structure, message));
            }
            continue;
        }
        count(walk, parent, own().count(), profile, slice.node);
        for item in own() {
            walk.rules(item, profile, slice.node);
        }
        if profile.node(slice.node).is_some_and(|node| !node.slices.is_empty()) {
            let own: Vec<_> = own().collect();
            check(walk, parent, &own, profile, slice.node, name);
        }
    }
}

/// True where discriminators look at values, not at whole profiles: then an item fits one slice.
fn compares_values(slicing: &Slicing) -> bool {
    slicing.discriminators.iter().all(|it| it.kind != DiscriminatorKind::Profile)
}

/// Of several slices that an item fits, the first whose rules it obeys. That it fits several is the profile's fault:
/// its discriminators can't tell them apart.
fn chosen<'d>(
    walk: &mut Walk<'_, 'd>,
    item: Occurrence<'d>,
    profile: &Arc<Profile>,
    sliced: NodeNumber,
    first: usize,
    others: &[usize],
) -> usize {
    let slices: &[Slice] = profile.node(sliced).map_or(&[], |node| &node.slices);
    let named = |at: &usize| slices.get(*at).map_or("", |it| &*it.name);
    let all: Vec<usize> = std::iter::once(first).chain(others.iter().copied()).collect();
    let names: Vec<&str> = all.iter().map(named).collect();
    let message = format!(
        "the profile {} can't tell its slices {} apart: this element fits each of them",
        profile.url,
        names.join(", ")
    );
    walk.report(item.at, item.at, Rule::Slicing.error(IssueType::Processing, message));
    let obeyed = |at: &usize| slices.get(*at).is_some_and(|it| walk.satisfies(item, profile, it.node));
    all.iter().copied().find(obeyed).unwrap_or(first)
}

fn is_forbidden(profile: &Profile, slice: NodeNumber) -> bool {
    profile.node(slice).is_some_and(|node| node.max == Some(Max::Count(0)))
}

/// True for slices that are the types of a choice.
fn by_type(slicing: &Slicing) -> bool {
    matches!(slicing.discriminators.as_slice(), [only] if only.kind == DiscriminatorKind::Type && only.path == "$this")
}

fn belongs<'t, 'd>(
    walk: &mut Walk<'_, 'd>,
    item: Occurrence<'d>,
    profile: &'t Arc<Profile>,
    slice: NodeNumber,
    slicing: &Slicing,
    seen: &mut Seen<'t, 'd>,
) -> bool {
    let Some(slot) = profile.tests.get(slice as usize) else { return false };
    let tests = match slot.get() {
        Some(tests) => tests,
        None => {
            let compiled = compile(walk, profile, slice, slicing);
            slot.get_or_init(|| compiled)
        }
    };
    !tests.tests.is_empty() && tests.tests.iter().all(|test| test.passes(walk, item, seen))
}

fn count<'d>(
    walk: &mut Walk<'_, 'd>,
    parent: Occurrence<'d>,
    found: usize,
    profile: &Profile,
    slice: NodeNumber,
) {
    let Some(node) = profile.node(slice) else { return };
    let bounds = Cardinality { min: node.min.unwrap_or(0), max: node.max.unwrap_or(Max::Unbounded) };
    if bounds.allows(found) {
        return;
    }
    let code = if found < bounds.min as usize { IssueType::Required } else { IssueType::Structure };
    let message = format!("{} stands {found} times; {} allowed ({})", node.id, bounds.shown(), profile.url);
    walk.report(parent.at, parent.at, Rule::Slicing.error(code, message));
}
