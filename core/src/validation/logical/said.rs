//! What the slices of a logical model say (FHIR R4 §5.1.0.13), as a tree beside the model's parts.
//!
//! A slice may speak of elements inside of it, the model's own or those of a FHIR type; their names need not be
//! FHIR's, so all are known by their text. Invariant: what the sliced element says of every repetition is left
//! out here, for it has been checked.

use fhir_models::definition::{
    Definitions, Discriminator, DiscriminatorKind, ElementDefinition, Max, STRUCTURE_BASE, Slicing,
    SlicingRules, StructureKind,
};
use fhir_models::document::Name;

use super::super::profile::{Segment, Step, implied, steps};
use super::model::OPEN;

/// True for a slice, and for an element inside of one.
pub(super) fn is_in_slice(element: &ElementDefinition) -> bool {
    element.slice_name.is_some() || element.id.contains(':')
}

/// An element as slices see it.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// As people read it: `Rilevazione.misure:pressione.massima`.
    pub id: Box<str>,
    /// Its name, without `[x]`.
    pub name: Box<str>,
    pub choice: bool,
    /// Types of FHIR that it may have; empty where it may have others.
    pub types: Box<[Name]>,
    /// The rules of its values.
    pub node: Option<u32>,
    pub min: Option<u32>,
    pub max: Option<Max>,
    /// The elements inside that it speaks of.
    pub inside: Vec<Said>,
    pub slicing: Option<Slicing>,
    /// Its slices, each with its name.
    pub slices: Vec<(Box<str>, Said)>,
    /// What tells this slice from the others.
    pub tests: Vec<Test>,
}

/// One discriminator: the values at a path, and what one of them must be.
#[derive(Debug)]
pub(super) struct Test {
    pub path: Vec<Step>,
    pub demand: Demand,
}

/// What is demanded of the values at a discriminator's path. Nodes are those of the model.
#[derive(Debug)]
pub(super) enum Demand {
    /// The fixed value or pattern of this node.
    Value(u32),
    Bound(u32),
    Text(String),
    Exists(bool),
    Type(Vec<Name>),
    /// They obey one of the profiles of this node, or refer to what does.
    Profile(Vec<Box<str>>),
    /// They obey what is said inside of the slice, by way of the names in the path.
    Conforms,
}

impl Said {
    /// The sliced element itself: its own rules have been checked.
    fn of(element: &ElementDefinition) -> Said {
        let tail = element.tail();
        let slicing = element.slicing.clone();
        let slicing = slicing.filter(|it| !it.discriminators.is_empty() || it.rules != SlicingRules::Open);
        let implicit = match tail {
            "extension" | "modifierExtension" => Some(implied(DiscriminatorKind::Value, "url")),
            _ if element.is_choice() => Some(implied(DiscriminatorKind::Type, "$this")),
            _ => None,
        };
        Said {
            id: element.path.as_str().into(),
            name: tail.trim_end_matches("[x]").into(),
            choice: element.is_choice(),
            types: types_of(element),
            slicing: slicing.or(implicit),
            ..Said::default()
        }
    }

    /// The place at the end of a way, made where it isn't there yet.
    fn at(&mut self, slice: Option<&str>, rest: &[Segment]) -> Option<&mut Said> {
        if let Some(slice) = slice {
            let outer = |name: &str| name == slice || slice.starts_with(&format!("{name}/"));
            let at = self.slices.iter().position(|(name, _)| outer(name));
            let at = at.unwrap_or_else(|| {
                let id = format!("{}:{slice}", self.id).into();
                let (name, types) = (self.name.clone(), self.types.clone());
                self.slices
                    .push((slice.into(), Said { id, name, types, choice: self.choice, ..Said::default() }));
                self.slices.len() - 1
            });
            // A slice of a slice is named `outer/inner`.
            let inner = self.slices.get(at).is_some_and(|(name, _)| &**name != slice);
            return self.slices.get_mut(at)?.1.at(Some(slice).filter(|_| inner), rest);
        }
        let Some((first, rest)) = rest.split_first() else { return Some(self) };
        let name = first.name.trim_end_matches("[x]");
        let at = self.inside.iter().position(|it| &*it.name == name).unwrap_or_else(|| {
            let id = format!("{}.{}", self.id, first.name).into();
            let choice = first.name.ends_with("[x]");
            self.inside.push(Said { id, name: name.into(), choice, ..Said::default() });
            self.inside.len() - 1
        });
        self.inside.get_mut(at)?.at(first.slice.as_deref(), rest)
    }
}

/// The types of an element, where all are FHIR's. What the model itself lists the parts of has none.
fn types_of(element: &ElementDefinition) -> Box<[Name]> {
    let name = |code: &str| Name::of(code.strip_prefix(STRUCTURE_BASE).unwrap_or(code));
    let names: Box<[Name]> = element.types.iter().map(|it| name(&it.code)).collect();
    let open = |it: &Name| *it == Name::UNKNOWN || OPEN.contains(&it.text());
    if names.iter().any(open) { Box::default() } else { names }
}

/// What a slice says that the model does not say of the element anyway.
pub(super) fn beyond(own: &ElementDefinition, all: &[ElementDefinition]) -> ElementDefinition {
    let mut own = own.clone();
    let Some(base) = all.iter().find(|it| it.path == own.path) else { return own };
    let slice = own.slice_name.is_some();
    own.min = own.min.filter(|_| slice || own.min != base.min);
    own.max = own.max.filter(|_| slice || own.max != base.max);
    for (mine, theirs) in [
        (&mut own.fixed, &base.fixed),
        (&mut own.pattern, &base.pattern),
        (&mut own.min_value, &base.min_value),
        (&mut own.max_value, &base.max_value),
    ] {
        if mine == theirs {
            *mine = None;
        }
    }
    own.min_length = own.min_length.filter(|_| own.min_length != base.min_length);
    own.max_length = own.max_length.filter(|_| own.max_length != base.max_length);
    if own.binding == base.binding {
        own.binding = None;
    }
    own.constraints.retain(|it| base.constraints.iter().all(|known| known.key != it.key));
    if own.types.is_empty() {
        own.types.clone_from(&base.types);
    }
    own
}

/// The sliced elements of a model, each with the path of the element around it. `sliced`: the elements in slices
/// with the ways to them and the numbers of their nodes; `all`: those outside.
pub(super) fn tree(
    definitions: &Definitions,
    all: &[ElementDefinition],
    sliced: &[(ElementDefinition, Vec<Segment>, u32)],
) -> Result<Vec<(String, Said)>, String> {
    let mut roots: Vec<(String, Said)> = Vec::new();
    let root = all.first().map_or("", |it| &*it.path);
    for (element, way, node) in sliced {
        let at = way.iter().position(|it| it.slice.is_some()).ok_or("a slice is lost")?;
        let (before, rest) = way.split_at(at);
        let Some((first, rest)) = rest.split_first() else { continue };
        let parent = before.iter().fold(root.to_owned(), |path, it| format!("{path}.{}", it.name));
        let path = format!("{parent}.{}", first.name);
        let plain = all.iter().find(|it| it.path == path);
        let plain = plain.ok_or_else(|| format!("it slices {path}, which it does not define"))?;
        let around = element.path.rsplit_once('.').map_or("", |it| it.0);
        let listed =
            |it: &ElementDefinition| it.path.strip_prefix(around).is_some_and(|it| it.starts_with('.'));
        if all.iter().any(listed) && all.iter().all(|it| it.path != element.path) {
            return Err(format!("{} is defined inside of a slice only", element.path));
        }
        let found = roots.iter().position(|(_, it)| *it.id == *path);
        let found = found.unwrap_or_else(|| {
            roots.push((parent, Said::of(plain)));
            roots.len() - 1
        });
        let place = roots.get_mut(found).and_then(|(_, said)| said.at(first.slice.as_deref(), rest));
        let Some(place) = place else { continue };
        place.node = Some(*node);
        (place.min, place.max) = (element.min, element.max);
        place.slicing = element.slicing.clone().or_else(|| Said::of(element).slicing);
        let types = types_of(element);
        if !types.is_empty() {
            place.types = types;
        }
        if place.choice
            && place.types.len() != 1
            && let Some(name) = &element.slice_name
            && let Some(own) = suffix(definitions, &place.name, name)
        {
            place.types = Box::new([own]);
        }
    }
    let of = |node: u32| sliced.iter().find(|it| it.2 == node).map(|it| &it.0);
    for (_, said) in &mut roots {
        tell(definitions, said, &of)?;
    }
    Ok(roots)
}

/// The type that ends the name of a variant: `Quantity` in `valueQuantity`.
pub(super) fn suffix(definitions: &Definitions, stem: &str, name: &str) -> Option<Name> {
    let rest = name.strip_prefix(stem)?;
    let first = rest.chars().next().filter(char::is_ascii_uppercase)?;
    let lower: String = std::iter::once(first.to_ascii_lowercase()).chain(rest.chars().skip(1)).collect();
    let found = [rest, lower.as_str()].into_iter().find(|it| definitions.type_kind(it).is_some());
    Some(found.map_or(Name::UNKNOWN, Name::of))
}

/// Gives each slice its tests.
fn tell<'e>(
    definitions: &Definitions,
    said: &mut Said,
    of: &dyn Fn(u32) -> Option<&'e ElementDefinition>,
) -> Result<(), String> {
    if let Some(slicing) = &said.slicing {
        for (_, slice) in &mut said.slices {
            for discriminator in &slicing.discriminators {
                let path = steps(&discriminator.path).ok_or_else(|| {
                    format!("the discriminator {} of {} can't be read", discriminator.path, said.id)
                })?;
                let test = test(definitions, slice, discriminator, path, of)?;
                slice.tests.extend(test);
            }
            if slice.tests.is_empty() && !slicing.discriminators.is_empty() {
                return Err(format!("its discriminators tell nothing of the slice {}", slice.id));
            }
        }
    }
    for inner in said.inside.iter_mut().chain(said.slices.iter_mut().map(|it| &mut it.1)) {
        tell(definitions, inner, of)?;
    }
    Ok(())
}

fn test<'e>(
    definitions: &Definitions,
    slice: &Said,
    discriminator: &Discriminator,
    path: Vec<Step>,
    of: &dyn Fn(u32) -> Option<&'e ElementDefinition>,
) -> Result<Option<Test>, String> {
    use DiscriminatorKind as Kind;
    let by_value = matches!(discriminator.kind, Kind::Value | Kind::Pattern);
    let element = |said: &Said| said.node.and_then(of);
    let valued = |said: &Said| element(said).is_some_and(|it| it.fixed.is_some() || it.pattern.is_some());
    let mut here = Some(slice);
    for (at, step) in path.iter().enumerate() {
        let Some(said) = here else { break };
        if by_value
            && valued(said)
            && let Some(node) = said.node
        {
            let path = path.iter().take(at).cloned().collect();
            return Ok(Some(Test { path, demand: Demand::Value(node) }));
        }
        let own = element(said).and_then(|it| it.types.first()).filter(|it| it.code == "Extension");
        if *step == Step::Name("url".to_owned())
            && let Some(canonical) = own.and_then(|it| it.profiles.first())
        {
            let url = canonical.split('|').next().unwrap_or_default().to_owned();
            return Ok(Some(Test { path, demand: Demand::Text(url) }));
        }
        here = match step {
            Step::Name(name) => said.inside.iter().find(|it| *it.name == **name),
            Step::OfType(_) => Some(said),
            Step::Resolve if at + 1 == path.len() => Some(said),
            Step::Resolve | Step::Extension(_) => {
                return Err(format!(
                    "the slice {} is told by {}, which is not checked in logical models",
                    slice.id, discriminator.path
                ));
            }
        };
    }
    let Some(said) = here else { return Ok(None) };
    let stands = match (said.min, said.max) {
        (_, Some(Max::Count(0))) => Some(false),
        (Some(1..), _) => Some(true),
        _ => None,
    };
    let resolved = path.last() == Some(&Step::Resolve);
    let demand = match discriminator.kind {
        Kind::Value | Kind::Pattern => match said.node {
            Some(node) if valued(said) => Some(Demand::Value(node)),
            Some(node) if element(said).is_some_and(|it| it.binding.is_some()) => Some(Demand::Bound(node)),
            _ if !said.inside.is_empty() => Some(Demand::Conforms),
            _ => stands.map(Demand::Exists),
        },
        Kind::Exists => stands.map(Demand::Exists),
        Kind::Type => {
            let is_resource = |it: &Name| definitions.type_kind(it.text()) == Some(StructureKind::Resource);
            let told = said.choice || (!said.types.is_empty() && said.types.iter().all(is_resource));
            if resolved || !told {
                return Err(format!(
                    "the slice {} is told by its type, which its name doesn't tell",
                    slice.id
                ));
            }
            (!said.types.is_empty()).then(|| Demand::Type(said.types.to_vec()))
        }
        Kind::Profile => {
            let types = element(said).map_or(&[][..], |it| &it.types);
            let canonicals =
                types.iter().flat_map(|it| if resolved { &it.target_profiles } else { &it.profiles });
            let canonicals: Vec<Box<str>> = canonicals.map(|it| it.as_str().into()).collect();
            (!canonicals.is_empty()).then_some(Demand::Profile(canonicals))
        }
    };
    Ok(demand.map(|demand| Test { path, demand }))
}
