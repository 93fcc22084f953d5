//! FHIR's own functions (FHIR R4 §2.1.20.4), and questions to those who know more than the document.

use std::borrow::Cow;

use fhir_models::document::{Kind, Value, name};

use super::context::{Answer, Code};
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome, Scope};
use super::function::Function;
use super::item::{Item, NodeRef};
use super::narrative;
use super::syntax::Ref;

impl<'a> Machine<'_, 'a> {
    pub(super) fn fhir(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        arguments: &[Ref],
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        match function {
            Function::HasValue => {
                let single = self.stack.len() - base == 1;
                let has = single && self.stack.last().is_some_and(|item| self.has_value(item));
                self.stack.truncate(base);
                self.stack.push(Item::Boolean(has));
            }
            Function::GetValue => {
                let items = self.stack.split_off(base);
                if let [item] = items.as_slice() {
                    let value = self.system(item).filter(|_| self.has_value(item));
                    self.stack.extend(value);
                }
            }
            Function::Type => {
                let items = self.stack.split_off(base);
                for item in &items {
                    let info = self.type_info(item);
                    self.stack.push(Item::TypeInfo(info));
                }
            }
            Function::HtmlChecks => {
                // The answer is undefined for anything but one xhtml element.
                let items = self.stack.split_off(base);
                if let [item] = items.as_slice()
                    && let Some(Item::Text(text)) = self.system(item)
                {
                    self.charge(node, text.as_str().len() as u64 / 16)?;
                    self.stack.push(Item::Boolean(narrative::check(text.as_str()).is_ok()));
                }
            }
            Function::CheckModifiers => {
                let mut known = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    known.extend(self.text_argument(node, *argument, scope, "checkModifiers")?);
                }
                let items: Vec<Item<'a>> = self.stack.get(base..).unwrap_or_default().to_vec();
                for item in &items {
                    let Item::Node(place) = item else { continue };
                    if let Some(url) = self.unknown_modifier(place, &known) {
                        let reason = format!(
                            "an element has the modifier extension {url}, which is not among the known ones"
                        );
                        return self.stop(node, EvaluationFault::Unanswerable("checkModifiers", reason));
                    }
                }
            }
            _ => {
                let reason = "it needs the profile that the element is validated against".to_owned();
                return self.stop(node, EvaluationFault::Unanswerable(function.name(), reason));
            }
        }
        Ok(())
    }

    fn has_value(&self, item: &Item<'a>) -> bool {
        match item {
            Item::Node(place) => self.nav.has_value(place),
            _ => true,
        }
    }

    /// The URL of a modifier extension that is not among `known`.
    fn unknown_modifier(&self, place: &NodeRef, known: &[super::item::Text<'a>]) -> Option<String> {
        let nav = self.nav;
        let mut found = None;
        nav.named(place, name::MODIFIER_EXTENSION, &mut |extension| {
            let url = nav.value(&extension).and_then(|it| it.str_of(name::URL)).unwrap_or_default();
            if !known.iter().any(|it| it.as_str() == url) {
                found = Some(url.into_owned());
            }
            found.is_none()
        });
        found
    }

    /// `memberOf()`, `subsumes()`, `subsumedBy()` and `conformsTo()`.
    pub(super) fn question(
        &mut self,
        node: Ref,
        function: Function,
        input: Option<Ref>,
        argument: Option<Ref>,
        scope: &Scope<'_, 'a>,
    ) -> Outcome<()> {
        let base = self.eval_input(input, scope)?;
        let Some(item) = self.take_single(node, base, function.name())? else { return Ok(()) };
        let Some(argument) = argument else { return Ok(()) };
        let answer = match function {
            Function::Subsumes | Function::SubsumedBy => {
                let Some(other) = self.single_of(argument, scope, function.name())? else { return Ok(()) };
                let swapped = function == Function::SubsumedBy;
                self.subsumption(node, function, &item, &other, swapped)?
            }
            Function::MemberOf => {
                let Some(set) = self.text_argument(node, argument, scope, "memberOf")? else { return Ok(()) };
                let codes = self.codes(node, function, &item)?;
                let Some(terminology) = self.context.terminology else {
                    return self.no_terminology(node, function);
                };
                any(codes.iter().map(|code| terminology.member_of(code, set.as_str())))
            }
            _ => {
                let Some(profile) = self.text_argument(node, argument, scope, "conformsTo")? else {
                    return Ok(());
                };
                self.conforms(node, &item, profile.as_str())?
            }
        };
        match answer {
            Answer::Yes => self.stack.push(Item::Boolean(true)),
            Answer::No => self.stack.push(Item::Boolean(false)),
            Answer::Unknown => {}
        }
        Ok(())
    }

    fn no_terminology<T>(&self, node: Ref, function: Function) -> Outcome<T> {
        let reason = "the caller gave no terminology to ask".to_owned();
        self.stop(node, EvaluationFault::Unanswerable(function.name(), reason))
    }

    fn subsumption(
        &self,
        node: Ref,
        function: Function,
        item: &Item<'a>,
        other: &Item<'a>,
        swapped: bool,
    ) -> Outcome<Answer> {
        let (own, others) = (self.codes(node, function, item)?, self.codes(node, function, other)?);
        let Some(terminology) = self.context.terminology else { return self.no_terminology(node, function) };
        let pairs = own.iter().flat_map(|own| others.iter().map(move |other| (own, other)));
        Ok(any(pairs.map(|(own, other)| {
            if swapped { terminology.subsumes(other, own) } else { terminology.subsumes(own, other) }
        })))
    }

    fn conforms(&self, node: Ref, item: &Item<'a>, profile: &str) -> Outcome<Answer> {
        let Item::Node(place) = item else {
            return self.wrong_type(node, "conformsTo", "resources and elements", item);
        };
        let value = self.nav.value(place);
        // What is of another type obeys a type's own definition never; the rest is for others to say, and
        // taken as fulfilled where nobody does.
        if let Some(ty) = profile.strip_prefix("http://hl7.org/fhir/StructureDefinition/")
            && let Some(ty) = self.nav.model.type_of(ty)
            && ty.is_structure()
        {
            return Ok(match (self.nav.is_a(place, ty), self.context.profiles, value) {
                (false, ..) => Answer::No,
                (true, Some(profiles), Some(value)) if profiles.conforms_to(value, profile) == Answer::No => {
                    Answer::No
                }
                (true, ..) => Answer::Yes,
            });
        }
        match (self.context.profiles, value) {
            (Some(profiles), Some(value)) => Ok(profiles.conforms_to(value, profile)),
            (_, None) => Ok(Answer::Unknown),
            (None, _) => {
                let reason = "the caller gave no profiles to check against".to_owned();
                self.stop(node, EvaluationFault::Unanswerable("conformsTo", reason))
            }
        }
    }

    /// The codes of a code, Coding or CodeableConcept.
    fn codes(&self, node: Ref, function: Function, item: &Item<'a>) -> Outcome<Vec<Code<'a>>> {
        if let Item::Node(place) = item
            && let Some(value) = self.nav.value(place)
            && value.kind() == Kind::Object
        {
            let codings: Vec<Value<'a>> = match value.get(name::CODING) {
                Some(list) => list.items().collect(),
                None => vec![value],
            };
            return Ok(codings.into_iter().filter_map(code_of).collect());
        }
        match self.system(item) {
            Some(Item::Text(text)) => {
                let code = Cow::Owned(text.as_str().to_owned());
                Ok(vec![Code { system: None, version: None, code }])
            }
            _ => self.wrong_type(node, function.name(), "codes, Codings and CodeableConcepts", item),
        }
    }
}

fn code_of(coding: Value<'_>) -> Option<Code<'_>> {
    Some(Code {
        system: coding.str_of(name::SYSTEM),
        version: coding.str_of(name::VERSION),
        code: coding.str_of(name::CODE)?,
    })
}

/// Yes where one answer is; unknown where none is but one may be.
fn any(answers: impl Iterator<Item = Answer>) -> Answer {
    let mut result = Answer::No;
    for answer in answers {
        match answer {
            Answer::Yes => return Answer::Yes,
            Answer::Unknown => result = Answer::Unknown,
            Answer::No => {}
        }
    }
    result
}
