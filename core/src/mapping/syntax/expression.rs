//! Where a FHIRPath expression ends inside a map.
//!
//! The expression's grammar is followed only as far as its extent goes; FHIRPath's own compiler reads it later.
//! Text in double quotes is a string in a map and a name in FHIRPath: it is written with single quotes here.

use super::super::error::MapFault;
use super::Located;
use super::lexer::{Token, TokenKind, quoted, unquoted};
use super::model::Expression;
use super::parser::Parser;

/// Deepest nesting of an expression.
const DEEPEST: usize = 100;

impl Parser<'_> {
    /// An expression, as far as it goes.
    pub(super) fn expression(&mut self) -> Result<Expression, Located> {
        let start = self.at;
        self.operand(0)?;
        Ok(self.extract(start, self.at))
    }

    /// An expression in parentheses, which are not part of it.
    pub(super) fn parenthesised(&mut self) -> Result<Expression, Located> {
        self.expect("(")?;
        let found = self.expression()?;
        self.expect(")")?;
        Ok(found)
    }

    /// An expression that may stand in parentheses as a whole.
    pub(super) fn clause(&mut self) -> Result<Expression, Located> {
        let start = self.at;
        if self.token().is_sign("(") {
            let inner = self.parenthesised()?;
            let more = self.operator() || self.token().is_sign(".") || self.token().is_sign("[");
            if !more {
                return Ok(inner);
            }
            self.at = start;
        }
        self.expression()
    }

    fn extract(&self, start: usize, end: usize) -> Expression {
        let tokens = self.tokens.get(start..end).unwrap_or_default();
        let Some(first) = tokens.first() else { return Expression { text: String::new(), at: 0 } };
        let mut text = String::new();
        let mut copied = first.at;
        for (at, token) in tokens.iter().enumerate() {
            let named = at.checked_sub(1).and_then(|it| tokens.get(it)).is_some_and(|it| it.is_sign("%"));
            if token.kind == TokenKind::Double && !named {
                text.push_str(self.text.get(copied..token.at).unwrap_or_default());
                text.push_str(&quoted(&unquoted(token)));
                copied = token.end();
            }
        }
        let end = tokens.last().map_or(copied, Token::end);
        text.push_str(self.text.get(copied..end).unwrap_or_default());
        Expression { text, at: first.at }
    }

    /// True before an operator between two operands.
    fn operator(&self) -> bool {
        let token = self.token();
        match token.kind {
            TokenKind::Sign => matches!(
                token.text,
                "*" | "/" | "+" | "-" | "&" | "|" | "<" | "<=" | ">" | ">=" | "=" | "!=" | "~" | "!~"
            ),
            TokenKind::Word => {
                matches!(
                    token.text,
                    "div" | "mod" | "in" | "contains" | "and" | "or" | "xor" | "implies" | "is"
                ) || (token.text == "as" && self.is_type_operator())
            }
            _ => false,
        }
    }

    /// `as` is also the map's word for a variable's name: an operator only before a type's name.
    fn is_type_operator(&self) -> bool {
        let next = self.peek(1);
        next.text.starts_with(|first: char| first.is_ascii_uppercase()) && next.kind == TokenKind::Word
    }

    fn operand(&mut self, depth: usize) -> Result<(), Located> {
        if depth > DEEPEST {
            return Err((MapFault::TooDeep(DEEPEST), self.token().at));
        }
        loop {
            while self.token().is_sign("-") || self.token().is_sign("+") {
                self.advance();
            }
            self.term(depth)?;
            if !self.operator() {
                return Ok(());
            }
            self.advance();
        }
    }

    fn term(&mut self, depth: usize) -> Result<(), Located> {
        let token = self.token();
        match token.kind {
            TokenKind::Word | TokenKind::QuotedWord => {
                self.advance();
                self.arguments(depth)?;
            }
            TokenKind::Single | TokenKind::Double | TokenKind::Temporal | TokenKind::Long => {
                self.advance();
            }
            TokenKind::Integer | TokenKind::Decimal => {
                self.advance();
                let unit = self.token();
                if unit.kind == TokenKind::Single
                    || (unit.kind == TokenKind::Word && is_calendar_word(unit.text))
                {
                    self.advance();
                }
            }
            TokenKind::Sign if token.text == "(" => {
                self.advance();
                self.operand(depth + 1)?;
                self.expect(")")?;
            }
            TokenKind::Sign if token.text == "{" => {
                self.advance();
                self.expect("}")?;
            }
            TokenKind::Sign if token.text == "%" => {
                self.advance();
                let name = self.token().kind;
                if !matches!(
                    name,
                    TokenKind::Word | TokenKind::QuotedWord | TokenKind::Single | TokenKind::Double
                ) {
                    return Err(self.unexpected("the name of a variable"));
                }
                self.advance();
            }
            _ => return Err(self.unexpected("a FHIRPath expression")),
        }
        loop {
            if self.token().is_sign(".") {
                self.advance();
                if !matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedWord) {
                    return Err(self.unexpected("a name"));
                }
                self.advance();
                self.arguments(depth)?;
            } else if self.token().is_sign("[") {
                self.advance();
                self.operand(depth + 1)?;
                self.expect("]")?;
            } else {
                return Ok(());
            }
        }
    }

    fn arguments(&mut self, depth: usize) -> Result<(), Located> {
        if !self.token().is_sign("(") {
            return Ok(());
        }
        self.advance();
        if !self.token().is_sign(")") {
            loop {
                self.operand(depth + 1)?;
                if self.token().is_word("asc") || self.token().is_word("desc") {
                    self.advance();
                }
                if !self.token().is_sign(",") {
                    break;
                }
                self.advance();
            }
        }
        self.expect(")")
    }
}

fn is_calendar_word(word: &str) -> bool {
    matches!(
        word.strip_suffix('s').unwrap_or(word),
        "year" | "month" | "week" | "day" | "hour" | "minute" | "second" | "millisecond"
    )
}

/// A name at the start of a path.
#[derive(Debug)]
pub(in crate::mapping) struct PathStart {
    pub first: String,
    /// Names behind it, as far as no function is called.
    pub rest: Vec<String>,
    /// It was written with `%`.
    pub marked: bool,
    /// What it leads to is looked at from outside: whether it is there, how often, of which type.
    pub outside: bool,
    pub at: usize,
    pub end: usize,
}

/// The names at the starts of an expression's paths; none where its text can't be taken apart.
pub(in crate::mapping) fn expression_names(text: &str) -> Vec<PathStart> {
    let Ok(found) = super::lexer::tokens(text) else { return Vec::new() };
    let tokens = found.tokens;
    let mut names = Vec::new();
    let is_name = |token: &Token<'_>| match token.kind {
        TokenKind::QuotedWord => true,
        TokenKind::Word => !token.text.starts_with('$'),
        _ => false,
    };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let before = at.checked_sub(2).and_then(|it| tokens.get(it));
        let after = tokens.get(at);
        let marked = before.is_some_and(|it| it.is_sign("%"));
        let starts = is_name(token)
            && !before.is_some_and(|it| it.is_sign("."))
            && !after.is_some_and(|it| it.is_sign("("));
        if !starts || (!marked && is_operator_here(token, before)) {
            continue;
        }
        let plain = |token: &Token<'_>| match token.kind {
            TokenKind::QuotedWord => unquoted(token),
            _ => token.text.to_owned(),
        };
        let mut rest = Vec::new();
        let mut next = at;
        loop {
            // A choice among items: the path goes on behind it.
            next = behind_choice(&tokens, next);
            let (Some(dot), Some(name)) = (tokens.get(next), tokens.get(next + 1)) else { break };
            let called = tokens.get(next + 2).is_some_and(|it| it.is_sign("("));
            if !dot.is_sign(".") || !is_name(name) || called {
                break;
            }
            rest.push(plain(name));
            next += 2;
        }
        let start = if marked { before.map_or(token.at, |it| it.at) } else { token.at };
        let outside = is_outside(tokens.get(next..).unwrap_or_default());
        names.push(PathStart { first: plain(token), rest, marked, outside, at: start, end: token.end() });
    }
    names
}

/// The token behind `.where(…)` and `.ofType(…)`, if one begins here.
fn behind_choice(tokens: &[Token<'_>], at: usize) -> usize {
    let [dot, name, open, ..] = tokens.get(at..).unwrap_or_default() else { return at };
    let choice = name.is_word("where") || name.is_word("ofType");
    if !dot.is_sign(".") || !choice || !open.is_sign("(") {
        return at;
    }
    let mut depth = 0usize;
    for (next, token) in tokens.iter().enumerate().skip(at + 2) {
        depth += usize::from(token.is_sign("("));
        depth -= usize::from(token.is_sign(")") && depth > 0);
        if depth == 0 {
            return next + 1;
        }
    }
    at
}

/// True where what follows a path looks at none of the parts of what it leads to, or chooses among them: what is chosen is
/// read where it is used.
fn is_outside(after: &[Token<'_>]) -> bool {
    match after {
        [operator, ..] if operator.is_word("is") => true,
        [dot, name, open, ..] => {
            dot.is_sign(".")
                && open.is_sign("(")
                && ["exists", "empty", "count", "type", "select", "all", "extension"]
                    .iter()
                    .any(|it| name.is_word(it))
        }
        _ => false,
    }
}

/// Words that are operators, units or types where they stand.
fn is_operator_here(token: &Token<'_>, before: Option<&Token<'_>>) -> bool {
    let Some(before) = before else { return matches!(token.text, "true" | "false") };
    let after_value =
        matches!(
            before.kind,
            TokenKind::Word
                | TokenKind::QuotedWord
                | TokenKind::Single
                | TokenKind::Integer
                | TokenKind::Decimal
                | TokenKind::Temporal
                | TokenKind::Long
        ) && !matches!(before.text, "and" | "or" | "xor" | "implies" | "in" | "contains" | "div" | "mod")
            || before.is_sign(")")
            || before.is_sign("]")
            || before.is_sign("}");
    after_value || matches!(before.text, "is" | "as") || matches!(token.text, "true" | "false")
}
