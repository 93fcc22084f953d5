//! A compiled map: names resolved to numbers, immutable and shared by threads.

use std::sync::{Arc, OnceLock};

use fhir_models::document::{Kind, Name, Position};
use jiff::tz::TimeZone;

use super::concept_map::CodeTable;
use super::moment::MomentForm;
use super::syntax::{Condition, SourceListMode, TargetListMode, TransformKind};
use super::types::TypeId;
use crate::fhirpath::Expression;
use crate::terminology::concept_map::ConceptMap;

/// A variable's place in a frame.
pub(super) type Slot = u16;

/// Where something stands in the maps, and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub file: usize,
    pub position: Position,
    /// `group / rule`
    pub label: Box<str>,
}

/// One group for one combination of types.
#[derive(Debug, Default)]
pub(super) struct GroupCode {
    /// The group whose rules come first; it has the same parameters.
    pub base: Option<usize>,
    pub parameters: usize,
    pub slots: usize,
    pub rules: RuleList,
}

/// Rules in order, and how they are run.
#[derive(Debug, Default)]
pub(super) struct RuleList {
    pub rules: Vec<RuleCode>,
    pub steps: Vec<RunStep>,
    pub batches: Vec<Batch>,
}

/// One rule, or one batch, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunStep {
    Rule(usize),
    Batch(usize),
}

/// Rules that are run in one walk over the members of an item.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub source: Slot,
    pub target: Slot,
    pub from: TypeId,
    pub to: TypeId,
    pub rules: Vec<usize>,
    /// By symbol.
    pub members: Vec<BatchMember>,
}

/// What becomes of one member.
#[derive(Debug)]
pub(super) struct BatchMember {
    pub symbol: Name,
    pub ty: TypeId,
    pub open: bool,
    pub primitive: bool,
    /// Where it goes.
    pub element: u16,
    pub choice: u16,
    pub repeats: bool,
    pub rule: usize,
    pub action: BatchAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchAction {
    /// It is taken as it is.
    Copy,
    /// A group maps it to a new item of this type.
    Group(usize, TypeId),
    /// A code, translated by a concept map.
    Translate(usize),
    /// What is to be done is known when its type is.
    Open,
}

#[derive(Debug)]
pub(super) struct RuleCode {
    pub site: usize,
    pub sources: Vec<SourceCode>,
    pub targets: Vec<TargetCode>,
    pub calls: Vec<CallCode>,
    pub rules: RuleList,
    /// What becomes of each type of source, for `a.x -> b.y`.
    pub identity: Option<IdentityCode>,
}

#[derive(Debug)]
pub(super) struct SourceCode {
    pub context: Slot,
    pub path: Vec<StepCode>,
    pub filter: Option<TypeId>,
    pub min: u32,
    pub max: Option<u32>,
    pub default: Option<usize>,
    pub mode: Option<SourceListMode>,
    pub slot: Slot,
    pub condition: Option<usize>,
    pub check: Option<usize>,
    pub log: Option<usize>,
    /// Source elements as the map writes them, for reports.
    pub label: Box<str>,
}

/// One name of a source path.
#[derive(Debug)]
pub(super) struct StepCode {
    pub name: Box<str>,
    /// What JSON calls it, for each type that was foreseen.
    pub known: Vec<(TypeId, Vec<KeyCode>)>,
    /// The value of a primitive, by its own name.
    pub own_value: bool,
}

#[derive(Debug, Clone)]
pub(super) struct KeyCode {
    pub symbol: Name,
    pub text: Box<str>,
    pub ty: TypeId,
    pub primitive: bool,
    /// Its own `resourceType` says its type.
    pub open: bool,
}

#[derive(Debug)]
pub(super) struct TargetCode {
    pub context: Option<Slot>,
    /// Elements by name; looked up in the type of what they are written in.
    pub path: Vec<Box<str>>,
    pub value: ValueCode,
    pub slot: Option<Slot>,
    pub first: bool,
    pub single: bool,
    pub share: Option<Box<str>>,
    pub site: usize,
    /// Where the last name of the path stands in the type that it was met in first.
    pub place: OnceLock<(TypeId, (u16, Option<u16>))>,
}

impl TargetCode {
    pub fn modes(modes: &[TargetListMode], shared: Option<&str>) -> (bool, bool, Option<Box<str>>) {
        let share = modes.contains(&TargetListMode::Share).then(|| shared.unwrap_or_default().into());
        (modes.contains(&TargetListMode::First), modes.contains(&TargetListMode::Single), share)
    }
}

/// Where a target's value comes from.
#[derive(Debug)]
pub(super) enum ValueCode {
    /// A new item of the element's only type; without element, the target itself.
    New,
    Create(TypeId),
    Copy(ParameterCode),
    Evaluate(usize),
    Translate {
        from: ParameterCode,
        map: usize,
        form: CodeForm,
    },
    Cast {
        from: ParameterCode,
        to: TypeId,
    },
    Moment {
        from: ParameterCode,
        form: MomentForm,
        to: TypeId,
        zone: Option<Box<TimeZone>>,
    },
    Call(TransformKind, Vec<ParameterCode>),
}

/// What a translation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeForm {
    Code,
    System,
    Display,
    Coding,
    CodeableConcept,
}

#[derive(Debug, Clone)]
pub(super) enum ParameterCode {
    Slot(Slot),
    Literal(LiteralCode),
}

/// A constant with the type that FHIR gives it.
#[derive(Debug, Clone)]
pub(super) struct LiteralCode {
    pub ty: TypeId,
    pub kind: Kind,
    pub text: Box<str>,
}

#[derive(Debug)]
pub(super) struct CallCode {
    pub group: usize,
    pub arguments: Vec<ParameterCode>,
}

/// What an identity rule does with a type of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdentityAction {
    /// The content is taken as it is, as this type.
    Copy(TypeId),
    /// A group maps it to a new item of this type.
    Group(usize, TypeId),
}

#[derive(Debug, Default)]
pub(super) struct IdentityCode {
    pub actions: Vec<(TypeId, IdentityAction)>,
    /// Sources of types that are known only when they are met are taken as they are.
    pub open: bool,
}

/// A FHIRPath expression and the variables that it uses.
#[derive(Debug)]
pub(super) struct ExpressionCode {
    pub expression: Expression,
    pub variables: Vec<(Box<str>, Slot)>,
    /// What it starts from; `None`: from the source as a whole.
    pub focus: Option<Slot>,
    /// The same for items of this type, where it asks no more than a look at their members.
    pub simple: Option<(TypeId, Condition)>,
    /// What it reads, for reports.
    pub reads: Vec<ReadCode>,
}

/// A path that an expression follows.
#[derive(Debug)]
pub(super) struct ReadCode {
    /// The variable that it starts from; `None`: the expression's focus.
    pub from: Option<Slot>,
    pub path: Vec<Box<str>>,
    /// Only whether something is there, how often, or its type is asked: its value is not read.
    pub outside: bool,
}

/// A parameter of the first group.
#[derive(Debug)]
pub(super) struct EntryParameter {
    pub target: bool,
    pub ty: TypeId,
}

#[derive(Debug, Default)]
pub(super) struct Program {
    pub files: Vec<String>,
    pub sites: Vec<Site>,
    pub groups: Vec<GroupCode>,
    pub expressions: Vec<ExpressionCode>,
    pub concept_maps: Vec<Arc<ConceptMap>>,
    /// What each of them says of codes without system.
    pub code_tables: Vec<CodeTable>,
    pub entry: usize,
    pub parameters: Vec<EntryParameter>,
}
