//! Rules that take one element each of the same item to the same target, such as those of `src -> tgt: id, meta, name;`, put
//! together: the item's members are then walked once, not once for each rule.
//!
//! Invariant: a rule is put into a batch only where it makes no difference when it runs. It has one source and one target
//! element, neither condition nor check, and no other rule of the list writes its target element.

use super::compile::{Compiler, Scope};
use super::program::{
    Batch, BatchAction, BatchMember, CodeForm, IdentityAction, ParameterCode, RuleCode, RuleList, RunStep,
    Slot, SourceCode, TargetCode, ValueCode,
};
use super::types::{Type, TypeId, TypeKind};

impl Compiler<'_> {
    /// A list of rules with its batches.
    pub(super) fn rule_list(&self, scope: &Scope, rules: Vec<RuleCode>) -> RuleList {
        let mut list = RuleList { rules, ..RuleList::default() };
        let mut batches: Vec<Batch> = Vec::new();
        let mut of: Vec<Option<usize>> = Vec::new();
        for (number, rule) in list.rules.iter().enumerate() {
            let Some((source, target)) = plain(rule).filter(|(_, it)| alone(&list.rules, number, it)) else {
                of.push(None);
                continue;
            };
            let types = self.types_of(scope, source.context, target.context);
            let Some((from, to)) = types else {
                of.push(None);
                continue;
            };
            let members = self.members(number, rule, (source, target), (from, to));
            let Some(members) = members else {
                of.push(None);
                continue;
            };
            let (source, target) = (source.context, target.context.unwrap_or_default());
            let known = batches.iter().position(|it| it.source == source && it.target == target);
            let at = known.unwrap_or_else(|| {
                batches.push(Batch { source, target, from, to, ..Batch::default() });
                batches.len() - 1
            });
            if let Some(batch) = batches.get_mut(at) {
                batch.rules.push(number);
                batch.members.extend(members);
            }
            of.push(Some(at));
        }
        let clear = |batch: &Batch| {
            let mut symbols: Vec<usize> = batch.members.iter().map(|it| it.symbol.index()).collect();
            symbols.sort_unstable();
            batch.rules.len() > 1 && symbols.windows(2).all(|pair| pair.first() != pair.last())
        };
        for (number, at) in of.iter().enumerate() {
            match at.and_then(|at| Some((at, batches.get(at)?))).filter(|(_, it)| clear(it)) {
                None => list.steps.push(RunStep::Rule(number)),
                Some((at, batch)) if batch.rules.first() == Some(&number) => {
                    list.steps.push(RunStep::Batch(at))
                }
                Some(_) => {}
            }
        }
        for batch in &mut batches {
            batch.members.sort_by_key(|it| it.symbol.index());
        }
        list.batches = batches;
        list
    }

    /// The types of a source and a target variable, where both are known for sure and no logical models.
    fn types_of(&self, scope: &Scope, source: Slot, target: Option<Slot>) -> Option<(TypeId, TypeId)> {
        let only = |slot: Slot, target: bool| {
            let variable = scope.variables.iter().find(|it| it.slot == slot && it.target == target)?;
            match variable.types.as_slice() {
                [only] if only.is_known() => Some(*only),
                _ => None,
            }
        };
        let (from, to) = (only(source, false)?, only(target?, true)?);
        let fits = |id| {
            self.types.get(id).is_some_and(|it| {
                matches!(it.kind, TypeKind::Complex | TypeKind::Resource) && !it.is_abstract
            })
        };
        (fits(from) && fits(to)).then_some((from, to))
    }

    /// What becomes of each member that a rule reads.
    fn members(
        &self,
        number: usize,
        rule: &RuleCode,
        (source, target): (&SourceCode, &TargetCode),
        (from, to): (TypeId, TypeId),
    ) -> Option<Vec<BatchMember>> {
        let (_, keys) = source.path.first()?.known.iter().find(|(ty, _)| *ty == from)?;
        let to = self.types.get(to)?;
        let name = target.path.first()?;
        let (element, forced) = match to.element(name) {
            Some((at, _)) => (at, None),
            None => to.by_key(name).map(|(at, choice, _)| (at, Some(choice)))?,
        };
        let repeats = to.elements.get(usize::from(element))?.repeats;
        let mut members = Vec::new();
        for key in keys {
            if key.symbol.index() == 0 {
                return None;
            }
            let action = match (&rule.identity, &target.value) {
                (Some(_), _) if key.open => BatchAction::Open,
                (Some(identity), _) => match identity.actions.iter().find(|(own, _)| *own == key.ty)?.1 {
                    IdentityAction::Copy(same) if same == key.ty => BatchAction::Copy,
                    IdentityAction::Copy(_) => BatchAction::Open,
                    IdentityAction::Group(group, made) => BatchAction::Group(group, made),
                },
                (None, ValueCode::Translate { map, .. }) => BatchAction::Translate(*map),
                _ => return None,
            };
            let made = match action {
                BatchAction::Group(_, made) => made,
                _ => key.ty,
            };
            let choice = choice_of(self, &to, element, forced, made);
            let action = if choice.is_none() { BatchAction::Open } else { action };
            let primitive = key.primitive;
            let choice = choice.unwrap_or_default();
            members.push(BatchMember {
                symbol: key.symbol,
                ty: key.ty,
                open: key.open,
                primitive,
                element,
                choice,
                repeats,
                rule: number,
                action,
            });
        }
        Some(members)
    }
}

fn choice_of(
    compiler: &Compiler<'_>,
    to: &Type,
    element: u16,
    forced: Option<u16>,
    wanted: TypeId,
) -> Option<u16> {
    let choices = &to.elements.get(usize::from(element))?.choices;
    let found = choices.iter().position(|it| compiler.types.choice(it) == wanted)?;
    let found = u16::try_from(found).ok()?;
    forced.is_none_or(|it| it == found).then_some(found)
}

/// Source and target of a rule that does no more than taking one element to another.
fn plain(rule: &RuleCode) -> Option<(&SourceCode, &TargetCode)> {
    let ([source], [target]) = (rule.sources.as_slice(), rule.targets.as_slice()) else { return None };
    let unconditional = source.filter.is_none()
        && source.min == 0
        && source.max.is_none()
        && source.default.is_none()
        && source.mode.is_none()
        && source.condition.is_none()
        && source.check.is_none()
        && source.log.is_none()
        && source.path.len() == 1;
    let simple = target.context.is_some()
        && target.path.len() == 1
        && target.slot.is_none()
        && !target.first
        && !target.single
        && target.share.is_none();
    let ends = rule.calls.is_empty() && rule.rules.rules.is_empty();
    let taken = match &target.value {
        _ if rule.identity.is_some() => true,
        ValueCode::Translate { from: ParameterCode::Slot(from), form: CodeForm::Code, .. } => {
            *from == source.slot
        }
        _ => false,
    };
    (unconditional && simple && ends && taken).then_some((source, target))
}

/// Whether no other rule of a list, nor any rule within one, may write what a target writes.
fn alone(rules: &[RuleCode], own: usize, target: &TargetCode) -> bool {
    !rules.iter().enumerate().any(|(number, rule)| number != own && writes(rule, target))
}

fn writes(rule: &RuleCode, target: &TargetCode) -> bool {
    let same = |it: &TargetCode| it.context == target.context && it.path.first() == target.path.first();
    let given = |it: &ParameterCode| matches!(it, ParameterCode::Slot(slot) if Some(*slot) == target.context);
    rule.targets.iter().any(same)
        || rule.calls.iter().any(|call| call.arguments.iter().any(given))
        || rule.rules.rules.iter().any(|inner| writes(inner, target))
}
