//! Paths and filters while an expression is evaluated: items are handed on where they are found.

use super::evaluate::{Machine, Outcome, Scope, Visitor};
use super::function::Function;
use super::item::{Item, NodeRef, Text};
use super::program::{List, Op, Source, Step};
use super::syntax::Ref;

impl<'m, 'a> Machine<'m, 'a> {
    /// Hands the items of an operation on one by one, where possible without collecting them. What the taker
    /// pushes stays on the stack.
    pub fn visit(
        &mut self,
        node: Option<Ref>,
        scope: &Scope<'_, 'a>,
        take: Visitor<'_, 'm, 'a>,
    ) -> Outcome<()> {
        let Some(node) = node else {
            for item in scope.this {
                if !take(self, item.clone())? {
                    break;
                }
            }
            return Ok(());
        };
        match self.program.op(node) {
            Op::Path(source @ (Source::This | Source::Typed(_) | Source::Resource), steps)
                if scope.this.iter().all(|item| matches!(item, Item::Node(_))) =>
            {
                self.charge(node, 1)?;
                self.visit_path(source, self.program.steps(steps), scope, take)
            }
            Op::Call(Function::Where, input, arguments) => {
                let Some(&criterion) = self.program.list(arguments).first() else { return Ok(()) };
                self.enter(node)?;
                let mut index = 0;
                self.visit(input, scope, &mut |machine, item| {
                    machine.charge(node, 1)?;
                    if let Item::Node(place) = item
                        && machine.program.is_quick(criterion)
                    {
                        let fits = machine.nav.quick(machine.program, criterion, place) == Some(true);
                        return if fits { take(machine, item) } else { Ok(true) };
                    }
                    let inner = scope.with(std::slice::from_ref(&item), index);
                    index += 1;
                    if machine.test_apart(criterion, &inner)? == Some(true) {
                        take(machine, item)
                    } else {
                        Ok(true)
                    }
                })?;
                self.leave();
                Ok(())
            }
            _ => {
                let base = self.stack.len();
                self.eval(node, scope)?;
                let end = self.stack.len();
                for at in base..end {
                    let Some(item) = self.stack.get(at).cloned() else { break };
                    if !take(self, item)? {
                        break;
                    }
                }
                self.stack.drain(base..end);
                Ok(())
            }
        }
    }

    fn visit_path(
        &mut self,
        source: Source,
        steps: &'a [Step],
        scope: &Scope<'_, 'a>,
        take: Visitor<'_, 'm, 'a>,
    ) -> Outcome<()> {
        let nav = self.nav;
        let mut outcome = Ok(());
        let mut walk = |machine: &mut Machine<'m, 'a>, place: NodeRef| {
            nav.walk(place, steps, &mut |found| match take(machine, Item::Node(found)) {
                Ok(more) => more,
                Err(stop) => {
                    outcome = Err(stop);
                    false
                }
            })
        };
        match source {
            Source::Resource => {
                if let Some(resource) = self.resource() {
                    walk(self, resource);
                }
            }
            _ => {
                for item in scope.this {
                    let more = match (item, source) {
                        (Item::Node(place), Source::Typed(ty)) => !nav.is_a(place, ty) || walk(self, *place),
                        (Item::Node(place), _) => walk(self, *place),
                        _ => true,
                    };
                    if !more {
                        break;
                    }
                }
            }
        }
        outcome
    }

    pub(super) fn path(&mut self, source: Source, list: List, scope: &Scope<'_, 'a>) -> Outcome<()> {
        let steps = self.program.steps(list);
        match source {
            Source::Of(input) => {
                let base = self.stack.len();
                self.eval(input, scope)?;
                let end = self.stack.len();
                for at in base..end {
                    if let Some(item) = self.stack.get(at).cloned() {
                        self.path_from(&item, steps);
                    }
                }
                self.stack.drain(base..end);
            }
            Source::Resource => {
                if let Some(resource) = self.resource() {
                    self.path_from(&Item::Node(resource), steps);
                }
            }
            Source::This | Source::Typed(_) => {
                for item in scope.this {
                    let fits = match (source, item) {
                        (Source::Typed(ty), Item::Node(place)) => self.nav.is_a(place, ty),
                        (Source::Typed(_), _) => false,
                        _ => true,
                    };
                    if fits {
                        self.path_from(item, steps);
                    }
                }
            }
        }
        Ok(())
    }

    fn path_from(&mut self, item: &Item<'a>, steps: &[Step]) {
        let (stack, limit) = (&mut *self.stack, self.limits.items);
        match item {
            Item::Node(place) => {
                self.nav.walk(*place, steps, &mut |found| {
                    stack.push(Item::Node(found));
                    stack.len() <= limit
                });
            }
            Item::TypeInfo(info) => match steps {
                [] => stack.push(item.clone()),
                [only] => match &*only.text {
                    "name" => stack.push(Item::Text(Text::Borrowed(info.name))),
                    "namespace" => stack.push(Item::Text(Text::Borrowed(info.namespace()))),
                    _ => {}
                },
                _ => {}
            },
            _ if steps.is_empty() => stack.push(item.clone()),
            _ => {}
        }
    }
}
