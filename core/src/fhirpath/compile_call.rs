//! Function calls and type tests: arguments, what they give, and what strict mode refuses.

use fhir_models::document::Name;

use super::compile::{Compiler, Fault, Scope, Typed, Types, merged, system};
use super::error::CompileFault;
use super::function::{Function, Gives, Takes};
use super::model::TypeId;
use super::program::{Literal, Op, Source, TypeSpec};
use super::regular;
use super::syntax::{Ref, Syntax};
use super::system::SystemType;

impl Compiler<'_> {
    pub(super) fn call(
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
        if matches!(
            function,
            Function::First | Function::Last | Function::Tail | Function::Skip | Function::Take
        ) {
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
        let item =
            Scope { this: types.clone(), aggregate: scope.aggregate || function == Function::Aggregate };
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
                Function::Select | Function::Repeat | Function::RepeatAll | Function::Coalesce => {
                    all(arguments)
                }
                Function::Iif => all(arguments.into_iter().skip(1).collect()),
                Function::Union | Function::Combine => merged(input, arguments.into_iter().next().flatten()),
                Function::Extension => Some(vec![TypeId::of_structure(Name::of("Extension"))]),
                Function::ElementDefinition => {
                    Some(vec![TypeId::of_structure(Name::of("ElementDefinition"))])
                }
                _ => None,
            },
        }
    }

    fn prepare_regex(
        &mut self,
        function: Function,
        node: Ref,
        arguments: &[Ref],
        at: usize,
    ) -> Result<(), Fault> {
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
    pub(super) fn check_order(
        &self,
        input: Option<Ref>,
        operation: &'static str,
        at: usize,
    ) -> Result<(), Fault> {
        let mut node = input.filter(|_| self.options.strict);
        while let Some(current) = node {
            node = match self.program.op(current) {
                Op::Call(Function::Children | Function::Descendants, ..) => {
                    return Err((CompileFault::NoOrder(operation), at));
                }
                Op::Path(Source::Of(inner), _) => Some(inner),
                Op::Call(
                    Function::Where | Function::Select | Function::Distinct | Function::Trace,
                    input,
                    _,
                )
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

    pub(super) fn type_test(
        &mut self,
        input: Option<Ref>,
        types: Types,
        text: &str,
        operation: &'static str,
        at: usize,
    ) -> Result<Typed, Fault> {
        let spec = self.spec(text, operation, at)?;
        let narrowed: Vec<TypeId> = spec.fhir.into_iter().chain(spec.system.map(TypeId::of_system)).collect();
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
            Some(("System", name)) => {
                TypeSpec { fhir: None, system: SystemType::of(name), converting: false }
            }
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
