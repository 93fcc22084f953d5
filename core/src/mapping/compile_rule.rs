//! Rules: what they read must be able to be there, what they write must be allowed to be there.

use std::sync::OnceLock;

use super::compile::{Compiler, Scope};
use super::error::MapFault;
use super::program::{CallCode, KeyCode, ParameterCode, RuleCode, SourceCode, StepCode, TargetCode};
use super::syntax::{InputMode, Rule, RuleSource, RuleTarget};
use super::types::{Type, TypeId, TypeKind};

/// What a target was found to be.
pub(super) struct TargetPlace {
    pub steps: Vec<Box<str>>,
    /// The types that may stand there.
    pub types: Vec<TypeId>,
    /// `Patient.name`, for messages.
    pub label: String,
}

impl Compiler<'_> {
    pub(super) fn rule(&mut self, scope: &mut Scope, rule: &Rule) -> Option<RuleCode> {
        let visible = scope.variables.len();
        let code = self.rule_inside(scope, rule);
        scope.variables.truncate(visible);
        code
    }

    fn rule_inside(&mut self, scope: &mut Scope, rule: &Rule) -> Option<RuleCode> {
        let name = match (&rule.name, rule.sources.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(source)) => match &source.element {
                Some(element) => format!("{}.{element}", source.context),
                None => source.context.clone(),
            },
            (None, None) => String::new(),
        };
        let site = self.site(scope.file, rule.at, format!("{} / {name}", scope.group));
        let mut sources = Vec::new();
        let mut whole = true;
        let mut read = Vec::new();
        for source in &rule.sources {
            match self.source(scope, source) {
                Some((code, types)) => {
                    sources.push(code);
                    read = types;
                }
                None => whole = false,
            }
        }
        if !whole {
            return None;
        }
        if rule.is_identity() {
            return self.identity_rule(scope, rule, site, sources, &read);
        }
        let mut targets = Vec::new();
        for target in &rule.targets {
            targets.push(self.target(scope, target, rule)?);
        }
        let calls = rule.dependents.iter().filter_map(|call| {
            let key = self.named_group(scope.file, &call.name, call.at)?;
            let modes = self.parameters_of(key);
            let (mut arguments, mut types) = (Vec::new(), Vec::new());
            for (at, parameter) in call.parameters.iter().enumerate() {
                let target = modes.get(at) == Some(&InputMode::Target);
                let (code, own) = self.parameter(scope, &parameter.value, target, parameter.at)?;
                if target && !matches!(&code, ParameterCode::Slot(slot) if scope.variables.iter().any(|it| it.slot == *slot && it.target)) {
                    let needs = "something that is being made, as its target";
                    self.fail(scope.file, parameter.at, MapFault::WrongType {
                        element: format!("the parameter {} of {}", at + 1, call.name),
                        holds: needs.to_owned(),
                        given: "a source".to_owned(),
                    });
                    return None;
                }
                arguments.push(code);
                types.push(own);
            }
            Some(CallCode { group: self.request(key, types, call.at, scope.file)?, arguments })
        });
        let calls = calls.collect();
        let rules = rule.rules.iter().filter_map(|inner| self.rule(scope, inner)).collect();
        let rules = self.rule_list(scope, rules);
        Some(RuleCode { site, sources, targets, calls, rules, identity: None })
    }

    /// A source: its code, and the types of what it finds.
    fn source(&mut self, scope: &mut Scope, source: &RuleSource) -> Option<(SourceCode, Vec<TypeId>)> {
        let Some(context) = scope.find(&source.context, false).cloned() else {
            self.no_variable(scope, &source.context, source.at);
            return None;
        };
        let mut types = context.types.clone();
        let mut path = Vec::new();
        let mut single = true;
        for element in source.element.iter().flat_map(|it| it.split('.')) {
            let (step, found, repeats) = self.step(scope.file, &types, element, source.at)?;
            single = single && !repeats && !types.is_empty();
            path.push(step);
            types = found;
        }
        let mut filter = None;
        if let Some(wanted) = &source.type_name {
            let ty = self.named_type(scope.file, wanted, source.at, &types);
            if !ty.is_known() {
                return None;
            }
            let within: Vec<TypeId> = types.iter().copied().filter(|it| self.types.is_a(*it, ty)).collect();
            let below = types.is_empty() || types.iter().any(|it| !it.is_known() || self.types.is_a(ty, *it));
            if within.is_empty() && !below {
                let (wanted, found) = (self.types.describe(ty), self.types.describe_all(&types));
                self.fail(scope.file, source.at, MapFault::NeverType { wanted, found });
                return None;
            }
            types = if within.is_empty() { vec![ty] } else { within };
            filter = Some(ty);
        }
        let (min, max) = self.cardinality(scope, source, single)?;
        let label = match &source.element {
            Some(element) => format!("{}.{element}", source.context),
            None => source.context.clone(),
        };
        let default = source.default.as_ref();
        let default = default.and_then(|it| self.expression(scope, it, None));
        let name = source.variable.clone().unwrap_or_default();
        let slot = scope.add(name, types.clone(), false);
        let focus = Some((slot, types.as_slice()));
        let condition = source.condition.as_ref().and_then(|it| self.expression(scope, it, focus));
        let check = source.check.as_ref().and_then(|it| self.expression(scope, it, focus));
        let log = source.log.as_ref().and_then(|it| self.expression(scope, it, focus));
        let code = SourceCode {
            context: context.slot,
            path,
            filter,
            min,
            max,
            default,
            mode: source.list_mode,
            slot,
            condition,
            check,
            log,
            label: label.into(),
        };
        Some((code, types))
    }

    fn cardinality(
        &mut self,
        scope: &Scope,
        source: &RuleSource,
        single: bool,
    ) -> Option<(u32, Option<u32>)> {
        let min = source.min.unwrap_or(0);
        let written = format!("{min}..{}", source.max.as_deref().unwrap_or("*"));
        let max = match source.max.as_deref() {
            None | Some("*") => None,
            Some(digits) => match digits.parse::<u32>() {
                Ok(max) => Some(max),
                Err(_) => {
                    let fault = MapFault::NeverCount(written, "the number is too large".to_owned());
                    self.fail(scope.file, source.at, fault);
                    return None;
                }
            },
        };
        let never = match max {
            Some(max) if max < min => Some("the upper bound is below the lower one".to_owned()),
            _ if single && min > 1 => {
                Some(format!("{} does not repeat", source.element.as_deref().unwrap_or("it")))
            }
            _ => None,
        };
        if let Some(why) = never {
            self.fail(scope.file, source.at, MapFault::NeverCount(written, why));
            return None;
        }
        Some((min, max))
    }

    /// One name of a source path, in all types that may be there.
    fn step(
        &mut self,
        file: usize,
        types: &[TypeId],
        element: &str,
        at: usize,
    ) -> Option<(StepCode, Vec<TypeId>, bool)> {
        let name = element.strip_suffix("[x]").unwrap_or(element);
        let mut step = StepCode { name: name.into(), known: Vec::new(), own_value: false };
        let (mut found, mut open, mut repeats) = (Vec::new(), types.is_empty(), false);
        for id in types {
            let Some(ty) = self.types.get(*id) else {
                open = true;
                continue;
            };
            if let Some((keys, many)) = keys_of(self, &ty, name) {
                repeats |= many;
                let types = keys.iter().map(|key| key.ty).collect();
                let several = ty.element(name).filter(|_| keys.iter().any(|key| key.open));
                let types: Vec<TypeId> = several.map_or(types, |(_, element)| self.types.choices(element));
                for id in types {
                    if !found.contains(&id) {
                        found.push(id);
                    }
                }
                step.known.push((*id, keys));
            } else if name == "value" && ty.primitive().is_some() {
                step.own_value = true;
                if !found.contains(id) {
                    found.push(*id);
                }
            } else if self.is_open(*id) {
                open = true;
            }
        }
        if step.known.is_empty() && !step.own_value && !open {
            let hint = types
                .iter()
                .filter_map(|id| self.types.get(*id))
                .map(|it| it.nearest(name))
                .find(|it| !it.is_empty());
            let on = self.types.describe_all(types);
            let fault =
                MapFault::NoElement { on, element: element.to_owned(), hint: hint.unwrap_or_default() };
            self.fail(file, at, fault);
            return None;
        }
        if open {
            found.clear();
            repeats = true;
        }
        Some((step, found, repeats))
    }

    /// Where a target writes.
    pub(super) fn place(
        &mut self,
        scope: &Scope,
        target: &RuleTarget,
    ) -> Option<(super::program::Slot, TargetPlace)> {
        let name = target.context.as_deref().unwrap_or_default();
        let Some(context) = scope.variables.iter().rev().find(|it| it.name == name && it.target).cloned()
        else {
            if scope.find(name, true).is_some() {
                let fault = MapFault::Unsupported(
                    "this variable is a source: a map writes to its targets and leaves its sources as they are",
                );
                self.fail(scope.file, target.at, fault);
            } else {
                self.no_variable(scope, name, target.at);
            }
            return None;
        };
        let mut types = context.types.clone();
        let mut label = self.types.describe_all(&types);
        let mut steps = Vec::new();
        for element in target.element.iter().flat_map(|it| it.split('.')) {
            let name = element.strip_suffix("[x]").unwrap_or(element);
            let mut found: Vec<TypeId> = Vec::new();
            let (mut known, mut open) = (false, types.is_empty());
            for id in &types {
                let Some(ty) = self.types.get(*id) else {
                    open = true;
                    continue;
                };
                let choices = match ty.element(name) {
                    Some((_, element)) => self.types.choices(element),
                    None => match ty.by_key(name) {
                        Some((_, choice, element)) => element
                            .choices
                            .get(usize::from(choice))
                            .map(|it| self.types.choice(it))
                            .into_iter()
                            .collect(),
                        None if name == "value" && ty.primitive().is_some() => vec![*id],
                        None => continue,
                    },
                };
                known = true;
                found.extend(choices.into_iter().filter(|it| it.is_known()));
            }
            if !known && !open {
                let hint = types
                    .iter()
                    .filter_map(|id| self.types.get(*id))
                    .map(|it| it.nearest(name))
                    .find(|it| !it.is_empty());
                let on = self.types.describe_all(&types);
                let fault =
                    MapFault::NoElement { on, element: element.to_owned(), hint: hint.unwrap_or_default() };
                self.fail(scope.file, target.at, fault);
                return None;
            }
            found.sort_unstable();
            found.dedup();
            label = format!("{label}.{name}");
            steps.push(name.into());
            types = found;
        }
        Some((context.slot, TargetPlace { steps, types, label }))
    }

    fn target(&mut self, scope: &mut Scope, target: &RuleTarget, rule: &Rule) -> Option<TargetCode> {
        let site = self.site(
            scope.file,
            target.at,
            format!("{} / {}", scope.group, rule.name.as_deref().unwrap_or("")),
        );
        let (context, place) = match &target.context {
            Some(_) => {
                let (slot, place) = self.place(scope, target)?;
                (Some(slot), Some(place))
            }
            None => (None, None),
        };
        let (value, types) = self.value(scope, target, place.as_ref())?;
        let (first, single, share) = TargetCode::modes(&target.list_modes, target.list_rule.as_deref());
        let slot = target.variable.as_ref().map(|name| {
            // Without a place it is written in, a value is something to read.
            scope.add(name.clone(), types, context.is_some())
        });
        let path = place.map(|it| it.steps).unwrap_or_default();
        let place = OnceLock::new();
        Some(TargetCode { context, path, value, slot, first, single, share, site, place })
    }
}

fn one_name(keys: &[KeyCode]) -> bool {
    keys.len() > 1 && keys.windows(2).all(|pair| matches!(pair, [one, two] if one.text == two.text))
}

/// How JSON writes an element of a type; `None` where it has none of this name. Whether it repeats.
pub(super) fn keys_of(compiler: &Compiler<'_>, ty: &Type, name: &str) -> Option<(Vec<KeyCode>, bool)> {
    keys_in(compiler.types, ty, name)
}

/// As [`keys_of`], when a map runs.
pub(super) fn keys_in(types: &super::types::Types, ty: &Type, name: &str) -> Option<(Vec<KeyCode>, bool)> {
    let key = |choice: &super::types::Choice| {
        let id = types.choice(choice);
        let own = types.get(id);
        KeyCode {
            symbol: choice.symbol,
            text: choice.key.clone(),
            ty: id,
            primitive: own.as_ref().is_some_and(|it| it.primitive().is_some()),
            open: own.is_none_or(|it| it.is_abstract && it.kind == TypeKind::Resource),
        }
    };
    if let Some((_, element)) = ty.element(name) {
        let mut keys: Vec<KeyCode> = element.choices.iter().map(key).collect();
        if element.form == super::types::XmlForm::Typed || one_name(&keys) {
            // Several types under one name: the instance says which.
            keys.truncate(1);
            for key in &mut keys {
                key.open = true;
            }
        }
        return Some((keys, element.repeats));
    }
    // `valueString`: one type of a choice by its name in instances.
    let (_, choice, element) = ty.by_key(name)?;
    Some((element.choices.get(usize::from(choice)).map(key).into_iter().collect(), element.repeats))
}
