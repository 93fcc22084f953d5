//! What tells a slice: discriminators compiled to tests (FHIR R4 §5.1.0.14, §5.1.0.15).
//!
//! A discriminator is a path; what the slice's own rules say at that path is the test. Paths are FHIRPath
//! restricted to names, `$this`, `resolve()`, `ofType()` and `extension()`.

use std::sync::Arc;

use fhir_models::definition::{Discriminator, DiscriminatorKind, Max, Slicing, choice_name};
use fhir_models::document::{Name, OwnedDocument, Value, name};

use super::super::binding::BindingRule;
use super::super::walk::Walk;
use super::{Node, NodeNumber, Occurrence, Profile};

/// One step of a discriminator's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Step {
    Name(String),
    Resolve,
    OfType(Name),
    Extension(String),
}

/// All that tells one slice.
#[derive(Debug, Default)]
pub(in super::super) struct Tests {
    pub(super) tests: Vec<Test>,
}

/// One test: the values at a path, and what one of them must be.
#[derive(Debug)]
pub(super) struct Test {
    path: Vec<Step>,
    demand: Demand,
}

#[derive(Debug)]
enum Demand {
    Fixed(OwnedDocument),
    Pattern(OwnedDocument),
    Text(String),
    Bound(Arc<BindingRule>),
    Exists(bool),
    Type(Vec<Name>),
    Profile(Vec<Box<str>>),
    /// The rules of this node hold.
    Conforms(Arc<Profile>, NodeNumber),
}

/// A node with the profile that it belongs to.
type Holder = (Arc<Profile>, NodeNumber);

/// Reads a path; `None` for what the restricted FHIRPath does not allow.
pub(in super::super) fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in parts(path) {
        let part = part.trim();
        if part.is_empty() || part == "$this" {
            continue;
        }
        let Some((function, argument)) = part.split_once('(') else {
            steps.push(Step::Name(part.trim_end_matches("[x]").to_owned()));
            continue;
        };
        let argument = argument.strip_suffix(')')?.trim();
        steps.push(match function {
            "resolve" => Step::Resolve,
            "ofType" | "as" => Step::OfType(Name::of(argument.rsplit('.').next().unwrap_or(argument))),
            "extension" => Step::Extension(argument.trim_matches(['\'', '"']).to_owned()),
            _ => return None,
        });
    }
    Some(steps)
}

/// Parts between dots that stand outside parentheses.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0usize);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'.' if depth == 0 => {
                parts.extend(path.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(path.get(start..));
    parts
}

/// Compiles the tests of a slice.
pub(super) fn compile(
    walk: &Walk<'_, '_>,
    profile: &Arc<Profile>,
    slice: NodeNumber,
    slicing: &Slicing,
) -> Tests {
    let mut compiled = Tests::default();
    for discriminator in &slicing.discriminators {
        // A discriminator of which the slice says nothing tells nothing; the others decide.
        if let Some(path) = steps(&discriminator.path) {
            test(walk, profile, slice, discriminator, path, &mut compiled.tests);
        }
    }
    compiled
}

fn test(
    walk: &Walk<'_, '_>,
    profile: &Arc<Profile>,
    slice: NodeNumber,
    discriminator: &Discriminator,
    path: Vec<Step>,
    tests: &mut Vec<Test>,
) {
    let mut holders: Vec<Holder> = vec![(Arc::clone(profile), slice)];
    holders.extend(profiled(walk, profile, slice));
    let by_value = matches!(discriminator.kind, DiscriminatorKind::Value | DiscriminatorKind::Pattern);
    for (at, step) in path.iter().enumerate() {
        if by_value && let Some(demand) = holders.iter().find_map(value_of) {
            tests.push(Test { path: path.iter().take(at).cloned().collect(), demand });
            return;
        }
        if let Step::Name(wanted) = step
            && wanted == "url"
            && let Some(url) = holders.iter().find_map(extension_url)
        {
            tests.push(Test { path, demand: Demand::Text(url) });
            return;
        }
        holders = holders.iter().flat_map(|holder| below(walk, holder, step)).collect();
    }
    let demand = match discriminator.kind {
        DiscriminatorKind::Value | DiscriminatorKind::Pattern => holders.iter().find_map(value_demand),
        DiscriminatorKind::Exists => holders.iter().find_map(|(profile, number)| {
            let node = profile.node(*number)?;
            match (node.min, node.max) {
                (_, Some(Max::Count(0))) => Some(Demand::Exists(false)),
                (Some(1..), _) => Some(Demand::Exists(true)),
                _ => None,
            }
        }),
        DiscriminatorKind::Type => {
            let resolved = path.last() == Some(&Step::Resolve);
            holders.iter().find_map(|holder| type_demand(holder, resolved))
        }
        DiscriminatorKind::Profile => profiles_at(walk, profile, slice, &path),
    };
    if let Some(demand) = demand {
        tests.push(Test { path, demand });
    }
}

/// The canonical that a slice of extensions is bound to is the extension's url.
fn extension_url((profile, number): &Holder) -> Option<String> {
    let node = profile.node(*number)?;
    let [only] = &*node.types else { return None };
    let canonical = only.profiles.first().filter(|_| only.name.text() == "Extension")?;
    Some(canonical.split('|').next().unwrap_or_default().to_owned())
}

fn value_of((profile, number): &Holder) -> Option<Demand> {
    let node = profile.node(*number)?;
    let fixed = node.fixed.clone().map(Demand::Fixed);
    fixed.or_else(|| node.pattern.clone().map(Demand::Pattern))
}

fn value_demand(holder: &Holder) -> Option<Demand> {
    if let Some(found) = value_of(holder) {
        return Some(found);
    }
    let (profile, number) = holder;
    let node = profile.node(*number)?;
    if let Some(binding) = node.binding.as_ref().filter(|it| it.is_binding()) {
        return Some(Demand::Bound(Arc::clone(binding)));
    }
    if speaks(profile, node) {
        return Some(Demand::Conforms(Arc::clone(profile), *number));
    }
    match (node.min, node.max) {
        (_, Some(Max::Count(0))) => Some(Demand::Exists(false)),
        (Some(1..), _) => Some(Demand::Exists(true)),
        _ => type_demand(holder, false),
    }
}

/// True where something below the node tells values apart.
fn speaks(profile: &Profile, node: &Node) -> bool {
    node.children.iter().filter_map(|child| profile.node(child.node)).any(|child| {
        child.fixed.is_some()
            || child.pattern.is_some()
            || child.binding.as_ref().is_some_and(|it| it.is_binding())
            || speaks(profile, child)
    })
}

fn type_demand((profile, number): &Holder, resolved: bool) -> Option<Demand> {
    let node = profile.node(*number)?;
    if !node.types.is_empty() {
        return Some(Demand::Type(node.types.iter().map(|it| it.name).collect()));
    }
    // A profile reached by way of a reference: its own type.
    (resolved && *number == 0).then(|| Demand::Type(vec![profile.type_name]))
}

fn profiles_at(
    walk: &Walk<'_, '_>,
    profile: &Arc<Profile>,
    slice: NodeNumber,
    path: &[Step],
) -> Option<Demand> {
    let mut holders: Vec<Holder> = vec![(Arc::clone(profile), slice)];
    let (last, before) = match path.split_last() {
        Some((Step::Resolve, before)) => (true, before),
        _ => (false, path),
    };
    for step in before {
        holders = holders.iter().flat_map(|holder| below(walk, holder, step)).collect();
    }
    holders.iter().find_map(|(profile, number)| {
        let node = profile.node(*number)?;
        let named: Vec<Box<str>> = node
            .types
            .iter()
            .flat_map(|it| if last { it.targets.iter() } else { it.profiles.iter() })
            .cloned()
            .collect();
        (!named.is_empty()).then_some(Demand::Profile(named))
    })
}

/// The roots of the profiles that a node's types name.
fn profiled(walk: &Walk<'_, '_>, profile: &Arc<Profile>, number: NodeNumber) -> Vec<Holder> {
    let Some(node) = profile.node(number) else { return Vec::new() };
    let named = node.types.iter().flat_map(|it| it.profiles.iter());
    named.filter_map(|canonical| Some((walk.profiles.get(walk.types, canonical).ok()?, 0))).collect()
}

fn below(walk: &Walk<'_, '_>, (profile, number): &Holder, step: &Step) -> Vec<Holder> {
    let Some(node) = profile.node(*number) else { return Vec::new() };
    let mut found = Vec::new();
    match step {
        Step::Name(wanted) => {
            for child in &node.children {
                let direct = &*child.name == wanted;
                let typed = child.choice
                    && choice_name(&child.name, "").len() < wanted.len()
                    && child.names.iter().any(|(name, _)| name.text() == wanted);
                if direct || typed {
                    found.push((Arc::clone(profile), child.node));
                    found.extend(profiled(walk, profile, child.node));
                    // What the only slice says counts where the element itself says nothing.
                    if let Some(child) = profile.node(child.node)
                        && let [only] = child.slices.as_slice()
                    {
                        found.push((Arc::clone(profile), only.node));
                    }
                }
            }
        }
        Step::Resolve => {
            for target in node.types.iter().flat_map(|it| it.targets.iter()) {
                found.extend(walk.profiles.get(walk.types, target).ok().map(|target| (target, 0)));
            }
        }
        Step::OfType(_) => found.push((Arc::clone(profile), *number)),
        Step::Extension(url) => {
            for child in node.children.iter().filter(|child| &*child.name == "extension") {
                let Some(sliced) = profile.node(child.node) else { continue };
                for slice in &sliced.slices {
                    let holder = (Arc::clone(profile), slice.node);
                    let own = extension_url(&holder).or_else(|| fixed_url(profile, slice.node));
                    if own.as_deref() == Some(url) {
                        found.extend(profiled(walk, profile, slice.node));
                        found.push(holder);
                    }
                }
            }
        }
    }
    found
}

fn fixed_url(profile: &Profile, number: NodeNumber) -> Option<String> {
    let node = profile.node(number)?;
    let url = node.children.iter().find(|child| &*child.name == "url")?;
    let fixed = profile.node(url.node)?.fixed.as_ref()?;
    fixed.root().as_str().map(|text| text.into_owned())
}

impl Test {
    /// True where a value at the path is what the slice demands.
    pub(super) fn passes<'t, 'd>(
        &'t self,
        walk: &mut Walk<'_, 'd>,
        item: Occurrence<'d>,
        seen: &mut Seen<'t, 'd>,
    ) -> bool {
        // Of an item that is tested for many slices, the values at a path are looked up once.
        let values = match seen.values.iter().position(|(path, _)| **path == *self.path) {
            Some(at) => at,
            None => {
                seen.values.push((&self.path, follow(walk, item, &self.path)));
                seen.values.len() - 1
            }
        };
        let found = seen.values.get(values).map(|(_, found)| found.as_slice()).unwrap_or_default();
        match &self.demand {
            Demand::Exists(wanted) => found.is_empty() != *wanted,
            demand => found.iter().any(|it| demand.met(walk, *it)),
        }
    }
}

/// The values of one item at the paths looked up so far.
#[derive(Debug, Default)]
pub(super) struct Seen<'t, 'd> {
    values: Vec<(&'t [Step], Vec<Occurrence<'d>>)>,
}

impl Demand {
    fn met<'d>(&self, walk: &mut Walk<'_, 'd>, it: Occurrence<'d>) -> bool {
        match self {
            Demand::Fixed(wanted) => it.value.is_some_and(|value| super::equal(value, wanted.root())),
            Demand::Pattern(wanted) => it.value.is_some_and(|value| super::matches(value, wanted.root())),
            Demand::Text(wanted) => it.value.is_some_and(|value| value.is_str(wanted)),
            Demand::Bound(rule) => it.value.is_some_and(|value| rule.admits(&walk.codes, value)),
            Demand::Exists(wanted) => *wanted,
            Demand::Type(types) => types.iter().any(|wanted| walk.types.is_subtype(it.type_name, *wanted)),
            Demand::Profile(named) => {
                let named = named.clone();
                named.iter().any(|canonical| walk.obeys(it, canonical))
            }
            Demand::Conforms(profile, number) => walk.satisfies(it, profile, *number),
        }
    }
}

/// The values at a path.
pub(super) fn follow<'d>(
    walk: &mut Walk<'_, 'd>,
    item: Occurrence<'d>,
    path: &[Step],
) -> Vec<Occurrence<'d>> {
    let mut found = vec![item];
    for step in path {
        found = found.into_iter().flat_map(|it| next(walk, it, step)).collect();
    }
    found
}

fn next<'d>(walk: &mut Walk<'_, 'd>, item: Occurrence<'d>, step: &Step) -> Vec<Occurrence<'d>> {
    match step {
        Step::Name(wanted) => {
            let direct = item.named(&[(Name::of(wanted), Name::UNKNOWN)]);
            if direct.is_empty() { item.named(&walk.variants(wanted, item)) } else { direct }
        }
        Step::OfType(wanted) => {
            if walk.types.is_subtype(item.type_name, *wanted) {
                vec![item]
            } else {
                Vec::new()
            }
        }
        Step::Resolve => item.value.and_then(|value| walk.resolved(value)).into_iter().collect(),
        Step::Extension(url) => {
            let own = Name::of("Extension");
            let all = item.named(&[(name::EXTENSION, own)]);
            all.into_iter().filter(|it| has_url(it.value, url)).collect()
        }
    }
}

fn has_url(extension: Option<Value<'_>>, url: &str) -> bool {
    extension.and_then(|it| it.get(name::URL)).is_some_and(|it| it.is_str(url))
}

impl Walk<'_, '_> {
    /// The variants of a choice that stand in an occurrence: `valueQuantity` for `value`.
    fn variants(&self, stem: &str, item: Occurrence<'_>) -> Vec<(Name, Name)> {
        let Some(object) = item.object() else { return Vec::new() };
        let members = object.children().filter_map(|member| {
            let rest = member.name().text().strip_prefix(stem)?;
            let first = rest.chars().next().filter(char::is_ascii_uppercase)?;
            let lower: String =
                std::iter::once(first.to_ascii_lowercase()).chain(rest.chars().skip(1)).collect();
            let definitions = self.types.definitions();
            let type_name =
                [rest, lower.as_str()].into_iter().find(|it| definitions.type_kind(it).is_some())?;
            Some((member.name(), Name::of(type_name)))
        });
        members.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_restricted_fhirpath() {
        assert_eq!(steps("$this").unwrap(), []);
        let name = |text: &str| Step::Name(text.to_owned());
        assert_eq!(steps("code.coding").unwrap(), [name("code"), name("coding")]);
        assert_eq!(steps("value[x]").unwrap(), [name("value")]);
        assert_eq!(
            steps("item.resolve().ofType(Patient)").unwrap(),
            [name("item"), Step::Resolve, Step::OfType(Name::of("Patient"))]
        );
        assert_eq!(
            steps("extension('http://example.org/a.b').value").unwrap(),
            [Step::Extension("http://example.org/a.b".to_owned()), name("value")]
        );
        assert_eq!(steps("item.where(true)"), None);
    }
}
