//! What stands in the result otherwise than in the source: values that became others, what was added, lists in another
//! order, lists that were joined. With the losses, this is all that a way there and back can differ by.
//!
//! A value of the result is compared with what it was made of: what its transform was given, else the element of the same
//! name in the item that its surroundings were made of. Invariant: what also stands somewhere in the result as it
//! stood in the source is no change.

use std::collections::{BTreeMap, HashMap, HashSet};

use fhir_models::document::{Kind, Position, Value};

use super::places::Places;
use super::run::Run;
use super::tree::{Content, SourceRef};
use super::types::Element;

/// Most changes told.
const MOST: usize = 10_000;
/// Most characters of what was added.
const MOST_SHOWN: usize = 200;
/// Deepest result that is looked at; none deeper is written.
const MAX_DEPTH: usize = 256;

/// Something that stands in the result otherwise than in the first source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place in the source, as a FHIRPath expression.
    pub path: String,
    /// Line and column there.
    pub position: Position,
    /// Group and rule that made it.
    pub rule: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// How something changed. Values may be a person's data: they belong in no shared log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A value became another: translated, spelled otherwise, replaced by a constant.
    Value {
        /// In the source.
        before: String,
        /// In the result.
        after: String,
    },
    /// The map added something to an item of the source: `path` is where it would stand there, with its number in the
    /// list of the result.
    Added {
        /// A value as text, anything else as JSON, cut where it is long.
        after: String,
    },
    /// The items of a list stand in another order.
    Order {
        /// Their numbers in the source, from 0, in the order of the result. Those that are not there were lost.
        items: Vec<usize>,
    },
    /// The items of several lists became one list, or those of one list stand in other surroundings: which of them stood
    /// together can't be told any more.
    Joined {
        /// The lists in the source.
        lists: Vec<String>,
        /// The element of the result that holds them.
        into: String,
    },
}

impl ChangeKind {
    /// In one word.
    pub fn text(&self) -> &'static str {
        match self {
            ChangeKind::Value { .. } => "value",
            ChangeKind::Added { .. } => "added",
            ChangeKind::Order { .. } => "order",
            ChangeKind::Joined { .. } => "joined",
        }
    }

    /// What stood in the source.
    pub fn before(&self) -> String {
        match self {
            ChangeKind::Value { before, .. } => before.clone(),
            ChangeKind::Added { .. } => String::new(),
            ChangeKind::Order { items } => {
                let mut sorted = items.clone();
                sorted.sort_unstable();
                numbers(&sorted)
            }
            ChangeKind::Joined { lists, .. } => lists.join(", "),
        }
    }

    /// What stands in the result.
    pub fn after(&self) -> String {
        match self {
            ChangeKind::Value { after, .. } | ChangeKind::Added { after } => after.clone(),
            ChangeKind::Order { items } => numbers(items),
            ChangeKind::Joined { into, .. } => into.clone(),
        }
    }
}

fn numbers(items: &[usize]) -> String {
    items.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// What nodes of the result were made of, and by which rule.
#[derive(Debug, Default)]
pub(super) struct Origins(HashMap<u32, Origin>);

#[derive(Debug, Clone, Copy)]
struct Origin {
    place: Option<SourceRef>,
    site: usize,
    /// A transform gave it.
    computed: bool,
}

impl Origins {
    /// Notes it for a node, unless it is known.
    pub fn note(&mut self, node: u32, place: Option<SourceRef>, site: usize, computed: bool) {
        self.0.entry(node).or_insert(Origin { place, site, computed });
    }
}

/// All changes of a run, in the order of its results; none where nothing was recorded. The places are those of its
/// first source.
pub(super) fn changes<'a>(run: &Run<'_, 'a>, places: &Places<'a>, results: &[u32]) -> Vec<Change> {
    let Some(recorder) = &run.recorder else { return Vec::new() };
    let mut search = Search {
        run,
        origins: &recorder.origins,
        places,
        copied: HashSet::new(),
        told: HashSet::new(),
        found: Vec::new(),
    };
    for node in results {
        search.note_copied(*node, 0);
    }
    for node in results {
        let root = run.tree.get(*node).map(|it| run.sources.root(0, it.ty));
        let same = root.filter(|it| run.tree.get(*node).is_some_and(|own| own.ty == it.ty));
        search.look(*node, same, 0);
    }
    search.found
}

struct Search<'s, 'r, 'a> {
    run: &'s Run<'r, 'a>,
    origins: &'s Origins,
    places: &'s Places<'a>,
    /// Source nodes that stand in the result as they are.
    copied: HashSet<u32>,
    told: HashSet<(u32, String)>,
    found: Vec<Change>,
}

impl<'a> Search<'_, '_, 'a> {
    fn note_copied(&mut self, node: u32, depth: usize) {
        let run = self.run;
        match run.tree.get(node).map(|it| &it.content) {
            Some(Content::Copied(place)) if place.document == 0 => {
                self.copied.insert(place.node);
            }
            Some(Content::Parts | Content::Value(..)) if depth < MAX_DEPTH => {
                run.tree.children(node).for_each(|(child, _)| self.note_copied(child, depth + 1));
            }
            _ => {}
        }
    }

    fn is_copied(&self, node: u32) -> bool {
        std::iter::successors(Some(node), |it| self.places.parent(*it)).any(|it| self.copied.contains(&it))
    }

    fn origin(&self, node: u32) -> Option<Origin> {
        self.origins.0.get(&node).copied()
    }

    /// A node of the result, beside what stands for it in the source.
    fn look(&mut self, node: u32, beside: Option<SourceRef>, depth: usize) {
        let run = self.run;
        let Some(own) = run.tree.get(node).filter(|_| depth < MAX_DEPTH) else { return };
        if let (Content::Value(_, text), Some(place)) = (&own.content, beside) {
            let before = run.sources.scalar(place).filter(|it| it.text != *text).map(|it| it.text);
            if let Some(before) = before.filter(|_| !self.is_copied(place.node)) {
                let kind = ChangeKind::Value { before: before.into_owned(), after: text.to_string() };
                self.tell(place.node, "", node, kind);
            }
        }
        if matches!(own.content, Content::Copied(_)) {
            return;
        }
        let Some(ty) = run.ty(own.ty) else { return };
        let mut groups: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (child, it) in run.tree.children(node) {
            groups.entry(it.element).or_default().push(child);
        }
        for (element, children) in groups {
            let Some(element) = ty.elements.get(usize::from(element)) else { continue };
            if children.len() > 1 {
                let into = format!("{}.{}", ty.name, element.name);
                self.list(&children, &into, beside);
            }
            // Of several that were made of one item, the one made around it stands for it, not one that was computed.
            let around = children.iter().filter(|it| !self.is_computed(**it));
            let around: HashSet<u32> = around.filter_map(|it| self.place_of(*it)).map(|it| it.node).collect();
            let mut before = HashSet::new();
            for (number, child) in children.iter().enumerate() {
                let own = self.place_of(*child);
                let member = || {
                    let holder = beside.filter(|_| children.len() == 1)?;
                    self.member(holder, element, *child)
                };
                let place = own.or_else(member);
                let again = own.is_some_and(|it| {
                    (self.is_computed(*child) && around.contains(&it.node)) || !before.insert(it.node)
                });
                let Some(holder) = beside.filter(|it| again || self.is_added(*child, *it, place, element))
                else {
                    self.look(*child, place, depth + 1);
                    continue;
                };
                self.added(holder, element, *child, number);
                if !again {
                    self.look(*child, place, depth + 1);
                }
            }
        }
    }

    /// Whether the item of the source has no such element, or nothing of this one was made of anything in the source.
    fn is_added(&self, node: u32, holder: SourceRef, place: Option<SourceRef>, element: &Element) -> bool {
        self.key(holder, element, node).is_none() || (place.is_none() && self.is_new(node, 0))
    }

    fn is_computed(&self, node: u32) -> bool {
        self.origin(node).is_some_and(|it| it.computed)
            && !self.run.tree.get(node).is_some_and(|it| matches!(it.content, Content::Copied(_)))
    }

    fn is_new(&self, node: u32, depth: usize) -> bool {
        let old = depth >= MAX_DEPTH || self.place_of(node).is_some();
        !old && self.run.tree.children(node).all(|(child, _)| self.is_new(child, depth + 1))
    }

    fn added(&mut self, holder: SourceRef, element: &Element, node: u32, number: usize) {
        let Some(own) = self.run.tree.get(node) else { return };
        let mut after = match &own.content {
            Content::Value(_, text) => text.to_string(),
            Content::Copied(place) => self.run.sources.value(*place).map_or("", Value::raw).to_owned(),
            Content::Parts => self.run.written(node),
        };
        if let Some((end, _)) = after.char_indices().nth(MOST_SHOWN) {
            after.truncate(end);
            after.push('…');
        }
        let key = element.choices.get(usize::from(own.choice)).map_or("", |it| &*it.key);
        let key = if element.repeats { format!("{key}[{number}]") } else { key.to_owned() };
        self.tell(holder.node, &key, node, ChangeKind::Added { after });
    }

    /// What a node was made of, where that is of its own type, or it has a value of its own.
    fn place_of(&self, node: u32) -> Option<SourceRef> {
        let own = self.run.tree.get(node)?;
        if let Content::Copied(place) = own.content {
            return Some(place).filter(|it| it.document == 0);
        }
        let place = self.origin(node)?.place.filter(|it| it.document == 0)?;
        (place.ty == own.ty || matches!(own.content, Content::Value(..))).then_some(place)
    }

    fn key(&self, holder: SourceRef, element: &Element, node: u32) -> Option<Value<'a>> {
        let own = self.run.tree.get(node)?;
        let key = &element.choices.get(usize::from(own.choice))?.key;
        let value = self.run.sources.value(holder)?;
        value.get_key(key).or_else(|| value.get_key(&format!("_{key}")))
    }

    /// The only item of the same name in what the surroundings were made of.
    fn member(&self, holder: SourceRef, element: &Element, node: u32) -> Option<SourceRef> {
        let ty = self.run.tree.get(node)?.ty;
        let mut items = self.key(holder, element, node)?.items();
        match (items.next(), items.next()) {
            (Some(only), None) if only.kind() != Kind::Null => {
                Some(SourceRef { document: 0, node: only.id().number(), twin: 0, ty, bare: false })
            }
            _ => None,
        }
    }

    /// The items of one list of the result: whether they kept their order, and came from one list.
    fn list(&mut self, children: &[u32], into: &str, beside: Option<SourceRef>) {
        let mut lists: Vec<(u32, Vec<(u32, u32)>)> = Vec::new();
        let mut numbers: HashMap<u32, usize> = HashMap::new();
        let mut met = HashSet::new();
        for child in children {
            let Some(place) = self.place_of(*child).filter(|it| !it.bare) else { continue };
            let array = self.places.parent(place.node);
            let Some(array) = array.filter(|it| self.places.value(*it).is_some_and(Value::is_array)) else {
                continue;
            };
            let at = *numbers.entry(array).or_insert(lists.len());
            if at == lists.len() {
                lists.push((array, Vec::new()));
            }
            if let Some((_, items)) = lists.get_mut(at)
                && met.insert(place.node)
            {
                items.push((*child, place.node));
            }
        }
        for (array, items) in &lists {
            let unordered = items.windows(2).find_map(|pair| match pair {
                [(_, one), (child, two)] if one > two => Some(*child),
                _ => None,
            });
            let Some(child) = unordered else { continue };
            let items = items.iter().map(|(_, node)| self.places.number(*node) as usize).collect();
            self.tell(*array, "", child, ChangeKind::Order { items });
        }
        let own = |array: u32| beside.is_some() && self.places.parent(array) == beside.map(|it| it.node);
        let apart = match lists.as_slice() {
            [_, (_, second), ..] => second.first(),
            // One list of several items, in other surroundings than its own.
            [(array, items)] if !own(*array) => items.get(1),
            _ => None,
        };
        if let (Some((child, _)), Some((first, _))) = (apart.copied(), lists.first()) {
            let paths = lists.iter().map(|(array, _)| self.places.expression(*array));
            let kind = ChangeKind::Joined { lists: paths.collect(), into: into.to_owned() };
            self.tell(*first, "", child, kind);
        }
    }

    /// `below`: the element of the place that is meant; `node`: where in the result it shows, its rule made it.
    fn tell(&mut self, place: u32, below: &str, node: u32, kind: ChangeKind) {
        if self.found.len() >= MOST || self.places.value(place).is_none() {
            return;
        }
        if !self.told.insert((place, format!("{} {below} {}", kind.text(), kind.after()))) {
            return;
        }
        let site = self.origin(node).and_then(|it| self.run.program.sites.get(it.site));
        let rule = site.map_or_else(String::new, |it| it.label.to_string());
        let mut path = self.places.expression(place);
        if !below.is_empty() {
            path = format!("{path}.{below}");
        }
        self.found.push(Change { path, position: self.places.position(place), rule, kind });
    }
}
