//! FHIRPath within maps.
//!
//! A map names its variables in expressions with `%` or, as most maps are written, without. A bare name at the
//! start of a path is the variable of this name where there is one, else an element of what the expression
//! starts from. Paths are typed against the definitions as far as the types of the variables are known.

use fhir_models::document::Kind;
use fhir_models::primitive::Primitive;

use super::compile::{Compiler, Scope};
use super::error::MapFault;
use super::program::{ExpressionCode, LiteralCode, ReadCode, Slot};
use super::syntax::{Asked, Condition, Expression as Written, expression_names, quoted};
use super::types::{TypeId, TypeKind};
use crate::fhirpath::{Expression, Options};

/// Names that FHIRPath keeps for itself: a variable of such a name gets another one in expressions.
const KEPT: [&str; 6] = ["context", "resource", "rootResource", "sct", "loinc", "ucum"];

impl Compiler<'_> {
    /// Compiles an expression; `focus` is what it starts from, with the types that it may have.
    pub(super) fn expression(
        &mut self,
        scope: &Scope,
        written: &Written,
        focus: Option<(Slot, &[TypeId])>,
    ) -> Option<usize> {
        let mut text = String::new();
        let mut copied = 0;
        // Offsets in the text behind which it is longer than what was written, and by how much.
        let mut longer: Vec<(usize, usize)> = Vec::new();
        let mut variables: Vec<(Box<str>, Slot)> = Vec::new();
        let mut typed: Vec<(String, String)> = Vec::new();
        let mut reads = Vec::new();
        for name in expression_names(&written.text) {
            let found = scope.find(&name.first, false).filter(|it| !it.name.is_empty());
            let Some(variable) = found else {
                if let Some(constant) =
                    self.constant(scope.file, &name.first).filter(|_| !name.marked || name.end > name.at)
                {
                    let value = self.literal_text(constant);
                    text.push_str(written.text.get(copied..name.at).unwrap_or_default());
                    text.push_str(&value);
                    copied = name.end;
                    longer.push((text.len(), value.len().saturating_sub(name.end - name.at)));
                } else if !name.marked {
                    let mut path = vec![name.first.as_str().into()];
                    path.extend(name.rest.iter().map(|it| it.as_str().into()));
                    reads.push(ReadCode { from: None, path, outside: name.outside });
                }
                continue;
            };
            let own = match KEPT.contains(&variable.name.as_str()) {
                true => format!("map_{}", variable.name),
                false => variable.name.clone(),
            };
            text.push_str(written.text.get(copied..name.at).unwrap_or_default());
            let marked = format!("%`{own}`");
            text.push_str(&marked);
            copied = name.end;
            longer.push((text.len(), marked.len().saturating_sub(name.end - name.at)));
            let path = name.rest.iter().map(|it| it.as_str().into()).collect();
            reads.push(ReadCode { from: Some(variable.slot), path, outside: name.outside });
            if !variables.iter().any(|(known, _)| **known == *own) {
                if let [only] = variable.types.as_slice()
                    && let Some(path) = self.fhirpath_name(*only)
                {
                    typed.push((own.clone(), path));
                }
                variables.push((own.into(), variable.slot));
            }
        }
        text.push_str(written.text.get(copied..).unwrap_or_default());
        let on = focus.and_then(|(_, types)| match types {
            [only] => self.fhirpath_name(*only),
            _ => None,
        });
        let names: Vec<&str> = variables.iter().map(|(name, _)| &**name).collect();
        let typed: Vec<(&str, &str)> =
            typed.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
        let options = Options {
            strict: true,
            on: on.as_deref(),
            variables: &names,
            typed: &typed,
            instance_names: true,
            ..Options::default()
        };
        match Expression::compile(&text, self.model, &options) {
            Ok(expression) => {
                let simple = match focus {
                    Some((_, [only])) => self.simple(scope, written, *only),
                    _ => None,
                };
                let focus = focus.map(|(slot, _)| slot);
                self.program.expressions.push(ExpressionCode { expression, variables, focus, simple, reads });
                Some(self.program.expressions.len() - 1)
            }
            Err(error) => {
                let before: usize =
                    longer.iter().filter(|(end, _)| *end <= error.offset).map(|(_, more)| more).sum();
                let at = written.at + error.offset.saturating_sub(before);
                self.fail(scope.file, at, MapFault::Expression(error.fault.to_string()));
                None
            }
        }
    }

    /// A constant as FHIRPath writes it.
    fn literal_text(&self, constant: &LiteralCode) -> String {
        let text = &constant.text;
        match (constant.kind, &*self.types.describe(constant.ty)) {
            (Kind::String, "date") => format!("@{text}"),
            (Kind::String, "dateTime") if text.contains('T') => format!("@{text}"),
            (Kind::String, "dateTime") => format!("@{text}T"),
            (Kind::String, "time") => format!("@T{text}"),
            (Kind::String, _) => quoted(text),
            (Kind::Number, _) if text.starts_with('-') => format!("({text})"),
            _ => text.to_string(),
        }
    }

    /// The condition that an expression is, where it asks only for members that every item of this type has at most once.
    fn simple(&self, scope: &Scope, written: &Written, ty: TypeId) -> Option<(TypeId, Condition)> {
        let condition = Condition::read(&written.text)?;
        let own = self.types.get(ty)?;
        let mut members = Vec::new();
        condition.members(&mut members);
        let plain = members.iter().all(|(name, asked, wanted)| {
            let text = name.text();
            let bare = scope.find(text, false).is_none() && self.constant(scope.file, text).is_none();
            let Some((_, element)) = own.element(text).filter(|_| bare) else { return false };
            let [choice] = &*element.choices else { return false };
            let Some(holds) = self.types.get(self.types.choice(choice)) else { return false };
            let family = match asked {
                Asked::Text => {
                    holds.primitive().is_some_and(|it| it.json_kind() == Kind::String && is_text(it))
                }
                Asked::Type => {
                    let wanted = self.types.get(self.types.find(wanted.as_deref().unwrap_or_default()));
                    let wanted = wanted.is_some_and(|it| it.kind == TypeKind::Resource && !it.is_abstract);
                    wanted && holds.kind == TypeKind::Resource
                }
                Asked::Presence => true,
            };
            choice.symbol == *name && !element.repeats && family
        });
        (plain && super::structure::is_fhir(&own.url)).then_some((ty, condition))
    }

    /// What FHIRPath calls a type; `None` for those of logical models.
    fn fhirpath_name(&self, id: TypeId) -> Option<String> {
        let ty = self.types.get(id)?;
        (super::structure::is_fhir(&ty.url) && self.model.type_of(&ty.name).is_some())
            .then(|| ty.name.to_string())
    }
}

/// Times are compared by what they mean, not by how they are written.
fn is_text(primitive: Primitive) -> bool {
    !matches!(primitive, Primitive::Date | Primitive::DateTime | Primitive::Instant | Primitive::Time)
}
