//! FHIRPath 2.0 as FHIR R4 uses it: compiled once, evaluated many times.
//!
//! An [`Expression`] is parsed and typed against the definitions when it is compiled ([`Model`]), and is
//! then immutable. An evaluation walks the document's tape; it opens nothing, knows no clock, and ends
//! within the bounds of its [`Context`]. The specification is <http://hl7.org/fhirpath/N1/>, with the
//! trial-use functions of later editions, and FHIR's additions (FHIR R4 §2.1.20,
//! <http://hl7.org/fhir/R4/fhirpath.html>).
//!
//! ```
//! use fhir_models::document::{Limits, OwnedDocument};
//! use varco_core::fhirpath::{Context, Expression, Model, Options};
//!
//! let options = Options { on: Some("Patient"), ..Options::strict() };
//! let expression = Expression::compile("name.given | name.family", &Model::r4(), &options)?;
//! let text = r#"{"resourceType":"Patient","name":[{"family":"Rossi","given":["Mario"]}]}"#;
//! let patient = OwnedDocument::parse_json(text, &Limits::default())?;
//! let names = expression.evaluate(patient.document(), &Context::default())?;
//! let texts: Vec<_> = names.iter().filter_map(|name| name.text()).collect();
//! assert_eq!(texts, ["Mario", "Rossi"]);
//! assert_eq!(names.first().and_then(|name| name.path()).as_deref(), Some("Patient.name[0].given[0]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately absent: `elementDefinition()` and `slice()` (they need the validator's profile), instance
//! selectors, names of months in date formats.

mod boundary;
mod calendar;
mod call;
mod collections;
mod compile;
mod compile_call;
mod compile_path;
mod context;
mod conversion;
mod date_format;
mod decimal;
mod encoding;
mod equality;
mod error;
mod evaluate;
mod evaluate_path;
mod evaluate_variable;
mod fhir;
mod function;
mod item;
mod lexer;
mod logic;
mod math;
mod model;
mod narrative;
mod narrative_proof;
mod navigate;
mod operators;
mod parser;
mod presence;
mod program;
mod quantity;
mod quick;
mod reference;
mod regular;
mod result;
mod strings;
mod syntax;
mod system;
mod temporal;
mod unit;
mod unit_table;

#[cfg(test)]
mod fhirpath_tests;

use std::fmt;
use std::sync::Arc;

use fhir_models::document::{Position, Tape};

use error::LocatedFault;
use evaluate::{Machine, Outcome, Scope, Stop};
use item::Item;
use navigate::Navigator;
use program::{Op, Program, Source};

pub use calendar::{CalendarUnit, MoveFault};
pub use compile::{Options, OwnNames};
pub use context::{Answer, Argument, Code, Context, Focus, Limits, Profiles, Resolver, Terminology, Trace};
pub use decimal::{Decimal, MAX_SCALE};
pub use error::{CompileError, CompileFault, EvaluationError, EvaluationFault, TextError};
pub use model::{Model, TypeId};
pub(crate) use narrative::check_attributes as check_narrative_attributes;
pub use narrative::{NarrativeFault, check as check_narrative};
pub(crate) use narrative_proof::is_sound as is_sound_narrative;
pub(crate) use presence::{Known, Presence};
pub use quantity::{Quantity, QuantityUnit};
pub use result::{Collection, ResultItem, Scalar};
pub use system::SystemType;
pub use temporal::{Precision, Temporal, TemporalKind};
pub(crate) use unit::commensurable;

/// A compiled expression. Cheap to share between threads by reference.
pub struct Expression {
    text: Box<str>,
    program: Program,
    model: Arc<Model>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// [`CompileError`] with its place in the text: for text that is not FHIRPath, for unknown functions,
    /// types and variables, and in strict mode for paths that can't exist.
    pub fn compile(
        text: &str,
        model: &Arc<Model>,
        options: &Options<'_>,
    ) -> Result<Expression, CompileError> {
        let program = compile::compile(text, model, options)?;
        Ok(Expression { text: text.into(), program, model: Arc::clone(model) })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The model that it was compiled against.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The names of the types that its result may have (`date`, `CodeableConcept`, `Boolean`), as far as the
    /// definitions tell; `None` where they don't.
    pub fn types(&self) -> Option<Vec<&'static str>> {
        let types = self.program.types.as_ref()?;
        Some(types.iter().map(|ty| self.model.type_name(*ty)).collect())
    }

    /// Evaluates the expression on a resource or element.
    ///
    /// # Errors
    /// [`EvaluationError`] where an operation meets items it has no use for, a question can't be answered, or
    /// a bound of the context is reached.
    pub fn evaluate<'a>(
        &'a self,
        focus: impl Into<Focus<'a>>,
        context: &Context<'a>,
    ) -> Result<Collection<'a>, EvaluationError> {
        let mut found = Collection::new();
        self.evaluate_into(focus, context, &mut found)?;
        Ok(found)
    }

    /// Evaluates the expression on the text of a resource, JSON or XML. The tape's memory is used again.
    ///
    /// ```
    /// # use fhir_models::document::Tape;
    /// # use varco_core::fhirpath::{Context, Expression, Model, Options};
    /// let expression = Expression::compile("birthDate.yearOf()", &Model::r4(), &Options::default())?;
    /// let text = br#"<Patient xmlns="http://hl7.org/fhir"><birthDate value="1980-03"/></Patient>"#;
    /// let mut tape = Tape::new();
    /// let years = expression.evaluate_text(text, &mut tape, &Context::default())?;
    /// assert_eq!(years.first().and_then(|year| year.text()).as_deref(), Some("1980"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TextError`] where the text is no document, or as [`Expression::evaluate`].
    pub fn evaluate_text<'a>(
        &'a self,
        text: &'a [u8],
        tape: &'a mut Tape,
        context: &Context<'a>,
    ) -> Result<Collection<'a>, TextError> {
        let document = tape.parse(text, self.model.schema(), &fhir_models::document::Limits::default())?;
        Ok(self.evaluate(document, context)?)
    }

    /// As [`Expression::evaluate`], into a collection whose memory is used again.
    ///
    /// # Errors
    /// As [`Expression::evaluate`]; the collection is then empty.
    pub fn evaluate_into<'a>(
        &'a self,
        focus: impl Into<Focus<'a>>,
        context: &Context<'a>,
        found: &mut Collection<'a>,
    ) -> Result<(), EvaluationError> {
        let focus = focus.into();
        found.items.clear();
        found.documents.clear();
        let nav = Navigator::new(&self.model, focus.value.document());
        let outcome = match self.directly(&nav, &focus, context, &mut found.items) {
            true => Ok(()),
            false => self.run(&focus, context, &nav, &mut found.items, |machine, scope| {
                machine.eval(self.program.root, scope)
            }),
        };
        found.model = Some(&*self.model);
        found.documents.push(focus.value.document());
        let mut others = nav.others.into_inner();
        if !others.is_empty() {
            found.documents.append(&mut others);
        }
        if outcome.is_err() {
            found.items.clear();
        }
        outcome
    }

    /// Answers what is only a path, or a quick question, without a machine; false for anything else and
    /// where the result would be too large.
    fn directly<'a>(
        &'a self,
        nav: &Navigator<'a>,
        focus: &Focus<'a>,
        context: &Context<'a>,
        items: &mut Vec<Item<'a>>,
    ) -> bool {
        let root = self.program.root;
        if self.program.is_quick(root) {
            let place = nav.place(focus, self.program.expected);
            items.extend(nav.quick(&self.program, root, place).map(Item::Boolean));
            return true;
        }
        let Op::Path(source @ (Source::This | Source::Typed(_)), steps) = self.program.op(root) else {
            return false;
        };
        let place = nav.place(focus, self.program.expected);
        if matches!(source, Source::Typed(ty) if !nav.is_a(&place, ty)) {
            return true;
        }
        let limit = context.limits.map_or_else(|| Limits::default().items, |limits| limits.items);
        let whole = nav.walk(place, self.program.steps(steps), &mut |found| {
            items.push(Item::Node(found));
            items.len() <= limit
        });
        if !whole {
            items.clear();
        }
        whole
    }

    /// Asks a yes-or-no question, such as an invariant: `None` where the answer is empty. Cheaper than a
    /// collection. One item that is no boolean counts as true.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn test<'a>(
        &'a self,
        focus: impl Into<Focus<'a>>,
        context: &Context<'a>,
    ) -> Result<Option<bool>, EvaluationError> {
        let focus = focus.into();
        let nav = Navigator::new(&self.model, focus.value.document());
        if self.program.is_quick(self.program.root) {
            let place = nav.place(&focus, self.program.expected);
            return Ok(nav.quick(&self.program, self.program.root, place));
        }
        let mut stack = Vec::new();
        self.run(&focus, context, &nav, &mut stack, |machine, scope| machine.test(self.program.root, scope))
    }

    fn run<'a, 'm, T>(
        &'a self,
        focus: &Focus<'a>,
        context: &'m Context<'a>,
        nav: &'m Navigator<'a>,
        stack: &'m mut Vec<Item<'a>>,
        work: impl FnOnce(&mut Machine<'m, 'a>, &Scope<'_, 'a>) -> Outcome<T>,
    ) -> Result<T, EvaluationError> {
        let place = nav.place(focus, self.program.expected);
        let this = Item::Node(place);
        let mut machine = Machine::new(&self.program, nav, context, place, stack);
        let scope = Scope { this: std::slice::from_ref(&this), index: 0, total: &[] };
        work(&mut machine, &scope).map_err(|stop| self.located(*stop))
    }

    /// Takes the short ways out, so that tests can compare them with the long one.
    #[cfg(test)]
    fn without_short_ways(mut self) -> Expression {
        self.program.quick.clear();
        self
    }

    #[cold]
    fn located(&self, stop: Stop) -> EvaluationError {
        let position = Position::of(self.text.as_bytes(), stop.at);
        EvaluationError(Box::new(LocatedFault { fault: stop.fault, position, offset: stop.at }))
    }
}
