//! What a target is given: transforms, constants, new items, and what an identity rule does with each type.

use std::sync::OnceLock;

use super::compile::{Compiler, Scope};
use super::compile_rule::TargetPlace;
use super::error::MapFault;
use super::program::{
    CodeForm, IdentityAction, IdentityCode, ParameterCode, RuleCode, RuleList, SourceCode, TargetCode,
    ValueCode,
};
use super::syntax::{
    Expression, Literal, Parameter, ParameterValue, Rule, RuleTarget, Transform, TransformKind,
};
use super::types::TypeId;
use fhir_models::primitive::Primitive;

impl Compiler<'_> {
    /// Where a target's value comes from, and the types that it may have.
    pub(super) fn value(
        &mut self,
        scope: &mut Scope,
        target: &RuleTarget,
        place: Option<&TargetPlace>,
    ) -> Option<(ValueCode, Vec<TypeId>)> {
        let Some(transform) = &target.transform else {
            let place = place?;
            let creates = target.element.is_some();
            if creates {
                self.one_type(scope, target, place)?;
            }
            return Some((ValueCode::New, place.types.clone()));
        };
        let (value, types) = self.transform(scope, transform, place)?;
        let types = match place {
            Some(place) => self.fits(scope, transform, place, types)?,
            None => types,
        };
        Some((value, types))
    }

    /// A new item needs one type.
    fn one_type(&mut self, scope: &Scope, target: &RuleTarget, place: &TargetPlace) -> Option<()> {
        let open = place.types.iter().any(|it| self.types.get(*it).is_none_or(|it| it.is_abstract));
        if place.types.len() == 1 && !open {
            return Some(());
        }
        let holds = self.types.describe_all(&place.types);
        self.fail(scope.file, target.at, MapFault::OpenTarget { element: place.label.clone(), holds });
        None
    }

    /// The types that a value has in its place; a fault where none can stand there.
    fn fits(
        &mut self,
        scope: &Scope,
        transform: &Transform,
        place: &TargetPlace,
        given: Vec<TypeId>,
    ) -> Option<Vec<TypeId>> {
        if given.is_empty() || place.types.is_empty() || given.iter().any(|it| self.is_open(*it)) {
            return Some(place.types.clone());
        }
        let mut found = Vec::new();
        for id in &given {
            if let Some(as_type) = self.holds(&place.types, *id)
                && !found.contains(&as_type)
            {
                found.push(as_type);
            }
        }
        if found.is_empty() {
            let (element, holds) = (place.label.clone(), self.types.describe_all(&place.types));
            let given = self.types.describe_all(&given);
            self.fail(scope.file, transform.at, MapFault::WrongType { element, holds, given });
            return None;
        }
        Some(found)
    }

    /// The type of `allowed` as which a value can stand; `None` where there is none.
    fn holds(&self, allowed: &[TypeId], given: TypeId) -> Option<TypeId> {
        if let Some(same) = allowed.iter().find(|it| self.types.is_a(given, **it)) {
            let open = self.types.get(*same).is_some_and(|it| it.is_abstract);
            return Some(if open { given } else { *same });
        }
        let from = self.types.get(given)?.primitive()?;
        let into = |id: &&TypeId| {
            let to = self.types.get(**id).and_then(|it| it.primitive());
            to.is_some_and(|to| convertible(from, to))
        };
        allowed.iter().find(into).copied()
    }

    fn transform(
        &mut self,
        scope: &mut Scope,
        transform: &Transform,
        place: Option<&TargetPlace>,
    ) -> Option<(ValueCode, Vec<TypeId>)> {
        let kind = transform.kind;
        let given = transform.parameters.as_slice();
        let near: Vec<TypeId> = place.map(|it| it.types.clone()).unwrap_or_default();
        match kind {
            TransformKind::DateOp if given.len() > 1 => return self.moment(scope, transform, &near),
            TransformKind::DateOp => {
                self.fail(scope.file, transform.at, MapFault::DateOp);
                return None;
            }
            TransformKind::Create if given.is_empty() => {
                self.count(scope, transform, 1, 1, "the name of a type");
                return None;
            }
            TransformKind::Create => {
                let name = self.text_of(scope, transform, 0, "the name of a type in quotes")?;
                let ty = self.named_type(scope.file, &name, transform.at, &near);
                if !ty.is_known() {
                    return None;
                }
                return Some((ValueCode::Create(ty), vec![ty]));
            }
            TransformKind::Evaluate => return self.evaluation(scope, transform),
            _ => {}
        }
        let (least, most, takes) = match kind {
            TransformKind::Copy => (1, 1, "one value"),
            TransformKind::Truncate => (2, 2, "a text and a length"),
            TransformKind::Escape => (2, 3, "a text and one or two forms: plain, java, xml or json"),
            TransformKind::Cast => (1, 2, "a value and the name of a type"),
            TransformKind::Append => (1, 100, "texts"),
            TransformKind::Translate => (
                2,
                3,
                "a code, a concept map and what to give: code, system, display, Coding or CodeableConcept",
            ),
            TransformKind::Reference | TransformKind::Pointer => (1, 1, "a resource"),
            TransformKind::Uuid => (0, 0, "nothing"),
            TransformKind::Cc => (1, 3, "a text, or a system, a code and a display"),
            TransformKind::C => (2, 3, "a system, a code and a display"),
            TransformKind::Qty => (1, 4, "a text, or a value, a unit, a system and a code"),
            TransformKind::Id => (2, 3, "a system, a value and a type"),
            TransformKind::Cp => (1, 2, "a value, or a system and a value"),
            TransformKind::Create | TransformKind::Evaluate | TransformKind::DateOp => return None,
        };
        self.count(scope, transform, least, most, takes)?;
        let mut codes = Vec::new();
        let mut types = Vec::new();
        for parameter in given {
            let (code, own) = self.parameter(scope, &parameter.value, false, parameter.at)?;
            codes.push(code);
            types.push(own);
        }
        let named = |this: &Self, name: &str| vec![this.types.find(name)];
        let first = codes.first().cloned();
        Some(match kind {
            TransformKind::Copy => (ValueCode::Copy(first?), types.into_iter().next()?),
            TransformKind::Translate => {
                let url = self.text_of(scope, transform, 1, "the URL of a concept map in quotes")?;
                let map =
                    self.concept_map(scope.file, &url, given.get(1).map_or(transform.at, |it| it.at))?;
                let form = self.code_form(scope, transform, place)?;
                let types = match form {
                    CodeForm::Code => named(self, "code"),
                    CodeForm::System => named(self, "uri"),
                    CodeForm::Display => named(self, "string"),
                    CodeForm::Coding => named(self, "Coding"),
                    CodeForm::CodeableConcept => named(self, "CodeableConcept"),
                };
                (ValueCode::Translate { from: first?, map, form }, types)
            }
            TransformKind::Cast => {
                let to = if given.len() > 1 {
                    let name = self.text_of(scope, transform, 1, "the name of a type in quotes")?;
                    self.named_type(scope.file, &name, transform.at, &near)
                } else {
                    match near.as_slice() {
                        [only] => *only,
                        _ => TypeId::UNKNOWN,
                    }
                };
                if self.types.get(to).is_none_or(|it| it.primitive().is_none()) {
                    let needs = "the name of a primitive type in quotes";
                    self.fail(
                        scope.file,
                        transform.at,
                        MapFault::WrongParameter { transform: "cast", needs },
                    );
                    return None;
                }
                (ValueCode::Cast { from: first?, to }, vec![to])
            }
            _ => {
                let name = match kind {
                    TransformKind::Cc => "CodeableConcept",
                    TransformKind::C => "Coding",
                    TransformKind::Qty => "Quantity",
                    TransformKind::Id => "Identifier",
                    TransformKind::Cp => "ContactPoint",
                    _ => "string",
                };
                (ValueCode::Call(kind, codes), named(self, name))
            }
        })
    }

    pub(super) fn count(
        &mut self,
        scope: &Scope,
        transform: &Transform,
        least: usize,
        most: usize,
        takes: &str,
    ) -> Option<()> {
        let given = transform.parameters.len();
        if (least..=most).contains(&given) {
            return Some(());
        }
        let name = format!("{}()", transform.kind.name());
        self.fail(scope.file, transform.at, MapFault::WrongCount { name, takes: takes.to_owned(), given });
        None
    }

    /// A parameter that must be known before a map runs.
    pub(super) fn text_of(
        &mut self,
        scope: &Scope,
        transform: &Transform,
        at: usize,
        needs: &'static str,
    ) -> Option<String> {
        let parameter: &Parameter = transform.parameters.get(at)?;
        match &parameter.value {
            ParameterValue::Literal(Literal::String(text)) => return Some(text.clone()),
            ParameterValue::Variable(name) => {
                if let Some(constant) =
                    self.constant(scope.file, name).filter(|_| scope.find(name, false).is_none())
                {
                    return Some(constant.text.to_string());
                }
            }
            ParameterValue::Literal(_) => {}
        }
        self.fail(
            scope.file,
            parameter.at,
            MapFault::WrongParameter { transform: transform.kind.name(), needs },
        );
        None
    }

    fn code_form(
        &mut self,
        scope: &Scope,
        transform: &Transform,
        place: Option<&TargetPlace>,
    ) -> Option<CodeForm> {
        let name = if transform.parameters.len() > 2 {
            self.text_of(scope, transform, 2, "code, system, display, Coding or CodeableConcept in quotes")?
        } else {
            // What to give is told by where it goes.
            let types = place.map(|it| it.types.as_slice()).unwrap_or_default();
            let own = types.first().and_then(|it| self.types.get(*it)).filter(|_| types.len() == 1);
            own.map_or_else(String::new, |it| match it.primitive() {
                Some(_) => "code".to_owned(),
                None => it.name.to_string(),
            })
        };
        let form = match name.to_ascii_lowercase().as_str() {
            "code" => CodeForm::Code,
            "system" => CodeForm::System,
            "display" => CodeForm::Display,
            "coding" => CodeForm::Coding,
            "codeableconcept" => CodeForm::CodeableConcept,
            _ => {
                let needs = "what to give: code, system, display, Coding or CodeableConcept";
                self.fail(
                    scope.file,
                    transform.at,
                    MapFault::WrongParameter { transform: "translate", needs },
                );
                return None;
            }
        };
        Some(form)
    }

    /// `(expression)` and `evaluate(variable, expression)`
    fn evaluation(&mut self, scope: &mut Scope, transform: &Transform) -> Option<(ValueCode, Vec<TypeId>)> {
        let (last, before) = transform.parameters.split_last()?;
        let ParameterValue::Literal(Literal::String(text)) = &last.value else {
            let needs = "an expression";
            self.fail(scope.file, transform.at, MapFault::WrongParameter { transform: "evaluate", needs });
            return None;
        };
        self.count(scope, transform, 1, 2, "a variable and an expression")?;
        let expression = Expression { text: text.clone(), at: last.at };
        let found;
        let focus = match before.first() {
            None => None,
            Some(parameter) => {
                let (code, types) = self.parameter(scope, &parameter.value, false, parameter.at)?;
                let ParameterCode::Slot(slot) = code else {
                    let needs = "a variable first";
                    self.fail(
                        scope.file,
                        parameter.at,
                        MapFault::WrongParameter { transform: "evaluate", needs },
                    );
                    return None;
                };
                found = types;
                Some((slot, found.as_slice()))
            }
        };
        let code = self.expression(scope, &expression, focus)?;
        Some((ValueCode::Evaluate(code), Vec::new()))
    }

    /// `a.x -> b.y`
    pub(super) fn identity_rule(
        &mut self,
        scope: &mut Scope,
        rule: &Rule,
        site: usize,
        sources: Vec<SourceCode>,
        read: &[TypeId],
    ) -> Option<RuleCode> {
        let target = rule.targets.first()?;
        let (context, place) = self.place(scope, target)?;
        let mut identity = IdentityCode { actions: Vec::new(), open: read.is_empty() };
        let defaults = self.default_groups(scope.file);
        let mut pairs = Vec::new();
        for key in defaults {
            if let Some((from, to)) = self.default_types(key) {
                pairs.push((key, from, to));
            }
        }
        for from in read {
            let open = self.is_open(*from);
            let abstract_pairs: Vec<_> = pairs
                .iter()
                .filter(|(_, own, _)| open && *own != *from && self.types.is_a(*own, *from))
                .copied()
                .collect();
            for (key, own, to) in abstract_pairs {
                if place.types.iter().any(|it| self.types.is_a(to, *it)) {
                    let number = self.request(key, vec![vec![own], vec![to]], rule.at, scope.file)?;
                    identity.actions.push((own, IdentityAction::Group(number, to)));
                }
            }
            let named: Vec<_> = pairs
                .iter()
                .filter(|(_, own, to)| {
                    own == from
                        && place.types.iter().any(|it| to == it || (open && self.types.is_a(*to, *it)))
                })
                .copied()
                .collect();
            match named.as_slice() {
                [] => {}
                [(key, own, to)] => {
                    let number = self.request(*key, vec![vec![*own], vec![*to]], rule.at, scope.file)?;
                    identity.actions.push((*from, IdentityAction::Group(number, *to)));
                    continue;
                }
                [one, two, ..] => {
                    let what = format!("{} to {}", self.types.describe(*from), place.label);
                    let (one, two) = (self.group_name(one.0), self.group_name(two.0));
                    self.fail(scope.file, rule.at, MapFault::Ambiguous(one, two, what));
                    return None;
                }
            }
            if open {
                identity.open = true;
            } else if let Some(same) = self.holds(&place.types, *from) {
                identity.actions.push((*from, IdentityAction::Copy(same)));
            }
        }
        if identity.actions.is_empty() && !identity.open {
            let (source_type, target_type) = (self.types.describe_all(read), place.label.clone());
            let target_type = format!("{target_type} ({})", self.types.describe_all(&place.types));
            self.fail(scope.file, rule.at, MapFault::NoDefault { source_type, target_type });
            return None;
        }
        let (first, single, share) = TargetCode::modes(&target.list_modes, target.list_rule.as_deref());
        let path = place.steps;
        let code = TargetCode {
            context: Some(context),
            path,
            value: ValueCode::New,
            slot: None,
            first,
            single,
            share,
            site,
            place: OnceLock::new(),
        };
        let (calls, rules) = (Vec::new(), RuleList::default());
        Some(RuleCode { site, sources, targets: vec![code], calls, rules, identity: Some(identity) })
    }
}

/// Whether a value of one primitive type may become one of another, where its text fits the grammar.
pub(super) fn convertible(from: Primitive, to: Primitive) -> bool {
    let family = |it: Primitive| match it {
        Primitive::Boolean => 1,
        Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt | Primitive::Decimal => 2,
        Primitive::Date | Primitive::DateTime | Primitive::Instant | Primitive::Time => 3,
        Primitive::Xhtml => 4,
        _ => 0,
    };
    let (from, to) = (family(from), family(to));
    from == to || (from == 0 && to != 4) || (to == 0 && from != 4)
}
