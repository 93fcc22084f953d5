//! Conditions that look at no more than the members of one item: `system = 'http://loinc.org'`, `resource is Patient`,
//! `code.empty()`, and these with `and`, `or`, `not()`. Most conditions of maps are of this kind.
//!
//! Invariant: such a condition says what FHIRPath says of the same text (§6.5, three-valued logic), or nothing.

use fhir_models::document::{Kind, Name, Value};

use super::lexer::{Token, TokenKind, tokens};

/// Deepest nesting that is taken apart.
const MAX_DEPTH: usize = 16;

/// A condition on the members of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mapping) enum Condition {
    /// `member = 'text'`
    Equal(Name, Box<str>),
    /// `member is Type`
    Is(Name, Box<str>),
    /// `member.exists()`
    Exists(Name),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

/// What a member is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) enum Asked {
    Text,
    Type,
    Presence,
}

impl Condition {
    /// Takes a text apart; `None` where it asks for more.
    pub fn read(text: &str) -> Option<Condition> {
        let found = tokens(text).ok()?;
        let mut reader = Reader { tokens: &found.tokens, at: 0 };
        let condition = reader.any_of(0)?;
        (reader.peek()?.kind == TokenKind::End).then_some(condition)
    }

    /// All members that it asks for, with what it asks.
    pub fn members(&self, found: &mut Vec<(Name, Asked, Option<Box<str>>)>) {
        match self {
            Condition::Equal(name, _) => found.push((*name, Asked::Text, None)),
            Condition::Is(name, ty) => found.push((*name, Asked::Type, Some(ty.clone()))),
            Condition::Exists(name) => found.push((*name, Asked::Presence, None)),
            Condition::Not(inner) => inner.members(found),
            Condition::And(one, two) | Condition::Or(one, two) => {
                one.members(found);
                two.members(found);
            }
        }
    }

    /// Whether it holds for an object: true, false, or empty. An error where only FHIRPath can tell.
    pub fn holds(&self, item: Value<'_>) -> Result<Option<bool>, Beyond> {
        Ok(match self {
            Condition::Equal(name, text) => match member(item, *name)? {
                Some(value) if value.kind() == Kind::String => Some(value.is_str(text)),
                Some(_) => return Err(Beyond),
                None => None,
            },
            Condition::Is(name, ty) => match member(item, *name)? {
                Some(value) => Some(*value.resource_type().ok_or(Beyond)? == **ty),
                None => None,
            },
            Condition::Exists(name) => Some(member(item, *name)?.is_some()),
            Condition::Not(inner) => inner.holds(item)?.map(|it| !it),
            Condition::And(one, two) => match one.holds(item)? {
                Some(false) => Some(false),
                Some(true) => two.holds(item)?,
                None => two.holds(item)?.filter(|it| !it),
            },
            Condition::Or(one, two) => match one.holds(item)? {
                Some(true) => Some(true),
                Some(false) => two.holds(item)?,
                None => two.holds(item)?.filter(|it| *it),
            },
        })
    }
}

/// Only FHIRPath can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) struct Beyond;

/// The only value of a member; lists and primitives with extensions are beyond.
fn member<'a>(item: Value<'a>, name: Name) -> Result<Option<Value<'a>>, Beyond> {
    let mut found = None;
    for child in item.children().filter(|it| it.name() == name) {
        if child.is_underscored() || matches!(child.kind(), Kind::Array | Kind::Null) {
            return Err(Beyond);
        }
        found = Some(child);
    }
    Ok(found)
}

struct Reader<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t Token<'t>> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, taken: bool) -> bool {
        self.at += usize::from(taken);
        taken
    }

    fn word(&mut self, word: &str) -> bool {
        let here = self.peek().is_some_and(|it| it.is_word(word));
        self.take(here)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let here = self.peek().is_some_and(|it| it.is_sign(sign));
        self.take(here)
    }

    /// `.name()`
    fn call(&mut self, name: &str) -> bool {
        let [dot, word, open, close, ..] = self.tokens.get(self.at..).unwrap_or_default() else {
            return false;
        };
        let here = dot.is_sign(".") && word.is_word(name) && open.is_sign("(") && close.is_sign(")");
        self.at += if here { 4 } else { 0 };
        here
    }

    fn any_of(&mut self, depth: usize) -> Option<Condition> {
        let mut all = self.all_of(depth)?;
        while self.word("or") {
            all = Condition::Or(Box::new(all), Box::new(self.all_of(depth)?));
        }
        Some(all)
    }

    fn all_of(&mut self, depth: usize) -> Option<Condition> {
        let mut all = self.one(depth)?;
        while self.word("and") {
            all = Condition::And(Box::new(all), Box::new(self.one(depth)?));
        }
        Some(all)
    }

    fn one(&mut self, depth: usize) -> Option<Condition> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.sign("(") {
            let mut inner = self.any_of(depth + 1)?;
            if !self.sign(")") {
                return None;
            }
            while self.call("not") {
                inner = Condition::Not(Box::new(inner));
            }
            return Some(inner);
        }
        let name = self.peek().filter(|it| it.kind == TokenKind::Word)?;
        let name = Name::of(name.text);
        self.at += 1;
        if name.index() == 0 {
            return None;
        }
        if self.call("exists") {
            return Some(Condition::Exists(name));
        }
        if self.call("empty") {
            return Some(Condition::Not(Box::new(Condition::Exists(name))));
        }
        if self.word("is") {
            let ty = self.peek().filter(|it| it.kind == TokenKind::Word)?;
            self.at += 1;
            return Some(Condition::Is(name, ty.text.into()));
        }
        let differs = self.sign("!=");
        if !differs && !self.sign("=") {
            return None;
        }
        let text = self.peek().filter(|it| it.kind == TokenKind::Single && !it.text.contains('\\'))?;
        self.at += 1;
        let text = text.text.strip_prefix('\'')?.strip_suffix('\'')?;
        let equal = Condition::Equal(name, text.into());
        Some(if differs { Condition::Not(Box::new(equal)) } else { equal })
    }
}
