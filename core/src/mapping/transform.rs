//! The transforms (code system `map-transform`), as they run.

use std::borrow::Cow;

use fhir_models::document::{Kind, name};
use fhir_models::primitive::Primitive;

use super::concept_map::{CodeAnswer, Coding};
use super::output::NoteKind;
use super::program::{CodeForm, ParameterCode, ValueCode};
use super::run::{Frame, Item, Ran, Run};
use super::run_error::RunFault;
use super::syntax::TransformKind;
use super::tree::{Content, Scalar};
use super::types::{TypeId, TypeKind};
use crate::terminology::concept_map::{Asked, Origin, Preferred};

impl<'a> Run<'_, 'a> {
    /// What a target is given: nothing, one value, or several from an expression.
    pub fn value(&mut self, code: &'a ValueCode, frame: &Frame<'a>) -> Ran<Vec<Item<'a>>> {
        if let ValueCode::Evaluate(code) = code {
            let focus = self.program.expressions.get(*code).and_then(|it| it.focus);
            return self.evaluate(*code, focus, frame);
        }
        let one = self.one(code, frame)?;
        Ok(if matches!(one, Item::Nothing) { Vec::new() } else { vec![one] })
    }

    /// The same for all that gives one value at most: anything but an expression.
    pub fn one(&mut self, code: &'a ValueCode, frame: &Frame<'a>) -> Ran<Item<'a>> {
        Ok(match code {
            ValueCode::New | ValueCode::Evaluate(_) => Item::Nothing,
            ValueCode::Create(ty) => Item::Target(self.tree.make(*ty, Content::Parts)),
            ValueCode::Copy(from) => self.argument(from, frame),
            ValueCode::Cast { from, to } => self.cast(from, *to, frame)?,
            ValueCode::Translate { from, map, form } => self.translate(from, *map, *form, frame)?,
            ValueCode::Moment { from, form, to, zone } => {
                self.moment(from, (*form, *to), zone.as_deref(), frame)?
            }
            ValueCode::Call(kind, parameters) => self.call(*kind, parameters, frame)?,
        })
    }

    pub fn scalar(&mut self, item: &Item<'a>) -> Option<Scalar<'a>> {
        match item {
            Item::Scalar(scalar) => Some(scalar.clone()),
            Item::Source(place) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.read(*place);
                }
                self.sources.scalar(*place)
            }
            Item::Target(node) => {
                let node = self.tree.get(*node)?;
                match &node.content {
                    Content::Value(kind, text) => {
                        Some(Scalar { ty: node.ty, kind: *kind, text: text.clone() })
                    }
                    Content::Copied(place) => self.sources.scalar(*place),
                    Content::Parts => None,
                }
            }
            Item::Nothing => None,
        }
    }

    pub fn string(&self, text: impl Into<Cow<'a, str>>) -> Scalar<'a> {
        Scalar { ty: self.sources.types.string(), kind: Kind::String, text: text.into() }
    }

    /// A parameter's text; `None` where it is empty.
    fn text(
        &mut self,
        kind: TransformKind,
        parameter: Option<&'a ParameterCode>,
        needs: &'static str,
        frame: &Frame<'a>,
    ) -> Ran<Option<Cow<'a, str>>> {
        let Some(parameter) = parameter else { return Ok(None) };
        let item = self.argument(parameter, frame);
        if matches!(item, Item::Nothing) {
            return Ok(None);
        }
        match self.scalar(&item) {
            Some(scalar) => Ok(Some(scalar.text)),
            None if matches!(&item, Item::Source(place) if place.bare) => Ok(None),
            None => {
                let value = self.shown(Some(&item));
                Err(self.fault(RunFault::WrongParameter { transform: kind.name(), needs, value }))
            }
        }
    }

    fn call(
        &mut self,
        kind: TransformKind,
        parameters: &'a [ParameterCode],
        frame: &Frame<'a>,
    ) -> Ran<Item<'a>> {
        let needs = "needs simple values";
        let mut texts = Vec::new();
        if !matches!(kind, TransformKind::Reference | TransformKind::Pointer | TransformKind::Qty) {
            for parameter in parameters {
                texts.push(self.text(kind, Some(parameter), needs, frame)?);
            }
        }
        let mut texts = texts.into_iter();
        let mut next = || texts.next().flatten();
        let count = parameters.len();
        match kind {
            TransformKind::Truncate => {
                let (Some(text), length) = (next(), next()) else { return Ok(Item::Nothing) };
                let Some(length) = length.as_ref().and_then(|it| it.parse::<usize>().ok()) else {
                    let value = length.unwrap_or_default().into_owned();
                    let needs = "needs a whole number as length";
                    return Err(self.fault(RunFault::WrongParameter { transform: "truncate", needs, value }));
                };
                let cut: String = text.chars().take(length).collect();
                Ok(Item::Scalar(self.string(cut)))
            }
            TransformKind::Escape => {
                let Some(text) = next() else { return Ok(Item::Nothing) };
                let (one, two) = (next(), next());
                let (from, to) = if count == 2 { (Some(Cow::Borrowed("plain")), one) } else { (one, two) };
                let plain = super::escape::undo(&text, from.as_deref().unwrap_or_default());
                let done = plain.and_then(|it| super::escape::apply(&it, to.as_deref().unwrap_or_default()));
                match done {
                    Some(done) => Ok(Item::Scalar(self.string(done))),
                    None => {
                        let needs = "changes between plain, java, xml and json";
                        let value = format!("{} to {}", from.unwrap_or_default(), to.unwrap_or_default());
                        Err(self.fault(RunFault::WrongParameter { transform: "escape", needs, value }))
                    }
                }
            }
            TransformKind::Append => {
                let joined: String = texts.flatten().collect();
                Ok(if joined.is_empty() { Item::Nothing } else { Item::Scalar(self.string(joined)) })
            }
            TransformKind::Uuid => {
                let uuid = self.uuid()?;
                Ok(Item::Scalar(self.string(uuid)))
            }
            TransformKind::Reference | TransformKind::Pointer => {
                let item = parameters.first().map(|it| self.argument(it, frame)).unwrap_or_default();
                self.reference(kind, item)
            }
            TransformKind::Cc if count == 1 => {
                let text = next().map(|it| self.string(it));
                self.built("CodeableConcept", &[("text", text)])
            }
            TransformKind::Cc | TransformKind::C => {
                let (system, code, display) = (next(), next(), next());
                let parts = [("system", system), ("code", code), ("display", display)];
                let parts = parts.map(|(name, it)| (name, it.map(|it| self.string(it))));
                let coding = self.built("Coding", &parts)?;
                if kind == TransformKind::C {
                    return Ok(coding);
                }
                self.concept(coding)
            }
            TransformKind::Id => {
                let (system, value, ty) = (next(), next(), next());
                if value.is_none() {
                    return Ok(Item::Nothing);
                }
                let parts = [("system", system), ("value", value)];
                let parts = parts.map(|(name, it)| (name, it.map(|it| self.string(it))));
                let identifier = self.built("Identifier", &parts)?;
                if let (Some(code), Item::Target(node)) = (ty, &identifier) {
                    let node = *node;
                    let system = self.string("http://terminology.hl7.org/CodeSystem/v2-0203");
                    let coding = [("system", Some(system)), ("code", Some(self.string(code)))];
                    let coding = self.built("Coding", &coding)?;
                    let concept = self.concept(coding)?;
                    self.put(node, "type", concept)?;
                }
                Ok(identifier)
            }
            TransformKind::Cp => {
                let (system, value) = if count == 1 { (None, next()) } else { (next(), next()) };
                let Some(value) = value else { return Ok(Item::Nothing) };
                // What can be told for sure from the value alone.
                let told = match &*value {
                    it if it.starts_with("http://") || it.starts_with("https://") => Some("url"),
                    it if it.contains('@') => Some("email"),
                    it if it.starts_with("tel:") || it.starts_with('+') => Some("phone"),
                    _ => None,
                };
                let system = system.or(told.map(Cow::Borrowed)).map(|it| self.string(it));
                let value = self.string(value);
                self.built("ContactPoint", &[("system", system), ("value", Some(value))])
            }
            TransformKind::Qty => self.quantity(parameters, frame),
            _ => Ok(Item::Nothing),
        }
    }

    fn concept(&mut self, coding: Item<'a>) -> Ran<Item<'a>> {
        let concept = self.built("CodeableConcept", &[])?;
        if let Item::Target(node) = concept {
            self.put(node, "coding", coding)?;
        }
        Ok(concept)
    }

    /// `qty('5.5 mg')`, or value, unit, system and code.
    fn quantity(&mut self, parameters: &'a [ParameterCode], frame: &Frame<'a>) -> Ran<Item<'a>> {
        let kind = TransformKind::Qty;
        let needs = "needs a number, perhaps with comparator and unit";
        let mut texts = Vec::new();
        for parameter in parameters {
            texts.push(self.text(kind, Some(parameter), needs, frame)?);
        }
        let mut texts = texts.into_iter();
        let Some(Some(first)) = texts.next() else { return Ok(Item::Nothing) };
        let (mut comparator, mut number, mut unit) = (None, first.trim().to_owned(), texts.next().flatten());
        if parameters.len() == 1 {
            for sign in ["<=", ">=", "<", ">"] {
                if let Some(rest) = number.strip_prefix(sign) {
                    (comparator, number) = (Some(sign), rest.trim_start().to_owned());
                    break;
                }
            }
            if let Some((digits, rest)) = number.clone().split_once(char::is_whitespace) {
                unit = Some(Cow::Owned(rest.trim().trim_matches('\'').to_owned()));
                number = digits.to_owned();
            }
        }
        if !Primitive::Decimal.is_valid(&number) {
            return Err(self.fault(RunFault::WrongParameter {
                transform: "qty",
                needs,
                value: first.into_owned(),
            }));
        }
        let decimal =
            Scalar { ty: self.sources.types.find("decimal"), kind: Kind::Number, text: Cow::Owned(number) };
        let (system, code) = (texts.next().flatten(), texts.next().flatten());
        let string = |it: Option<Cow<'a, str>>| it.map(|it| self.string(it));
        let parts = [
            ("value", Some(decimal)),
            ("comparator", string(comparator.map(Cow::Borrowed))),
            ("unit", string(unit)),
            ("system", string(system)),
            ("code", string(code)),
        ];
        self.built("Quantity", &parts)
    }

    /// A random UUID (RFC 9562, version 4).
    fn uuid(&mut self) -> Ran<String> {
        let Some(randomness) = self.settings.randomness else {
            return Err(self.fault(RunFault::NoRandomness));
        };
        let bits = randomness.next() & !(0xF << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let hex = format!("{bits:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
    }

    /// `Patient/123`; a new resource without id gets one.
    fn reference(&mut self, kind: TransformKind, item: Item<'a>) -> Ran<Item<'a>> {
        let needs = "refers to a resource";
        let ty = self.type_of(&item);
        let resource = self.ty(ty).filter(|it| it.kind == TypeKind::Resource);
        let Some(resource) = resource else {
            let value = self.shown(Some(&item));
            return Err(self.fault(RunFault::WrongParameter { transform: kind.name(), needs, value }));
        };
        let id = match &item {
            Item::Source(place) => {
                let id = self.sources.value(*place).and_then(|it| it.str_of(name::ID));
                id.ok_or_else(|| self.fault(RunFault::NoId))?.into_owned()
            }
            Item::Target(node) => {
                let node = *node;
                self.expand(node)?;
                let known = resource.element("id").and_then(|(at, _)| self.tree.last_of(node, at));
                match known.and_then(|it| self.scalar(&Item::Target(it))) {
                    Some(id) => id.text.into_owned(),
                    None => {
                        let id = self.uuid()?;
                        let scalar = self.string(id.clone());
                        self.put(node, "id", Item::Scalar(scalar))?;
                        id
                    }
                }
            }
            _ => return Err(self.fault(RunFault::NoId)),
        };
        let text = if kind == TransformKind::Pointer {
            format!("urn:uuid:{id}")
        } else {
            format!("{}/{id}", resource.code)
        };
        Ok(Item::Scalar(self.string(text)))
    }

    /// A primitive as another type; a date with time becomes a date, and a decimal without fraction a whole number.
    fn cast(&mut self, from: &'a ParameterCode, to: TypeId, frame: &Frame<'a>) -> Ran<Item<'a>> {
        let item = self.argument(from, frame);
        if matches!(item, Item::Nothing) {
            return Ok(Item::Nothing);
        }
        let needs = "needs a value that can be written as the type asked for";
        let wrong = |this: &Self| {
            let value = this.shown(Some(&item));
            this.fault(RunFault::WrongParameter { transform: "cast", needs, value })
        };
        let Some(primitive) = self.ty(to).and_then(|it| it.primitive()) else { return Err(wrong(self)) };
        let Some(scalar) = self.scalar(&item) else { return Err(wrong(self)) };
        let text = scalar.text.trim().to_owned();
        let whole = || {
            let (digits, fraction) = text.split_once('.')?;
            fraction.bytes().all(|byte| byte == b'0').then(|| digits.to_owned())
        };
        let candidate = match primitive {
            _ if primitive.is_valid(&scalar.text) => Some(scalar.text.to_string()),
            Primitive::Date => text.split_once('T').map(|(date, _)| date.to_owned()),
            Primitive::Time => {
                text.split_once('T').map(|(_, time)| time.get(..8).unwrap_or_default().to_owned())
            }
            Primitive::Boolean => match text.as_str() {
                "1" => Some("true".to_owned()),
                "0" => Some("false".to_owned()),
                _ => None,
            },
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => whole(),
            _ => Some(text.clone()),
        };
        let valid = candidate.filter(|it| primitive.is_valid(it)).ok_or_else(|| wrong(self))?;
        Ok(Item::Scalar(Scalar { ty: to, kind: primitive.json_kind(), text: Cow::Owned(valid) }))
    }

    /// Translates a code, Coding or CodeableConcept. What has no translation is kept as it is, and noted.
    fn translate(
        &mut self,
        from: &'a ParameterCode,
        map: usize,
        form: CodeForm,
        frame: &Frame<'a>,
    ) -> Ran<Item<'a>> {
        let item = self.argument(from, frame);
        let program = self.program;
        if form == CodeForm::Code
            && let Some(scalar) = self.scalar(&item)
            && let Some(answer) = program.code_tables.get(map).and_then(|it| it.get(&scalar.text))
        {
            let text = match answer {
                CodeAnswer::Becomes(code) => Cow::Borrowed(code),
                CodeAnswer::Stays => scalar.text,
            };
            return Ok(Item::Scalar(Scalar { ty: self.sources.types.code(), kind: Kind::String, text }));
        }
        let Some(map) = program.concept_maps.get(map) else { return Ok(Item::Nothing) };
        let mut codings = Vec::new();
        self.codings(&item, &mut codings);
        if codings.is_empty() {
            if matches!(item, Item::Nothing) {
                return Ok(Item::Nothing);
            }
            if let Item::Source(place) = item
                && form == CodeForm::CodeableConcept
                && self.sources.types.describe(place.ty) == "CodeableConcept"
            {
                // Only text: there is no code to translate.
                return Ok(item);
            }
            let value = self.shown(Some(&item));
            let needs = "needs a code, Coding or CodeableConcept";
            return Err(self.fault(RunFault::WrongParameter { transform: "translate", needs, value }));
        }
        let mut found: Vec<Coding> = Vec::new();
        let mut as_it_is = false;
        for (at, coding) in codings.iter().enumerate() {
            let asked = Asked::of(coding.concept());
            let answer = map.translate(&asked);
            match answer.preferred() {
                Preferred::One(it) if it.origin == Origin::Provided => as_it_is |= at == 0,
                Preferred::One(it) => {
                    let translation = it.concept.as_ref().map(Coding::of);
                    found.extend(translation.filter(|it| !found.contains(it)));
                }
                Preferred::None => {}
                Preferred::Several(them) => {
                    let (map, value, count) = (map.url().to_owned(), coding.shown(), them.len());
                    return Err(self.fault(RunFault::Ambiguous { map, count, value }));
                }
            }
        }
        let first = match (found.as_slice(), codings.first()) {
            ([only], _) => only.clone(),
            ([], Some(first)) => {
                if !as_it_is {
                    self.note(NoteKind::Unmapped { map: map.url().to_owned(), code: first.shown() });
                }
                if let (CodeForm::CodeableConcept | CodeForm::Coding, Item::Source(_)) = (form, &item)
                    && self.sources.types.describe(self.type_of(&item))
                        == match form {
                            CodeForm::Coding => "Coding",
                            _ => "CodeableConcept",
                        }
                {
                    // Kept whole: every coding, its display and its text.
                    return Ok(item);
                }
                first.clone()
            }
            (several, _) => {
                let value = codings.iter().map(Coding::shown).collect::<Vec<_>>().join(", ");
                let (map, count) = (map.url().to_owned(), several.len());
                return Err(self.fault(RunFault::Ambiguous { map, count, value }));
            }
        };
        let typed = |this: &Self, name: &str, text: Option<String>| match text {
            Some(text) => Item::Scalar(Scalar { ty: this.sources.types.find(name), ..this.string(text) }),
            None => Item::Nothing,
        };
        match form {
            CodeForm::Code => Ok(typed(self, "code", Some(first.code))),
            CodeForm::System => Ok(typed(self, "uri", first.system)),
            CodeForm::Display => Ok(typed(self, "string", first.display)),
            CodeForm::Coding | CodeForm::CodeableConcept => {
                let parts = [
                    ("system", first.system),
                    ("version", first.version),
                    ("code", Some(first.code)),
                    ("display", first.display),
                ];
                let parts = parts.map(|(name, it)| (name, it.map(|it| self.string(it))));
                let coding = self.built("Coding", &parts)?;
                if form == CodeForm::Coding { Ok(coding) } else { self.concept(coding) }
            }
        }
    }

    fn codings(&mut self, item: &Item<'a>, found: &mut Vec<Coding>) {
        if let Some(scalar) = self.scalar(item) {
            let code = scalar.text.into_owned();
            found.push(Coding { system: None, version: None, code, display: None });
            return;
        }
        let Item::Source(place) = item else { return };
        let Some(value) = self.sources.value(*place) else { return };
        let codings = value.get(name::CODING);
        for coding in codings.into_iter().flat_map(|it| it.items()).chain(codings.is_none().then_some(value))
        {
            let text = |name| coding.str_of(name).map(|it| it.into_owned());
            if let Some(code) = text(name::CODE) {
                let version = coding.get_key("version").and_then(|it| it.as_str()).map(|it| it.into_owned());
                found.push(Coding {
                    system: text(name::SYSTEM),
                    version,
                    code,
                    display: text(name::DISPLAY),
                });
            }
        }
    }
}
