//! Function calls: which code answers which name.

use std::sync::Arc;

use fhir_models::document::name;

use super::equality::Known;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome, Scope};
use super::function::Function;
use super::item::Item;
use super::program::{List, Op};
use super::syntax::Ref;
use super::temporal::Temporal;

impl<'a> Machine<'_, 'a> {
    pub(super) fn call(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        arguments: List,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        use Function as F;
        let arguments = self.program.list(arguments);
        let first = arguments.first().copied();
        match function {
            F::Empty | F::Exists | F::All | F::Not => {
                let answer = self.test_op(node, scope)?;
                self.stack.extend(answer.map(Item::Boolean));
                Ok(())
            }
            F::Where => {
                let found = self.program.op(node);
                debug_assert!(matches!(found, Op::Call(F::Where, ..)));
                self.visit(Some(node), scope, &mut |machine, item| {
                    machine.stack.push(item);
                    Ok(true)
                })
            }
            F::Count => {
                let mut count: i32 = 0;
                self.visit(input, scope, &mut |_, _| {
                    count = count.saturating_add(1);
                    Ok(true)
                })?;
                self.stack.push(Item::Integer(count));
                Ok(())
            }
            F::First => {
                let mut found = None;
                self.visit(input, scope, &mut |_, item| {
                    found = Some(item);
                    Ok(false)
                })?;
                self.stack.extend(found);
                Ok(())
            }
            F::Select => self.select(input, first, scope),
            F::Repeat | F::RepeatAll => self.repeat(node, input, first, function == F::RepeatAll, scope),
            F::Sort => self.sort(node, input, arguments, scope),
            F::Aggregate => self.aggregate(input, arguments, scope),
            F::Iif => self.iif(node, input, arguments, scope),
            F::Coalesce => self.coalesce(input, arguments, scope),
            F::Trace => self.trace(node, input, arguments, scope),
            F::DefineVariable => self.define_variable(node, input, arguments, scope),
            F::Now | F::Today | F::TimeOfDay => self.clock(node, function),
            F::Children | F::Descendants => self.below(node, input, function == F::Descendants, scope),
            F::Extension => self.extension(node, input, first, scope),
            F::Resolve => self.resolve(node, input, scope),
            F::Single | F::Last | F::Tail | F::Skip | F::Take | F::Distinct | F::IsDistinct => {
                self.subset(node, function, input, first, scope)
            }
            F::SubsetOf | F::SupersetOf | F::Intersect | F::Exclude | F::Union | F::Combine => {
                self.combination(node, function, input, first, scope)
            }
            F::AllTrue | F::AnyTrue | F::AllFalse | F::AnyFalse => {
                self.quantified(node, function, input, scope)
            }
            F::Sum | F::Avg | F::Min | F::Max => self.total(node, function, input, scope),
            F::Join => self.join(node, input, first, scope),
            F::MemberOf | F::Subsumes | F::SubsumedBy | F::ConformsTo => {
                self.question(node, function, input, first, scope)
            }
            F::HasValue
            | F::GetValue
            | F::Type
            | F::HtmlChecks
            | F::ElementDefinition
            | F::Slice
            | F::CheckModifiers => self.fhir(node, function, input, arguments, scope),
            _ => self.single_call(node, function, input, arguments, scope),
        }
    }

    /// Functions whose input is one value.
    fn single_call(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        arguments: &[Ref],
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let Some(item) = self.take_single(node, base, function.name())? else {
            return Ok(());
        };
        let mut values: [Option<Item<'a>>; 3] = [const { None }; 3];
        for (slot, argument) in values.iter_mut().zip(arguments) {
            let found = self.single_of(*argument, scope, function.name())?;
            *slot = found.map(|it| self.system(&it).unwrap_or(it));
        }
        let given = arguments.len();
        if self.string_function(node, function, &item, &values, given)?
            || self.math_function(node, function, &item, &values, given)?
            || self.temporal_function(node, function, &item, &values)?
        {
            return Ok(());
        }
        self.conversion(node, function, &item, &values, given)
    }

    fn select(&mut self, input: Option<Ref>, projection: Option<Ref>, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let Some(projection) = projection else { return Ok(()) };
        let mut index = 0;
        // What a visitor leaves on the stack stays there, above what the visit itself keeps on it.
        self.visit(input, scope, &mut |machine, item| {
            let inner = scope.with(std::slice::from_ref(&item), index);
            index += 1;
            machine.eval_apart(projection, &inner)?;
            Ok(true)
        })
    }

    fn repeat(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        projection: Option<Ref>,
        all: bool,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let Some(projection) = projection else { return Ok(()) };
        let base = self.eval_input(input, scope)?;
        let mut queue = self.stack.split_off(base);
        let mut known = Known::default();
        let mut results: Vec<Item<'a>> = Vec::new();
        while !queue.is_empty() {
            let mut next = Vec::new();
            for item in queue {
                let inner = scope.with(std::slice::from_ref(&item), 0);
                for found in self.collect(projection, &inner)? {
                    self.charge(node, 1)?;
                    if all || self.is_new(node, &mut known, &found)? {
                        next.push(found.clone());
                        results.push(found);
                    }
                }
            }
            if results.len() > self.limits.items {
                return self.stop(node, EvaluationFault::TooLarge);
            }
            queue = next;
        }
        self.stack.append(&mut results);
        Ok(())
    }

    fn aggregate(&mut self, input: Option<Ref>, arguments: &[Ref], scope: &Scope<'_, 'a>) -> Outcome<()> {
        let Some(&aggregator) = arguments.first() else { return Ok(()) };
        let mut total = match arguments.get(1) {
            Some(start) => self.collect(*start, scope)?,
            None => Vec::new(),
        };
        let mut index = 0;
        self.visit(input, scope, &mut |machine, item| {
            let inner = Scope { this: std::slice::from_ref(&item), index, total: &total };
            index += 1;
            total = machine.collect(aggregator, &inner)?;
            Ok(true)
        })?;
        self.stack.append(&mut total);
        Ok(())
    }

    fn iif(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        arguments: &[Ref],
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let [criterion, results @ ..] = arguments else { return Ok(()) };
        let base = self.eval_input(input, scope)?;
        let this = self.stack.split_off(base);
        if this.len() > 1 && input.is_some() {
            return self.stop(node, EvaluationFault::NotSingle("iif", this.len()));
        }
        let inner = scope.with(&this, scope.index);
        let chosen =
            if self.test_apart(*criterion, &inner)? == Some(true) { results.first() } else { results.get(1) };
        match chosen {
            Some(chosen) => self.eval_apart(*chosen, &inner),
            None => Ok(()),
        }
    }

    fn coalesce(&mut self, input: Option<Ref>, arguments: &[Ref], scope: &Scope<'_, 'a>) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let this = self.stack.split_off(base);
        let inner = scope.with(&this, scope.index);
        for argument in arguments {
            self.eval_apart(*argument, &inner)?;
            if self.stack.len() > base {
                break;
            }
        }
        Ok(())
    }

    fn trace(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        arguments: &[Ref],
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let Some(sink) = self.context.trace else { return Ok(()) };
        let name = match arguments.first() {
            Some(name) => self.single_of(*name, scope, "trace")?,
            None => None,
        };
        let name = name.and_then(|it| self.system(&it)).and_then(|it| self.text_of(&it));
        let items: Vec<Item<'a>> = self.stack.get(base..).unwrap_or_default().to_vec();
        let mut shown = Vec::new();
        for (index, item) in (0..).zip(&items) {
            self.charge(node, 1)?;
            match arguments.get(1) {
                None => shown.push(self.shown(item)),
                Some(projection) => {
                    let inner = scope.with(std::slice::from_ref(item), index);
                    let projected = self.collect(*projection, &inner)?;
                    shown.extend(projected.iter().map(|it| self.shown(it)));
                }
            }
        }
        sink.trace(name.as_ref().map_or("", |it| it.as_str()), &shown);
        Ok(())
    }

    /// An item as text for a trace.
    fn shown(&self, item: &Item<'a>) -> String {
        if let Some(text) = self.system(item).and_then(|value| self.text_of(&value)) {
            return text.as_str().to_owned();
        }
        match item {
            Item::Node(place) => {
                self.nav.document(place.document()).value(place.id()).map_or("", |it| it.raw()).to_owned()
            }
            other => self.type_text(other),
        }
    }

    fn define_variable(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        arguments: &[Ref],
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let Some(&name) = arguments.first() else { return Ok(()) };
        let this: Arc<[Item<'a>]> = self.stack.get(base..).unwrap_or_default().into();
        let inner = scope.with(&this, scope.index);
        let Some(name) = self.text_argument(node, name, &inner, "defineVariable")? else { return Ok(()) };
        let name: Arc<str> = name.as_str().into();
        let reserved = matches!(&*name, "context" | "resource" | "rootResource" | "ucum" | "sct" | "loinc");
        let taken = self.variables.iter().any(|(own, _)| *own == name)
            || self.context.variables.iter().any(|(own, _)| *own == &*name);
        if reserved || taken {
            return self.stop(node, EvaluationFault::VariableRedefined(name.to_string()));
        }
        let items = match arguments.get(1) {
            Some(value) => self.collect(*value, &inner)?.into(),
            None => this,
        };
        self.variables.push((name, items));
        Ok(())
    }

    /// A string argument; nothing where it is empty.
    pub fn text_argument(
        &mut self,
        node: Ref,
        argument: Ref,
        scope: &Scope<'_, 'a>,
        function: &'static str,
    ) -> Outcome<Option<super::item::Text<'a>>> {
        let Some(item) = self.single_of(argument, scope, function)? else { return Ok(None) };
        match self.system(&item) {
            Some(Item::Text(text)) => Ok(Some(text)),
            _ => self.wrong_type(node, function, "a string as argument", &item),
        }
    }

    fn clock(&mut self, node: Ref, function: Function) -> Outcome<()> {
        let Some(now) = self.context.now else {
            let reason = "the caller passed no time in".to_owned();
            return self.stop(node, EvaluationFault::Unanswerable(function.name(), reason));
        };
        let part = match function {
            Function::Now => Some(now),
            Function::Today => now.date(),
            _ => now.time(),
        };
        self.stack.extend(part.map(|it: Temporal| Item::Temporal(it)));
        Ok(())
    }

    fn below(&mut self, node: Ref, input: Option<Ref>, deep: bool, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        let nav = self.nav;
        for item in &items {
            let Item::Node(place) = item else { continue };
            let before = self.stack.len();
            let (stack, limit) = (&mut *self.stack, self.limits.items);
            let mut push = |found| {
                stack.push(Item::Node(found));
                stack.len() <= limit
            };
            if deep {
                nav.descendants(place, &mut push);
            } else {
                nav.children(place, &mut push);
            }
            self.charge(node, (self.stack.len() - before) as u64)?;
        }
        Ok(())
    }

    fn extension(
        &mut self,
        node: Ref,
        input: Option<Ref>,
        url: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let Some(url) = url else { return Ok(()) };
        let base = self.eval_input(input, scope)?;
        let items = self.stack.split_off(base);
        let Some(url) = self.text_argument(node, url, scope, "extension")? else { return Ok(()) };
        let nav = self.nav;
        for item in &items {
            let Item::Node(place) = item else { continue };
            let stack = &mut *self.stack;
            nav.named(place, name::EXTENSION, &mut |found| {
                let own = nav.value(&found).and_then(|it| it.get(name::URL));
                if own.is_some_and(|own| own.is_str(url.as_str())) {
                    stack.push(Item::Node(found));
                }
                true
            });
        }
        Ok(())
    }
}
