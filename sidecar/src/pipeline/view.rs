//! A resource as far as one caller may see it: whole, without the parts that are hidden, or not at all.
//!
//! By `access.nested = "withhold"` a resource is as hidden as the strictest of what it holds. By `"cut"` each resource
//! in it is judged as itself, and hidden ones are cut out with all that tells of them ([`cut_resources`]).
//!
//! Invariants: what a whole judgement permits is shown whole, so cutting only ever adds to what withholding shows;
//! what is shown of a part is judged again until nothing in it is hidden. Whatever is not read, searched or included
//! goes by the whole judgement: a resource of which a part is hidden can't be changed, and has no versions.

use fhir_models::document::{Edits, Limits, OwnedDocument, Value, name};
use varco_core::access::{
    LabelScene, Labels, NestedResource, Rest, cut_resources, inherited_beside, resources,
};
use varco_core::consent::{Action, ResourceFacts};
use varco_core::requester::Code;

use super::Refusal;
use super::exchange::Exchange;
use super::judge::Judgement;
use super::told::{Told, is_binary};
use crate::config::Nested;

/// Most resources inside one that are judged; one that holds more is withheld.
const MOST_PARTS: usize = 2_000;
/// How often what is left is judged again; one that is not settled then is withheld.
const MOST_ROUNDS: usize = 8;

/// A resource as far as a caller may see it.
pub(super) enum View {
    /// As it is.
    Whole(Judgement),
    /// This much of it.
    Part(Judgement, OwnedDocument),
    /// This much of it: elements are cut, by which it must not be found.
    Trimmed(Judgement, OwnedDocument),
    /// Not at all.
    Hidden(Judgement),
}

impl Exchange<'_> {
    /// Judges a resource that would be released, as if it had these labels as well.
    pub async fn view(&mut self, resource: Value<'_>, labels: &[Code]) -> Result<View, Refusal> {
        let judgement = self.judge_under(resource, labels).await?;
        self.view_by(resource, labels, judgement).await
    }

    /// The same, by what it tells ([`Exchange::told_by_each`]).
    pub async fn view_told(
        &mut self,
        resource: Value<'_>,
        labels: &[Code],
        told: Told,
    ) -> Result<View, Refusal> {
        let judgement = self.judge_told(resource, labels, told).await?;
        self.view_by(resource, labels, judgement).await
    }

    async fn view_by(
        &mut self,
        resource: Value<'_>,
        labels: &[Code],
        judgement: Judgement,
    ) -> Result<View, Refusal> {
        if judgement.permitted {
            return Ok(View::Whole(judgement));
        }
        if let Some((judgement, left)) = Box::pin(self.without_elements(resource, labels)).await? {
            return Ok(View::Trimmed(judgement, left));
        }
        if self.gateway.config.access.nested == Nested::Withhold {
            return Ok(View::Hidden(judgement));
        }
        let inside = resources(resource).len();
        if !(2..=MOST_PARTS).contains(&inside) {
            return Ok(View::Hidden(judgement));
        }
        Ok(match Box::pin(self.part(resource, labels)).await? {
            Some((judgement, part)) => View::Part(judgement, part),
            None => View::Hidden(judgement),
        })
    }

    /// What may be shown of a resource that may not be shown as a whole.
    async fn part(
        &mut self,
        resource: Value<'_>,
        labels: &[Code],
    ) -> Result<Option<(Judgement, OwnedDocument)>, Refusal> {
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        let read = |json: &[u8]| OwnedDocument::parse_json(json, &limits).map_err(|_| Refusal::Internal);
        let mut document = read(resource.raw().as_bytes())?;
        for _ in 0..MOST_ROUNDS {
            let judged = self.judge_parts(document.root(), labels).await?;
            let hidden: Vec<bool> = judged.iter().map(|own| !own.permitted).collect();
            let all = resources(document.root());
            let json = match cut_resources(document.document(), &all, &hidden, &self.gateway.necessary) {
                Rest::Nothing => return Ok(None),
                Rest::Whole => {
                    let whole = judged.into_iter().reduce(Judgement::and);
                    // A token for one patient's data shows what holds data of that patient.
                    let theirs = whole.filter(|whole| self.covers(&whole.patients));
                    return Ok(theirs.map(|judgement| (judgement, document)));
                }
                Rest::Part(json) => json,
            };
            judged.into_iter().filter(|own| !own.permitted).for_each(|own| self.withhold(own));
            document = read(&json)?;
        }
        Ok(None)
    }

    /// True where the token's scopes cover the data of one of these patients.
    fn covers(&self, patients: &[String]) -> bool {
        self.confined_to.as_ref().is_none_or(|own| {
            patients.iter().any(|patient| patient.strip_prefix("Patient/") == Some(own.as_str()))
        })
    }

    /// Judges each resource in one, itself first, as itself.
    async fn judge_parts(&mut self, root: Value<'_>, labels: &[Code]) -> Result<Vec<Judgement>, Refusal> {
        let bases = self.gateway.reading.bases.clone();
        let all = resources(root);
        let patients = self.gateway.compartment.of_each(&all, &bases);
        let mut scene = LabelScene::new(&bases);
        scene.add(root);
        let mut judged: Vec<Judgement> = Vec::with_capacity(all.len());
        // The labels that each passes on to what it holds, and whose it is.
        let mut known: Vec<(Labels, Vec<Code>)> = Vec::with_capacity(all.len());
        let mut whose = patients;
        for (at, own) in all.iter().enumerate() {
            let holder = own.holder.filter(|_| at > 0);
            let hidden = holder.and_then(|holder| judged.get(holder)).is_some_and(|holder| !holder.permitted);
            if hidden {
                judged.push(Judgement::default());
                known.push((Labels::default(), Vec::new()));
                continue;
            }
            let shell = shell(own.value, &all, at)?;
            let value = shell.as_ref().map_or(own.value, OwnedDocument::root);
            let mut facts = ResourceFacts::of_resource(value, &self.gateway.reading);
            let (around, held) = holder.and_then(|holder| known.get(holder)).cloned().unwrap_or_default();
            let mut labelled = if own.contained {
                facts.reference = None;
                Labels::of(value).within(&around)
            } else {
                inherited_beside(Labels::of(value).within(&around), value, &bases, &scene).labels
            };
            facts.add_labels(&labelled);
            facts.labels.extend(held.iter().cloned());
            if at == 0 {
                facts.labels.extend(labels.iter().cloned());
            }
            // What a contained resource says belongs to whom its holder belongs to.
            if own.contained
                && let Some(links) = holder.and_then(|holder| whose.get(holder)).map(|own| own.links.clone())
                && let Some(own) = whose.get_mut(at)
            {
                own.links.extend(links);
            }
            let patients = whose.get(at).cloned().unwrap_or_default();
            let confined = self.confined_to.take();
            // What is nobody's, such as the Bundle around it, is judged by what else stands there.
            if !patients.is_nobodys() {
                self.confined_to.clone_from(&confined);
            }
            let judgement = if is_binary(value) {
                self.decide(value, Action::Access, &facts.labels.clone()).await
            } else {
                self.decide_by(value, Action::Access, &mut facts, &patients).await
            };
            self.confined_to = confined;
            judged.push(judgement?);
            let is_bundle = own.value.get(name::RESOURCE_TYPE).is_some_and(|kind| kind.is_str("Bundle"));
            if is_bundle {
                labelled = Labels::own(own.value).within(&around);
            }
            let passed = if at == 0 { labels.to_vec() } else { held };
            known.push((labelled, passed));
        }
        Ok(judged)
    }
}

/// A resource without those inside it; nothing where it holds none.
fn shell(value: Value<'_>, all: &[NestedResource<'_>], at: usize) -> Result<Option<OwnedDocument>, Refusal> {
    let mut inner = all.iter().filter(|own| own.holder == Some(at)).peekable();
    if inner.peek().is_none() {
        return Ok(None);
    }
    let mut edits = Edits::new(value.document());
    inner.for_each(|own| edits.remove(own.unit));
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    let json = edits.apply_within(value);
    OwnedDocument::parse_json(json, &limits).map(Some).map_err(|_| Refusal::Internal)
}
