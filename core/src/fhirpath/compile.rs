//! From the parsed expression to the program: names are resolved and typed against the definitions.
//!
//! Each part is compiled with the types its input may have, where they are known. In strict mode a name
//! that none of them has is an error; else it gives nothing. A step remembers the element it found, so
//! that an evaluation looks nothing up while the document's types are the expected ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use fhir_models::document::{Position, name};

use super::error::{CompileError, CompileFault};
use super::function::Function;
use super::model::{Model, TypeId};
use super::parser::parse;
use super::program::{List, Literal, Op, Program, Source, Variable};
use super::quantity::{Quantity, QuantityUnit};
use super::syntax::{Operator, Ref, Syntax, Tree, Unit};
use super::system::SystemType;

/// How an expression is compiled.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'o> {
    /// Refuse paths that can't exist, and `as` with several items. Off: they give nothing, `as` filters,
    /// and `is Boolean` also accepts FHIR's `boolean`, as R4's own invariants expect.
    pub strict: bool,
    /// The type or element that the expression is for: `Patient`, `Patient.contact`, `Observation.value[x]`.
    /// Unknown where absent: then only what is inside the expression is typed.
    pub on: Option<&'o str>,
    /// The resource type around it, which is `%resource`; by default the type at the start of `on`.
    pub resource: Option<&'o str>,
    /// Variables that the evaluation's context will define, without `%`.
    pub variables: &'o [&'o str],
    /// Types or elements of some of them, as for `on`; the others are of unknown type.
    pub typed: &'o [(&'o str, &'o str)],
    /// Also take names as mappings write them: `valueString` for `value.ofType(string)`, and `value` for what
    /// a primitive of a type not known before holds.
    pub instance_names: bool,
    /// Names of elements that FHIR's definitions don't know, where an object of unknown type may have them.
    pub own_names: Option<&'o OwnNames>,
}

/// By name, the JSON properties that an element may stand under, each with its FHIR type; empty for none.
pub type OwnNames = BTreeMap<String, Vec<(String, String)>>;

impl Options<'_> {
    /// Strict mode.
    pub fn strict() -> Options<'static> {
        Options { strict: true, ..Options::default() }
    }
}

/// The types that items may have; `None` where nothing is known.
pub(super) type Types = Option<Vec<TypeId>>;
pub(super) type Fault = (CompileFault, usize);
pub(super) type Typed = (Ref, Types);

/// Compiles an expression.
pub(super) fn compile(text: &str, model: &Model, options: &Options<'_>) -> Result<Program, CompileError> {
    let located = |(fault, offset): Fault| {
        let position = Position::of(text.as_bytes(), offset);
        CompileError { fault, position, offset }
    };
    let (tree, root) = parse(text).map_err(located)?;
    let types = |path: Option<&str>| path.map(|it| model.types_of(it)).filter(|found| !found.is_empty());
    let focus = types(options.on);
    let whole = options.on.map(|path| path.split('.').next().unwrap_or_default());
    let resource =
        types(options.resource.or(whole)).filter(|found| found.iter().all(|it| model.is_resource(*it)));
    let defines = (0..tree.len() as Ref)
        .any(|node| matches!(tree.syntax(node), Syntax::Call(_, name, _) if &**name == "defineVariable"));
    let expected = match focus.as_deref() {
        Some([only]) if model.is_resource(*only) => *only,
        _ => TypeId::UNKNOWN,
    };
    let program = Program::new(expected);
    let mut compiler =
        Compiler { tree: &tree, model, options, program, focus: focus.clone(), resource, defines };
    let scope = Scope { this: focus, aggregate: false };
    let (node, types) = compiler.expression(root, &scope).map_err(located)?;
    compiler.program.types = types.map(Vec::into_boxed_slice);
    compiler.program.root = node;
    compiler.program.settle_quick();
    Ok(compiler.program)
}

pub(super) struct Compiler<'c> {
    pub tree: &'c Tree,
    pub model: &'c Model,
    pub options: &'c Options<'c>,
    pub program: Program,
    pub focus: Types,
    pub resource: Types,
    /// The expression itself defines variables, whose names may be computed.
    pub defines: bool,
}

#[derive(Clone)]
pub(super) struct Scope {
    pub this: Types,
    pub aggregate: bool,
}

pub(super) fn system(system: SystemType) -> Types {
    Some(vec![TypeId::of_system(system)])
}

pub(super) fn merged(left: Types, right: Types) -> Types {
    let mut types = left?;
    for ty in right? {
        if !types.contains(&ty) {
            types.push(ty);
        }
    }
    Some(types)
}

impl Compiler<'_> {
    pub(super) fn add(&mut self, op: Op, at: usize) -> Ref {
        self.program.ops.push((op, at as u32));
        (self.program.ops.len() - 1) as Ref
    }

    pub(super) fn literal(&mut self, literal: Literal) -> u32 {
        self.program.literals.push(literal);
        (self.program.literals.len() - 1) as u32
    }

    pub(super) fn list(&mut self, nodes: &[Ref]) -> List {
        let start = self.program.lists.len() as u32;
        self.program.lists.extend_from_slice(nodes);
        List { start, len: nodes.len() as u16 }
    }

    pub(super) fn expression(&mut self, node: Ref, scope: &Scope) -> Result<Typed, Fault> {
        let at = self.tree.at(node);
        let tree = self.tree;
        let constant = |this: &mut Self, literal: Literal, ty: SystemType| {
            let number = this.literal(literal);
            Ok((this.add(Op::Literal(number), at), system(ty)))
        };
        match tree.syntax(node) {
            Syntax::Empty => Ok((self.add(Op::Empty, at), Some(Vec::new()))),
            Syntax::Boolean(value) => constant(self, Literal::Boolean(*value), SystemType::Boolean),
            Syntax::Text(text) => constant(self, Literal::Text(text.clone()), SystemType::String),
            Syntax::Integer(value) => constant(self, Literal::Integer(*value), SystemType::Integer),
            Syntax::Long(value) => constant(self, Literal::Long(*value), SystemType::Long),
            Syntax::Decimal(value) => constant(self, Literal::Decimal(*value), SystemType::Decimal),
            Syntax::Temporal(value) => {
                let ty = Literal::Temporal(*value).item().system_type().unwrap_or(SystemType::Date);
                constant(self, Literal::Temporal(*value), ty)
            }
            Syntax::Quantity(value, unit) => {
                let unit = match unit {
                    Unit::Calendar(unit, plural) => QuantityUnit::Calendar(*unit, *plural),
                    Unit::Quoted(text) => QuantityUnit::quoted(text),
                };
                let quantity = Arc::new(Quantity { value: *value, unit });
                constant(self, Literal::Quantity(quantity), SystemType::Quantity)
            }
            Syntax::This => Ok((self.add(Op::This, at), scope.this.clone())),
            Syntax::Index => Ok((self.add(Op::Index, at), system(SystemType::Integer))),
            Syntax::Total if scope.aggregate => Ok((self.add(Op::Total, at), None)),
            Syntax::Total => Err((CompileFault::TotalOutsideAggregate, at)),
            Syntax::External(name) => self.external(name, at),
            Syntax::Member(None, name) => self.first_name(name, scope, at),
            Syntax::Member(Some(input), name) => {
                let (input, types) = self.expression(*input, scope)?;
                self.member(input, types, name, at)
            }
            Syntax::Call(input, name, arguments) => self.call(*input, name, arguments, scope, at),
            Syntax::Indexer(input, index) => {
                let (input, types) = self.expression(*input, scope)?;
                let (index, _) = self.expression(*index, scope)?;
                self.check_order(Some(input), "an index", at)?;
                Ok((self.add(Op::Indexer(input, index), at), types))
            }
            Syntax::Negate(inner) => {
                let (inner, types) = self.expression(*inner, scope)?;
                Ok((self.add(Op::Negate(inner), at), types))
            }
            Syntax::Positive(inner) => {
                let (inner, types) = self.expression(*inner, scope)?;
                Ok((self.add(Op::Positive(inner), at), types))
            }
            Syntax::Descending(inner) => {
                let (inner, types) = self.expression(*inner, scope)?;
                Ok((self.add(Op::Descending(inner), at), types))
            }
            Syntax::Binary(operator, left, right) => self.binary(*operator, *left, *right, scope, at),
            Syntax::Chain(operator, operands) => self.chain(*operator, operands, scope, at),
            Syntax::TypeTest(convert, input, name) => {
                let (input, types) = self.expression(*input, scope)?;
                let operation = if *convert { "as" } else { "is" };
                self.type_test(Some(input), types, name, operation, at)
            }
        }
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: Ref,
        right: Ref,
        scope: &Scope,
        at: usize,
    ) -> Result<Typed, Fault> {
        let (left, _) = self.expression(left, scope)?;
        let (right, _) = self.expression(right, scope)?;
        let types = match operator {
            Operator::Concatenate => system(SystemType::String),
            Operator::Times
            | Operator::Divide
            | Operator::Div
            | Operator::Mod
            | Operator::Plus
            | Operator::Minus => None,
            _ => system(SystemType::Boolean),
        };
        if matches!(operator, Operator::Equal | Operator::NotEqual)
            && let Some(op) = self.text_equals(left, right, operator == Operator::NotEqual)
        {
            return Ok((self.add(op, at), types));
        }
        Ok((self.add(Op::Binary(operator, left, right), at), types))
    }

    /// `path = 'text'` in either order.
    fn text_equals(&self, left: Ref, right: Ref, negated: bool) -> Option<Op> {
        let (path, literal) = match (self.program.op(left), self.program.op(right)) {
            (Op::Path(..), Op::Literal(text)) => (left, text),
            (Op::Literal(text), Op::Path(..)) => (right, text),
            _ => return None,
        };
        let plain =
            matches!(self.program.op(path), Op::Path(Source::This | Source::Typed(_) | Source::Resource, _));
        let text = matches!(self.program.literals.get(literal as usize), Some(Literal::Text(_)));
        (plain && text).then_some(Op::TextEquals { path, text: literal, negated })
    }

    fn chain(
        &mut self,
        operator: Operator,
        operands: &[Ref],
        scope: &Scope,
        at: usize,
    ) -> Result<Typed, Fault> {
        let mut nodes = Vec::with_capacity(operands.len());
        let mut types = Some(Vec::new());
        for operand in operands {
            let (node, found) = self.expression(*operand, scope)?;
            nodes.push(node);
            types = merged(types, found);
        }
        if operator != Operator::Union {
            types = system(SystemType::Boolean);
        }
        if self.is_has_content(operator, &nodes) {
            return Ok((self.add(Op::HasContent, at), types));
        }
        let list = self.list(&nodes);
        Ok((self.add(Op::Chain(operator, list), at), types))
    }

    /// `hasValue() or (children().count() > id.count())`
    fn is_has_content(&self, operator: Operator, nodes: &[Ref]) -> bool {
        let op = |node: Ref| self.program.op(node);
        let [value, more] = nodes else { return false };
        let (Operator::Or, Op::Call(Function::HasValue, None, _), Op::Binary(Operator::Greater, all, ids)) =
            (operator, op(*value), op(*more))
        else {
            return false;
        };
        let (Op::Call(Function::Count, Some(all), _), Op::Call(Function::Count, Some(ids), _)) =
            (op(all), op(ids))
        else {
            return false;
        };
        let (Op::Call(Function::Children, None, _), Op::Path(Source::This, steps)) = (op(all), op(ids))
        else {
            return false;
        };
        matches!(self.program.steps(steps), [only] if only.name == name::ID)
    }

    fn external(&mut self, variable: &str, at: usize) -> Result<Typed, Fault> {
        let (variable, types) = match variable {
            "context" => (Variable::Context, self.focus.clone()),
            "resource" => (Variable::Resource, self.resource.clone()),
            "rootResource" => (Variable::RootResource, None),
            other => match known_text(other) {
                Some(text) => (Variable::Text(self.literal(Literal::Text(text))), system(SystemType::String)),
                None => {
                    let passed = self.options.variables.contains(&other);
                    if !passed && !self.defines {
                        return Err((CompileFault::UnknownVariable(other.to_owned()), at));
                    }
                    self.program.names.push(other.into());
                    let typed = self.options.typed.iter().find(|(name, _)| *name == other);
                    let types = typed.map(|(_, path)| self.model.types_of(path)).filter(|it| !it.is_empty());
                    (Variable::Named((self.program.names.len() - 1) as u32), types)
                }
            },
        };
        Ok((self.add(Op::Variable(variable), at), types))
    }
}

/// Variables that stand for a text in every FHIR expression (FHIR R4 §2.1.20.5).
fn known_text(variable: &str) -> Option<Box<str>> {
    let text = match variable {
        "sct" => "http://snomed.info/sct".to_owned(),
        "loinc" => "http://loinc.org".to_owned(),
        "ucum" => "http://unitsofmeasure.org".to_owned(),
        _ => match (variable.strip_prefix("vs-"), variable.strip_prefix("ext-")) {
            (Some(set), _) => format!("http://hl7.org/fhir/ValueSet/{set}"),
            (_, Some(extension)) => format!("http://hl7.org/fhir/StructureDefinition/{extension}"),
            _ => return None,
        },
    };
    Some(text.into())
}
