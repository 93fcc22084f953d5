//! From the parsed expression to the program: names are resolved and typed against the definitions.
//!
//! Each part is compiled with the types its input may have, where they are known. In strict mode a name
//! that none of them has is an error; else it gives nothing. A step remembers the element it found, so
//! that an evaluation looks nothing up while the document's types are the expected ones.

use std::sync::Arc;

use fhir_models::document::{Name, Position, name};

use super::error::{CompileError, CompileFault};
use super::function::{Function, Gives, Takes};
use super::model::{Model, TypeId};
use super::parser::parse;
use super::program::{List, Literal, Op, Program, Source, Step, TypeSpec, Variable};
use super::quantity::{Quantity, QuantityUnit};
use super::regular;
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
}

impl Options<'_> {
    /// Strict mode.
    pub fn strict() -> Options<'static> {
        Options { strict: true, ..Options::default() }
    }
}

/// The types that items may have; `None` where nothing is known.
type Types = Option<Vec<TypeId>>;
type Fault = (CompileFault, usize);
type Typed = (Ref, Types);

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
    let resource = types(options.resource.or(whole)).filter(|found| found.iter().all(|it| model.is_resource(*it)));
    let defines = (0..tree.len() as Ref)
        .any(|node| matches!(tree.syntax(node), Syntax::Call(_, name, _) if &**name == "defineVariable"));
    let expected = match focus.as_deref() {
        Some([only]) if model.is_resource(*only) => *only,
        _ => TypeId::UNKNOWN,
    };
    let program = Program::new(expected);
    let mut compiler = Compiler { tree: &tree, model, options, program, focus: focus.clone(), resource, defines };
    let scope = Scope { this: focus, aggregate: false };
    let (node, _) = compiler.expression(root, &scope).map_err(located)?;
    compiler.program.root = node;
    Ok(compiler.program)
}

struct Compiler<'c> {
    tree: &'c Tree,
    model: &'c Model,
    options: &'c Options<'c>,
    program: Program,
    focus: Types,
    resource: Types,
    /// The expression itself defines variables, whose names may be computed.
    defines: bool,
}

#[derive(Clone)]
struct Scope {
    this: Types,
    aggregate: bool,
}

fn system(system: SystemType) -> Types {
    Some(vec![TypeId::of_system(system)])
}

fn merged(left: Types, right: Types) -> Types {
    let mut types = left?;
    for ty in right? {
        if !types.contains(&ty) {
            types.push(ty);
        }
    }
    Some(types)
}

impl Compiler<'_> {
    fn add(&mut self, op: Op, at: usize) -> Ref {
        self.program.ops.push((op, at as u32));
        (self.program.ops.len() - 1) as Ref
    }

    fn literal(&mut self, literal: Literal) -> u32 {
        self.program.literals.push(literal);
        (self.program.literals.len() - 1) as u32
    }

    fn list(&mut self, nodes: &[Ref]) -> List {
        let start = self.program.lists.len() as u32;
        self.program.lists.extend_from_slice(nodes);
        List { start, len: nodes.len() as u16 }
    }

    fn expression(&mut self, node: Ref, scope: &Scope) -> Result<Typed, Fault> {
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

    fn binary(&mut self, operator: Operator, left: Ref, right: Ref, scope: &Scope, at: usize) -> Result<Typed, Fault> {
        let (left, _) = self.expression(left, scope)?;
        let (right, _) = self.expression(right, scope)?;
        let types = match operator {
            Operator::Concatenate => system(SystemType::String),
            Operator::Times | Operator::Divide | Operator::Div | Operator::Mod | Operator::Plus | Operator::Minus => None,
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
        let plain = matches!(self.program.op(path), Op::Path(Source::This | Source::Typed(_) | Source::Resource, _));
        let text = matches!(self.program.literals.get(literal as usize), Some(Literal::Text(_)));
        (plain && text).then_some(Op::TextEquals { path, text: literal, negated })
    }

    fn chain(&mut self, operator: Operator, operands: &[Ref], scope: &Scope, at: usize) -> Result<Typed, Fault> {
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
        let (Op::Call(Function::Count, Some(all), _), Op::Call(Function::Count, Some(ids), _)) = (op(all), op(ids))
        else {
            return false;
        };
        let (Op::Call(Function::Children, None, _), Op::Path(Source::This, steps)) = (op(all), op(ids)) else {
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
                    (Variable::Named((self.program.names.len() - 1) as u32), None)
                }
            },
        };
        Ok((self.add(Op::Variable(variable), at), types))
    }

    /// A name at the start of a path: an element of `$this`, or the type of `$this`.
    fn first_name(&mut self, text: &str, scope: &Scope, at: usize) -> Result<Typed, Fault> {
        let element = Name::of(text);
        let has_element = scope.this.iter().flatten().any(|ty| self.has(*ty, element));
        if !has_element && text.starts_with(|first: char| first.is_ascii_uppercase()) {
            let named = TypeId::of_structure(element);
            if self.model.structure(element).is_some() {
                let fits = |ty: &TypeId| self.model.is_a(*ty, named) || self.model.is_a(named, *ty);
                let possible = scope.this.as_ref().is_none_or(|types| types.iter().any(fits));
                if possible || !self.options.strict {
                    let source = Source::Typed(named);
                    let none = List { start: self.program.steps.len() as u32, len: 0 };
                    return Ok((self.add(Op::Path(source, none), at), Some(vec![named])));
                }
                let on = self.described(&scope.this);
                return Err((CompileFault::WrongContext { path: text.to_owned(), on }, at));
            }
        }
        let start = List { start: self.program.steps.len() as u32, len: 0 };
        let path = self.add(Op::Path(Source::This, start), at);
        self.member(path, scope.this.clone(), text, at)
    }

    fn has(&self, ty: TypeId, element: Name) -> bool {
        self.model.shape(ty).is_some_and(|shape| shape.element(element).is_some())
    }

    /// One more name behind `input`.
    fn member(&mut self, input: Ref, types: Types, text: &str, at: usize) -> Result<Typed, Fault> {
        let element = Name::of(text);
        if let Some(types) = &types
            && !types.is_empty()
            && element == name::VALUE
            && types.iter().all(|ty| self.model.is_primitive(*ty))
        {
            let system = types.iter().filter_map(|ty| SystemType::of_name(ty.structure()));
            let result = system.map(TypeId::of_system).collect();
            let none = self.list(&[]);
            return Ok((self.add(Op::Call(Function::GetValue, Some(input), none), at), Some(result)));
        }
        let (result, step) = self.step(types, text, element, at)?;
        let steps = self.program.steps.len() as u32;
        self.program.steps.push(step);
        let node = match self.program.op(input) {
            Op::Path(source, list) if list.start + u32::from(list.len) == steps => {
                let longer = Op::Path(source, List { len: list.len + 1, ..list });
                if let Some((op, _)) = self.program.ops.get_mut(input as usize) {
                    *op = longer;
                }
                input
            }
            Op::This => self.add(Op::Path(Source::This, List { start: steps, len: 1 }), at),
            Op::Variable(Variable::Resource) => {
                self.add(Op::Path(Source::Resource, List { start: steps, len: 1 }), at)
            }
            _ => self.add(Op::Path(Source::Of(input), List { start: steps, len: 1 }), at),
        };
        Ok((node, result))
    }

    fn step(&self, types: Types, text: &str, element: Name, at: usize) -> Result<(Types, Step), Fault> {
        let mut step = Step { name: element, text: text.into(), on: TypeId::UNKNOWN, element: None };
        let Some(types) = types else { return Ok((None, step)) };
        if types.is_empty() {
            return Ok((Some(Vec::new()), step));
        }
        let mut result = Some(Vec::new());
        let mut found = false;
        for ty in &types {
            if let Some(own) = self.model.shape(*ty).and_then(|shape| shape.element(element)) {
                found = true;
                if step.element.is_none() {
                    (step.on, step.element) = (*ty, Some(own.clone()));
                }
                let types: Vec<TypeId> = own.properties.iter().map(|property| property.ty).collect();
                let open = own.properties.iter().any(|property| property.resource);
                result = merged(result, if open { None } else { Some(types) });
            } else if self.model.is_open(*ty) {
                found = true;
                result = None;
            } else if ty.system() == Some(SystemType::TypeInfo) && matches!(text, "name" | "namespace") {
                found = true;
                result = merged(result, system(SystemType::String));
            }
        }
        if !found && self.options.strict {
            return Err((self.unknown_element(&types, text), at));
        }
        Ok((if found { result } else { Some(Vec::new()) }, step))
    }

    fn unknown_element(&self, types: &[TypeId], text: &str) -> CompileFault {
        let named = Name::of(text);
        let choice = types.iter().find_map(|ty| self.model.shape(*ty)?.property(named));
        let hint = match choice {
            Some(property) => format!("write {}, or {0}.ofType(…) for one type", property.element),
            None => {
                let names = types.iter().filter_map(|ty| self.model.shape(*ty)).flat_map(|shape| shape.element_names());
                match names.min_by_key(|it| distance(it, text)).filter(|it| distance(it, text) <= 2) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "check the spelling".to_owned(),
                }
            }
        };
        CompileFault::UnknownElement { element: text.to_owned(), on: self.described(&Some(types.to_vec())), hint }
    }

    fn described(&self, types: &Types) -> String {
        let types = types.as_deref().unwrap_or_default();
        let mut names: Vec<&str> = types.iter().map(|ty| self.model.describe(*ty)).collect();
        names.sort_unstable();
        if names.len() > 6 {
            names.truncate(6);
            names.push("…");
        }
        if names.is_empty() { "this value".to_owned() } else { names.join(" or ") }
    }

    fn call(
        &mut self,
        input: Option<Ref>,
        text: &str,
        arguments: &[Ref],
        scope: &Scope,
        at: usize,
    ) -> Result<Typed, Fault> {
        let Some(signature) = Function::find(text) else {
            return Err((CompileFault::UnknownFunction(text.to_owned()), at));
        };
        let function = signature.function;
        if arguments.len() < signature.least || arguments.len() > signature.most {
            let (takes, given) = (signature.arguments(), arguments.len());
            return Err((CompileFault::WrongArgumentCount { function: signature.name, takes, given }, at));
        }
        let (input, types) = match input {
            None => (None, scope.this.clone()),
            Some(input) => {
                let (node, types) = self.expression(input, scope)?;
                (Some(node), types)
            }
        };
        if let (Function::Is | Function::As | Function::OfType, [argument]) = (function, arguments) {
            let name = self.type_name(*argument)?;
            return self.type_test(input, types, &name, signature.name, at);
        }
        self.check_input(function, &types, at)?;
        if matches!(function, Function::First | Function::Last | Function::Tail | Function::Skip | Function::Take) {
            self.check_order(input, signature.name, at)?;
        }
        self.with_arguments(function, input, types, arguments, scope, at)
    }

    fn with_arguments(
        &mut self,
        function: Function,
        input: Option<Ref>,
        types: Types,
        arguments: &[Ref],
        scope: &Scope,
        at: usize,
    ) -> Result<Typed, Fault> {
        let item = Scope { this: types.clone(), aggregate: scope.aggregate || function == Function::Aggregate };
        let mut nodes = Vec::with_capacity(arguments.len());
        let mut results = Vec::with_capacity(arguments.len());
        for (number, argument) in arguments.iter().enumerate() {
            let inner = function.is_lambda(number) || function.is_on_input();
            let inner_scope = if inner { &item } else { scope };
            let (mut node, mut found) = self.expression(*argument, inner_scope)?;
            if matches!(function, Function::Repeat | Function::RepeatAll) {
                // What the projection gives is projected again.
                let again = Scope { this: merged(types.clone(), found.clone()), ..item.clone() };
                (node, found) = self.expression(*argument, &again)?;
            }
            nodes.push(node);
            results.push(found);
        }
        if function == Function::Iif {
            self.check_criterion(results.first(), at)?;
        }
        let list = self.list(&nodes);
        let node = self.add(Op::Call(function, input, list), at);
        self.prepare_regex(function, node, &nodes, at)?;
        Ok((node, self.result(function, types, results)))
    }

    /// The types of what a function gives.
    fn result(&self, function: Function, input: Types, arguments: Vec<Types>) -> Types {
        let all = |arguments: Vec<Types>| arguments.into_iter().fold(Some(Vec::new()), merged);
        match function.gives() {
            Gives::System(ty) => system(ty),
            Gives::Input => input,
            Gives::Other => match function {
                Function::Select | Function::Repeat | Function::RepeatAll | Function::Coalesce => all(arguments),
                Function::Iif => all(arguments.into_iter().skip(1).collect()),
                Function::Union | Function::Combine => merged(input, arguments.into_iter().next().flatten()),
                Function::Extension => Some(vec![TypeId::of_structure(Name::of("Extension"))]),
                Function::ElementDefinition => Some(vec![TypeId::of_structure(Name::of("ElementDefinition"))]),
                _ => None,
            },
        }
    }

    fn prepare_regex(&mut self, function: Function, node: Ref, arguments: &[Ref], at: usize) -> Result<(), Fault> {
        let flags = match function {
            Function::Matches | Function::MatchesFull => arguments.get(1),
            Function::ReplaceMatches => arguments.get(2),
            _ => return Ok(()),
        };
        let text_of = |node: Ref| match self.program.op(node) {
            Op::Literal(number) => match self.program.literals.get(number as usize) {
                Some(Literal::Text(text)) => Some(text),
                _ => None,
            },
            _ => None,
        };
        let Some(pattern) = arguments.first().and_then(|it| text_of(*it)) else { return Ok(()) };
        let flags = match flags {
            None => "",
            Some(flags) => match text_of(*flags) {
                Some(flags) => flags,
                None => return Ok(()),
            },
        };
        let regex = regular::compile(pattern, flags, function == Function::MatchesFull)
            .map_err(|cause| (CompileFault::BadRegex(cause), at))?;
        self.program.regexes.push((node, regex));
        Ok(())
    }

    fn system_types(&self, types: &Types) -> Option<Vec<Option<SystemType>>> {
        let types = types.as_ref().filter(|types| !types.is_empty())?;
        if types.iter().any(|ty| self.model.is_open(*ty)) {
            return None;
        }
        let of = |ty: &TypeId| match ty.system() {
            Some(system) => Some(system),
            None if ty.is_structure() => SystemType::of_name(ty.structure()),
            None => None,
        };
        Some(types.iter().map(of).collect())
    }

    /// In strict mode, refuses an input that the function has no use for, whatever the document holds.
    fn check_input(&self, function: Function, types: &Types, at: usize) -> Result<(), Fault> {
        if !self.options.strict {
            return Ok(());
        }
        let Some(systems) = self.system_types(types) else { return Ok(()) };
        let fits = |ty: SystemType| match function.takes() {
            Takes::Anything => true,
            Takes::Text => ty == SystemType::String,
            Takes::Boolean => ty == SystemType::Boolean,
            Takes::Number => matches!(
                ty,
                SystemType::Integer | SystemType::Long | SystemType::Decimal | SystemType::Quantity
            ),
        };
        let expected = match function.takes() {
            Takes::Anything => return Ok(()),
            Takes::Text => "strings",
            Takes::Boolean => "booleans",
            Takes::Number => "numbers and quantities",
        };
        if systems.into_iter().flatten().any(fits) {
            return Ok(());
        }
        let found = self.described(types);
        Err((CompileFault::WrongType { operation: function.name(), expected, found }, at))
    }

    /// In strict mode, refuses to pick by position from `children()` and `descendants()`, whose order means
    /// nothing (FHIRPath §Collections).
    fn check_order(&self, input: Option<Ref>, operation: &'static str, at: usize) -> Result<(), Fault> {
        let mut node = input.filter(|_| self.options.strict);
        while let Some(current) = node {
            node = match self.program.op(current) {
                Op::Call(Function::Children | Function::Descendants, ..) => {
                    return Err((CompileFault::NoOrder(operation), at));
                }
                Op::Path(Source::Of(inner), _) => Some(inner),
                Op::Call(Function::Where | Function::Select | Function::Distinct | Function::Trace, input, _)
                | Op::As { input, .. } => input,
                _ => None,
            };
        }
        Ok(())
    }

    fn check_criterion(&self, types: Option<&Types>, at: usize) -> Result<(), Fault> {
        let systems = types.filter(|_| self.options.strict).and_then(|types| self.system_types(types));
        let Some(systems) = systems else { return Ok(()) };
        if systems.contains(&Some(SystemType::Boolean)) {
            return Ok(());
        }
        let found = types.map(|types| self.described(types)).unwrap_or_default();
        Err((CompileFault::WrongType { operation: "the criterion of iif", expected: "booleans", found }, at))
    }

    /// The name in an argument such as `FHIR.Patient`.
    fn type_name(&self, argument: Ref) -> Result<String, Fault> {
        match self.tree.syntax(argument) {
            Syntax::Member(None, name) => Ok(name.to_string()),
            Syntax::Member(Some(qualifier), name) => Ok(format!("{}.{name}", self.type_name(*qualifier)?)),
            _ => Err((CompileFault::TypeExpected, self.tree.at(argument))),
        }
    }

    fn type_test(
        &mut self,
        input: Option<Ref>,
        types: Types,
        text: &str,
        operation: &'static str,
        at: usize,
    ) -> Result<Typed, Fault> {
        let spec = self.spec(text, operation, at)?;
        let narrowed: Vec<TypeId> =
            spec.fhir.into_iter().chain(spec.system.map(TypeId::of_system)).collect();
        self.program.specs.push(spec);
        let number = (self.program.specs.len() - 1) as u32;
        if operation == "is" {
            return Ok((self.add(Op::Is(input, number), at), system(SystemType::Boolean)));
        }
        let kept = |ty: &TypeId| narrowed.iter().any(|it| self.model.is_a(*ty, *it));
        let result = match types {
            // Types that already are of the asked one say more than it does.
            Some(types) if !types.is_empty() && types.iter().all(kept) => types,
            _ => narrowed,
        };
        let single = self.options.strict && operation == "as";
        Ok((self.add(Op::As { input, spec: number, operation, single }, at), Some(result)))
    }

    fn spec(&self, text: &str, operation: &str, at: usize) -> Result<TypeSpec, Fault> {
        let converting = !self.options.strict;
        let fhir = |name: &str| {
            let name = Name::of(name);
            self.model.structure(name).map(|_| TypeId::of_structure(name))
        };
        let spec = match text.split_once('.') {
            Some(("System", name)) => TypeSpec { fhir: None, system: SystemType::of(name), converting: false },
            Some(("FHIR", name)) => TypeSpec { fhir: fhir(name), system: None, converting: false },
            Some(_) => TypeSpec { fhir: None, system: None, converting: false },
            None => TypeSpec { fhir: fhir(text), system: SystemType::of(text), converting },
        };
        let known = spec.fhir.is_some() || spec.system.is_some();
        // `is` with a type that its namespace lacks can only be false.
        if known || (operation == "is" && text.starts_with("System.")) {
            return Ok(spec);
        }
        Err((CompileFault::UnknownType(text.to_owned()), at))
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

/// How many single changes turn one short word into the other; large where they have little in common.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > 2 || left.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, byte) in left.iter().enumerate() {
        let mut diagonal = at;
        let mut last = at + 1;
        for (column, other) in right.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX);
            let replaced = diagonal + usize::from(byte.to_ascii_lowercase() != other.to_ascii_lowercase());
            diagonal = above;
            if let Some(slot) = row.get_mut(column) {
                *slot = last;
            }
            last = replaced.min(above + 1).min(last + 1);
        }
        if let Some(slot) = row.get_mut(right.len()) {
            *slot = last;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
