//! From parsed maps to the program: groups, imports, names and types.
//!
//! A group is compiled once for each combination of types that it is called with, so that a parameter without
//! type has the types of what is passed. All faults are found, not only the first.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_models::document::xml::Schema;
use fhir_models::document::{Kind, Limits as DocumentLimits, OwnedDocument, Position};

use super::concept_map::{CodeTable, embedded};
use super::error::{MapError, MapFault};
use super::program::{EntryParameter, GroupCode, LiteralCode, ParameterCode, Program, Site, Slot};
use super::syntax::{Group, InputMode, Literal, ModelMode, ParameterValue, StructureMap, TypeMode};
use super::types::{TypeId, TypeKind, Types};
use crate::fhirpath::Model;
use crate::terminology::concept_map::ConceptMap;

/// Most combinations of groups and types.
const MOST_GROUPS: usize = 20_000;

/// A parsed map and its source.
#[derive(Debug)]
pub(super) struct MapFile {
    pub name: String,
    pub text: Vec<u8>,
    pub map: StructureMap,
}

impl MapFile {
    /// Reads a map; `name` names it in errors.
    pub fn read(name: &str, bytes: &[u8], schema: &dyn Schema) -> Result<MapFile, MapError> {
        let map = super::syntax::parse(name, bytes, schema)?;
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).to_vec();
        Ok(MapFile { name: name.to_owned(), text, map })
    }
}

/// A group's number among all: its file and its place there.
pub(super) type GroupKey = (usize, usize);
/// A group, and the types that it is called with.
type Called = (GroupKey, Vec<Vec<TypeId>>);

pub(super) struct Compiler<'c> {
    pub files: &'c [&'c MapFile],
    pub types: &'c Types,
    pub model: &'c Arc<Model>,
    /// For each file, the files whose groups it may use, itself first.
    pub visible: Vec<Vec<usize>>,
    pub constants: Vec<HashMap<String, LiteralCode>>,
    done: HashMap<Called, usize>,
    waiting: Vec<(usize, GroupKey, Vec<Vec<TypeId>>)>,
    concept_maps: HashMap<(usize, String), usize>,
    pub program: Program,
    pub errors: Vec<MapError>,
}

/// A name in scope.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub name: String,
    pub slot: Slot,
    /// The types that it may have; none where nothing is known.
    pub types: Vec<TypeId>,
    pub target: bool,
}

/// What is around a rule.
#[derive(Debug)]
pub(super) struct Scope {
    pub file: usize,
    pub group: String,
    pub variables: Vec<Variable>,
    pub slots: usize,
}

impl Scope {
    /// The innermost variable with this name, of one side if there is one there, else of the other.
    pub fn find(&self, name: &str, target: bool) -> Option<&Variable> {
        let mut named = self.variables.iter().rev().filter(|it| it.name == name);
        let first = named.clone().find(|it| it.target == target);
        first.or_else(|| named.next())
    }

    pub fn add(&mut self, name: String, types: Vec<TypeId>, target: bool) -> Slot {
        let slot = Slot::try_from(self.slots).unwrap_or(Slot::MAX);
        self.slots += 1;
        self.variables.push(Variable { name, slot, types, target });
        slot
    }
}

/// Compiles the map in `files[main]`, with the others to import from.
pub(super) fn compile(
    files: &[&MapFile],
    main: usize,
    types: &Types,
    model: &Arc<Model>,
) -> Result<Program, Vec<MapError>> {
    let program = Program { files: files.iter().map(|it| it.name.clone()).collect(), ..Program::default() };
    let mut compiler = Compiler {
        files,
        types,
        model,
        visible: Vec::new(),
        constants: Vec::new(),
        done: HashMap::new(),
        waiting: Vec::new(),
        concept_maps: HashMap::new(),
        program,
        errors: Vec::new(),
    };
    compiler.imports();
    compiler.read_constants();
    compiler.entry(main);
    compiler.check_the_rest(main);
    if compiler.errors.is_empty() {
        return Ok(compiler.program);
    }
    let mut errors = compiler.errors;
    errors.sort_by_key(|it| (it.file.clone(), it.position));
    errors.dedup();
    Err(errors)
}

impl<'c> Compiler<'c> {
    pub fn fail(&mut self, file: usize, at: usize, fault: MapFault) {
        if let Some(own) = self.files.get(file) {
            self.errors.push(MapError::at(&own.name, &own.text, (fault, at)));
        }
    }

    pub fn site(&mut self, file: usize, at: usize, label: String) -> usize {
        let text = self.files.get(file).map(|it| it.text.as_slice()).unwrap_or_default();
        let position = Position::of(text, at);
        self.program.sites.push(Site { file, position, label: label.into() });
        self.program.sites.len() - 1
    }

    fn group_of(&self, key: GroupKey) -> Option<&'c Group> {
        self.files.get(key.0)?.map.groups.get(key.1)
    }

    fn entry(&mut self, main: usize) {
        let Some(group) = self.group_of((main, 0)) else { return };
        let mut arguments = Vec::new();
        for parameter in &group.parameters {
            let target = parameter.mode == InputMode::Target;
            let ty = match &parameter.type_name {
                Some(name) => self.named_type(main, name, parameter.at, &[]),
                None => self.only_structure(main, target),
            };
            if target && !ty.is_known() && parameter.type_name.is_none() {
                let hint = "say what is made, as in target tgt : Patient".to_owned();
                let name = parameter.name.clone();
                self.fail(main, parameter.at, MapFault::Unknown { what: "type for", name, hint });
            }
            arguments.push(if ty.is_known() { vec![ty] } else { Vec::new() });
            self.program.parameters.push(EntryParameter { target, ty });
        }
        self.program.entry = self.request((main, 0), arguments, group.at, main).unwrap_or(0);
        self.work();
    }

    /// The only structure that the map uses on one side.
    fn only_structure(&self, file: usize, target: bool) -> TypeId {
        let structures = self.files.get(file).map(|it| it.map.structures.as_slice()).unwrap_or_default();
        let wanted =
            |mode: ModelMode| if target { mode == ModelMode::Target } else { mode == ModelMode::Source };
        let mut own = structures.iter().filter(|it| wanted(it.mode));
        match (own.next(), own.next()) {
            (Some(only), None) => self.types.find(&only.url),
            _ => TypeId::UNKNOWN,
        }
    }

    /// Groups that nothing calls are checked too, where their parameters have types.
    fn check_the_rest(&mut self, main: usize) {
        let Some(map) = self.files.get(main).map(|it| &it.map) else { return };
        for (at, group) in map.groups.iter().enumerate() {
            let twin = map.groups.iter().take(at).any(|it| it.name == group.name);
            if twin {
                self.fail(main, group.at, MapFault::Duplicate("group", group.name.clone()));
            }
            let called = self.done.keys().any(|(key, _)| *key == (main, at));
            if called || group.parameters.iter().any(|it| it.type_name.is_none()) {
                continue;
            }
            let types = group.parameters.iter().map(|it| {
                let name = it.type_name.as_deref().unwrap_or_default();
                (self.named_type(main, name, it.at, &[]), it)
            });
            let types: Vec<_> = types.collect::<Vec<_>>().into_iter().map(|(ty, _)| vec![ty]).collect();
            self.request((main, at), types, group.at, main);
        }
        self.work();
    }

    /// The type that a map calls by this name: an alias, a structure that it uses, or a type of FHIR.
    pub fn named_type(&mut self, file: usize, name: &str, at: usize, near: &[TypeId]) -> TypeId {
        let structures = self.files.get(file).map(|it| it.map.structures.as_slice()).unwrap_or_default();
        let alias = structures.iter().find(|it| it.alias.as_deref() == Some(name));
        let named = alias.or_else(|| {
            structures.iter().find(|it| it.url.rsplit('/').next().is_some_and(|tail| tail == name))
        });
        let url = named.map(|it| it.url.clone());
        let found = match &url {
            Some(url) => self.types.find(url),
            None => self.types.find_near(name, near),
        };
        if !found.is_known() {
            let hint = match &url {
                Some(url) => format!("give the definition {url} with --definition or --package"),
                None => "name it with uses … alias, or check the spelling".to_owned(),
            };
            self.fail(file, at, MapFault::Unknown { what: "type", name: name.to_owned(), hint });
        }
        found
    }

    /// The group with this name, from this file's point of view.
    pub fn named_group(&mut self, file: usize, name: &str, at: usize) -> Option<GroupKey> {
        let visible = self.visible.get(file).cloned().unwrap_or_default();
        let mut found = Vec::new();
        for other in visible {
            let groups = self.files.get(other).map(|it| it.map.groups.as_slice()).unwrap_or_default();
            found.extend(groups.iter().position(|it| it.name == name).map(|group| (other, group)));
            if other == file && !found.is_empty() {
                break;
            }
        }
        match found.as_slice() {
            [] => {
                let hint = "check the spelling, or import the map that has it".to_owned();
                self.fail(file, at, MapFault::Unknown { what: "group", name: name.to_owned(), hint });
                None
            }
            [only] => Some(*only),
            [one, two, ..] => {
                let own = |key: &GroupKey| self.files.get(key.0).map_or("", |it| &it.map.url).to_owned();
                let fault = MapFault::Ambiguous(own(one), own(two), format!("the group {name}"));
                self.fail(file, at, fault);
                None
            }
        }
    }

    /// Default groups that this file may use.
    pub fn default_groups(&self, file: usize) -> Vec<GroupKey> {
        let visible = self.visible.get(file).map(Vec::as_slice).unwrap_or_default();
        let mut found = Vec::new();
        for other in visible {
            let groups = self.files.get(*other).map(|it| it.map.groups.as_slice()).unwrap_or_default();
            let defaults = groups.iter().enumerate().filter(|(_, it)| it.type_mode != TypeMode::None);
            found.extend(defaults.map(|(at, _)| (*other, at)));
        }
        found
    }

    /// Source and target type of a default group.
    pub fn default_types(&mut self, key: GroupKey) -> Option<(TypeId, TypeId)> {
        let group = self.group_of(key)?;
        let [source, target] = group.parameters.as_slice() else { return None };
        let source_type = self.named_type(key.0, source.type_name.as_deref()?, source.at, &[]);
        let target_type = self.named_type(key.0, target.type_name.as_deref()?, target.at, &[]);
        (source_type.is_known() && target_type.is_known()).then_some((source_type, target_type))
    }

    pub fn group_name(&self, key: GroupKey) -> String {
        self.group_of(key).map_or_else(String::new, |it| it.name.clone())
    }

    pub fn parameters_of(&self, key: GroupKey) -> Vec<InputMode> {
        self.group_of(key).map(|it| it.parameters.iter().map(|it| it.mode).collect()).unwrap_or_default()
    }

    /// The number of a group for these types; it is compiled later. `at` is where it is called.
    pub fn request(
        &mut self,
        key: GroupKey,
        arguments: Vec<Vec<TypeId>>,
        at: usize,
        file: usize,
    ) -> Option<usize> {
        let group = self.group_of(key)?;
        if group.parameters.len() != arguments.len() {
            let takes = match group.parameters.len() {
                1 => "one value".to_owned(),
                count => format!("{count} values"),
            };
            let name = format!("the group {}", group.name);
            self.fail(file, at, MapFault::WrongCount { name, takes, given: arguments.len() });
            return None;
        }
        let mut settled = Vec::new();
        for (parameter, passed) in group.parameters.iter().zip(arguments) {
            let Some(name) = &parameter.type_name else {
                settled.push(passed);
                continue;
            };
            let declared = self.named_type(key.0, name, parameter.at, &passed);
            if !declared.is_known() {
                return None;
            }
            let known: Vec<TypeId> = passed.iter().copied().filter(|it| it.is_known()).collect();
            let own: Vec<TypeId> =
                known.iter().copied().filter(|it| self.types.is_a(*it, declared)).collect();
            let above = known.iter().any(|it| self.types.is_a(declared, *it));
            if known.is_empty() || above || known.len() < passed.len() {
                settled.push(vec![declared]);
            } else if own.is_empty() {
                let (wanted, found) = (self.types.describe(declared), self.types.describe_all(&known));
                self.fail(file, at, MapFault::NeverType { wanted, found });
                return None;
            } else {
                settled.push(own);
            }
        }
        if let Some(done) = self.done.get(&(key, settled.clone())) {
            return Some(*done);
        }
        if self.program.groups.len() >= MOST_GROUPS {
            self.fail(file, at, MapFault::TooMany(MOST_GROUPS, "combinations of groups and types"));
            return None;
        }
        let number = self.program.groups.len();
        self.program.groups.push(GroupCode::default());
        self.done.insert((key, settled.clone()), number);
        self.waiting.push((number, key, settled));
        Some(number)
    }

    fn work(&mut self) {
        while let Some((number, key, arguments)) = self.waiting.pop() {
            let Some(group) = self.group_of(key) else { continue };
            let variables = Vec::new();
            let mut scope = Scope { file: key.0, group: group.name.clone(), variables, slots: 0 };
            for (parameter, types) in group.parameters.iter().zip(&arguments) {
                let twin = scope.variables.iter().any(|it| {
                    it.name == parameter.name && it.target == (parameter.mode == InputMode::Target)
                });
                if twin {
                    self.fail(key.0, parameter.at, MapFault::Duplicate("parameter", parameter.name.clone()));
                }
                scope.add(parameter.name.clone(), types.clone(), parameter.mode == InputMode::Target);
            }
            let base = group.extends.as_ref().and_then(|name| {
                let base = self.named_group(key.0, name, group.at)?;
                if self.extends_itself(key, base) {
                    let hint = "a group can't extend itself".to_owned();
                    self.fail(
                        key.0,
                        group.at,
                        MapFault::Unknown { what: "end of extends for", name: name.clone(), hint },
                    );
                    return None;
                }
                self.request(base, arguments.clone(), group.at, key.0)
            });
            let rules = group.rules.iter().filter_map(|rule| self.rule(&mut scope, rule)).collect();
            let rules = self.rule_list(&scope, rules);
            let code = GroupCode { base, parameters: arguments.len(), slots: scope.slots, rules };
            if scope.slots > usize::from(Slot::MAX) {
                self.fail(key.0, group.at, MapFault::TooMany(usize::from(Slot::MAX), "variables in a group"));
            }
            if let Some(slot) = self.program.groups.get_mut(number) {
                *slot = code;
            }
        }
    }

    fn extends_itself(&mut self, own: GroupKey, base: GroupKey) -> bool {
        let mut here = Some(base);
        for _ in 0..64 {
            let Some(key) = here else { return false };
            if key == own {
                return true;
            }
            let Some(name) = self.group_of(key).and_then(|it| it.extends.clone()) else { return false };
            let visible = self.visible.get(key.0).cloned().unwrap_or_default();
            here = visible.into_iter().find_map(|file| {
                let groups = &self.files.get(file)?.map.groups;
                groups.iter().position(|it| it.name == name).map(|at| (file, at))
            });
        }
        true
    }

    /// The number of a concept map: one within the map, or one of the definitions.
    pub fn concept_map(&mut self, file: usize, url: &str, at: usize) -> Option<usize> {
        if let Some(known) = self.concept_maps.get(&(file, url.to_owned())) {
            return Some(*known);
        }
        let map = self.files.get(file).map(|it| &it.map)?;
        let bare = url.strip_prefix('#');
        let own = map.concept_maps.iter().find(|it| it.url == url || bare == Some(&it.url));
        let definitions = &self.types.definitions;
        let others = |canonical: &str| definitions.resource_of_type("ConceptMap", canonical);
        let read = |json: &str| {
            let document =
                OwnedDocument::parse_json(json, &DocumentLimits::default()).map_err(|it| it.to_string())?;
            ConceptMap::read(document.root(), &others).map_err(|it| it.to_string())
        };
        let contained = || {
            let id = format!("\"{}\"", bare?);
            map.contained.iter().find(|json| {
                let document = OwnedDocument::parse_json(json.as_str(), &DocumentLimits::default());
                document.is_ok_and(|it| it.root().get_key("id").is_some_and(|own| own.raw() == id))
            })
        };
        let found = match (own, contained()) {
            (Some(own), _) => Some(Ok(embedded(own))),
            (None, Some(json)) => Some(read(json)),
            (None, None) => ConceptMap::find(definitions, url).map_err(|it| it.to_string()).transpose(),
        };
        let found = found.map(|it| match it {
            Ok(map) if !map.absent().is_empty() => {
                Err(format!("unmapped codes go to {}: give it too", map.absent().join(", ")))
            }
            other => other,
        });
        let map = match found {
            Some(Ok(map)) => map,
            Some(Err(why)) => {
                self.fail(file, at, MapFault::ConceptMap(url.to_owned(), why));
                return None;
            }
            None => {
                let hint = "write it into the map, or give it with --definition or --package".to_owned();
                self.fail(file, at, MapFault::Unknown { what: "concept map", name: url.to_owned(), hint });
                return None;
            }
        };
        self.program.code_tables.push(CodeTable::of(&map));
        self.program.concept_maps.push(Arc::new(map));
        let number = self.program.concept_maps.len() - 1;
        self.concept_maps.insert((file, url.to_owned()), number);
        Some(number)
    }

    pub fn literal(&self, literal: &Literal) -> LiteralCode {
        let (type_name, kind, text) = match literal {
            Literal::String(text) => ("string", Kind::String, text.as_str()),
            Literal::Integer(digits) => ("integer", Kind::Number, digits.as_str()),
            Literal::Decimal(digits) => ("decimal", Kind::Number, digits.as_str()),
            Literal::Boolean(value) => ("boolean", Kind::Boolean, if *value { "true" } else { "false" }),
            Literal::Date(text) => ("date", Kind::String, text.as_str()),
            Literal::DateTime(text) => ("dateTime", Kind::String, text.as_str()),
            Literal::Time(text) => ("time", Kind::String, text.as_str()),
        };
        LiteralCode { ty: self.types.find(type_name), kind, text: text.into() }
    }

    /// A variable, constant or value; with the types that it may have.
    pub fn parameter(
        &mut self,
        scope: &Scope,
        value: &ParameterValue,
        target: bool,
        at: usize,
    ) -> Option<(ParameterCode, Vec<TypeId>)> {
        let name = match value {
            ParameterValue::Literal(literal) => {
                let code = self.literal(literal);
                let types = vec![code.ty];
                return Some((ParameterCode::Literal(code), types));
            }
            ParameterValue::Variable(name) => name,
        };
        if let Some(found) = scope.find(name, target) {
            return Some((ParameterCode::Slot(found.slot), found.types.clone()));
        }
        if let Some(constant) = self.constant(scope.file, name) {
            return Some((ParameterCode::Literal(constant.clone()), vec![constant.ty]));
        }
        self.no_variable(scope, name, at);
        None
    }

    pub fn no_variable(&mut self, scope: &Scope, name: &str, at: usize) {
        let mut names: Vec<&str> = scope.variables.iter().map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let hint = format!("known here: {}", names.join(", "));
        self.fail(scope.file, at, MapFault::Unknown { what: "variable", name: name.to_owned(), hint });
    }

    /// True where instances may have elements that the type does not name.
    pub fn is_open(&self, ty: TypeId) -> bool {
        self.types
            .get(ty)
            .is_none_or(|it| it.is_abstract && matches!(it.kind, TypeKind::Resource | TypeKind::Logical))
    }
}
