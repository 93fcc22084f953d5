//! Variables: those of FHIR, those that are passed in, and those that the expression defines.
//!
//! `%resource` is the resource around the focus, `%rootResource` the one that contains it where it is a
//! contained one, else the same (FHIR R4 §2.1.20.5).

use fhir_models::document::{Document, NodeId, Value, name};

use super::context::Argument;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome};
use super::item::{Item, NodeRef, Text};
use super::model::TypeId;
use super::program::Variable;
use super::syntax::Ref;

impl<'a> Machine<'_, 'a> {
    pub(super) fn variable(&mut self, node: Ref, variable: Variable) -> Outcome<()> {
        match variable {
            Variable::Context => self.stack.push(Item::Node(self.focus)),
            Variable::Resource => {
                let resource = self.resource();
                self.stack.extend(resource.map(Item::Node));
            }
            Variable::RootResource => {
                let root = self.root_resource();
                self.stack.extend(root.map(Item::Node));
            }
            Variable::Text(number) => {
                let program = self.program;
                self.stack.push(Item::Text(Text::Borrowed(program.text(number))));
            }
            Variable::Named(number) => {
                let program = self.program;
                let wanted = program.name(number);
                if let Some((_, items)) = self.variables.iter().find(|(own, _)| &**own == wanted) {
                    self.stack.extend_from_slice(items);
                } else if let Some((_, arguments)) =
                    self.context.variables.iter().find(|(own, _)| *own == wanted)
                {
                    for argument in arguments {
                        let item = self.passed_in(argument);
                        self.stack.push(item);
                    }
                } else {
                    return self.stop(node, EvaluationFault::UnknownVariable(wanted.to_owned()));
                }
            }
        }
        Ok(())
    }

    fn passed_in(&self, argument: &Argument<'a>) -> Item<'a> {
        match argument {
            Argument::Boolean(value) => Item::Boolean(*value),
            Argument::Integer(value) => Item::Integer(*value),
            Argument::Decimal(value) => Item::Decimal(*value),
            Argument::Text(text) => Item::Text(Text::Borrowed(text)),
            Argument::Temporal(value) => Item::Temporal(*value),
            Argument::Value(focus) => Item::Node(self.nav.place(focus, TypeId::UNKNOWN)),
        }
    }

    /// `%resource`
    pub fn resource(&self) -> Option<NodeRef> {
        match &self.context.resource {
            Some(focus) => Some(self.nav.place(focus, TypeId::UNKNOWN)),
            None if self.nav.model.is_resource(self.focus.ty()) => Some(self.focus),
            None => self.around(&self.focus).0,
        }
    }

    /// `%rootResource`
    pub fn root_resource(&self) -> Option<NodeRef> {
        match &self.context.root_resource {
            Some(focus) => Some(self.nav.place(focus, TypeId::UNKNOWN)),
            None => {
                let start = self.resource().unwrap_or(self.focus);
                self.around(&start).1
            }
        }
    }

    /// The resource around a place (or the place itself), and the one that contains it.
    pub fn around(&self, node: &NodeRef) -> (Option<NodeRef>, Option<NodeRef>) {
        let document = self.nav.document(node.document());
        let (inner, container) = around(document, node.id());
        let resource = |value: Value<'a>| self.nav.resource(value, node.document());
        (inner.map(resource), container.map(resource))
    }
}

/// The innermost resource around a node, and the outermost one that contains it (by `contained` only).
fn around(document: Document<'_>, id: NodeId) -> (Option<Value<'_>>, Option<Value<'_>>) {
    let (mut inner, mut container) = (None, None);
    let mut here = document.root();
    let mut contained = false;
    loop {
        if here.is_object() && here.get(name::RESOURCE_TYPE).is_some() {
            inner = Some(here);
            if !contained {
                container = Some(here);
            }
        }
        if here.id() == id {
            return (inner, container);
        }
        // Children stand in the order of their numbers: the last that is not beyond holds the node.
        let Some(next) = here.children().take_while(|child| child.id() <= id).last() else {
            return (inner, container);
        };
        if here.is_object() {
            contained = next.name() == name::CONTAINED || (contained && inner.is_some());
        }
        here = next;
    }
}
