//! The grammar of FHIRPath (FHIRPath N1, appendix B), with the trial-use additions: `12L`, and `asc` and
//! `desc` behind sort keys.
//!
//! Operators are read by how tightly they bind. Invariant: neither the parser nor what it builds is deeper
//! than [`DEEPEST`], and the tree has at most [`MOST_NODES`] nodes, whatever the text is.

use super::calendar::CalendarUnit;
use super::decimal::Decimal;
use super::error::CompileFault;
use super::lexer::{Lexer, Token, TokenKind, unquoted};
use super::syntax::{Operator, Ref, Syntax, TYPE_STRENGTH, Tree, Unit};
use super::temporal::Temporal;

/// Longest expression, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;
/// Deepest nesting.
const DEEPEST: u16 = 100;
/// Most nodes.
const MOST_NODES: usize = 16 * 1024;

type Fault = (CompileFault, usize);

/// Reads a whole expression. Errors carry their offset in the text.
pub(super) fn parse(text: &str) -> Result<(Tree, Ref), Fault> {
    if text.len() > LONGEST {
        return Err((CompileFault::TooLong(LONGEST), LONGEST));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser { lexer, token, tree: Tree::default(), depth: 0 };
    let root = parser.expression(0)?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok((parser.tree, root))
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    tree: Tree,
    depth: u16,
}

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Result<Token<'t>, Fault> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_sign(&self, sign: &str) -> bool {
        self.token.kind == TokenKind::Sign && self.token.text == sign
    }

    fn is_word(&self, word: &str) -> bool {
        self.token.kind == TokenKind::Word && self.token.text == word
    }

    fn expect(&mut self, sign: &str, expected: &'static str) -> Result<(), Fault> {
        if !self.is_sign(sign) {
            return Err(self.unexpected(expected));
        }
        self.advance().map(|_| ())
    }

    fn unexpected(&self, expected: &'static str) -> Fault {
        let found = match self.token.kind {
            TokenKind::End => "the end".to_owned(),
            _ => self.token.text.chars().take(40).collect(),
        };
        (CompileFault::Unexpected { expected, found }, self.token.at)
    }

    fn add(&mut self, syntax: Syntax, at: usize) -> Result<Ref, Fault> {
        let node = self.tree.add(syntax, at);
        self.bounded(node, at)
    }

    fn bounded(&self, node: Ref, at: usize) -> Result<Ref, Fault> {
        if self.tree.len() > MOST_NODES {
            return Err((CompileFault::TooManyParts, at));
        }
        if self.tree.depth(node) > DEEPEST {
            return Err((CompileFault::TooDeep, at));
        }
        Ok(node)
    }

    /// An expression whose operators bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Ref, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((CompileFault::TooDeep, self.token.at));
        }
        let mut left = self.unary()?;
        loop {
            let at = self.token.at;
            if self.is_word("is") || self.is_word("as") {
                if TYPE_STRENGTH < least {
                    break;
                }
                let convert = self.advance()?.text == "as";
                let name = self.qualified_name()?;
                left = self.add(Syntax::TypeTest(convert, left, name.into()), at)?;
                continue;
            }
            let Some(operator) = self.operator().filter(|it| it.strength() >= least) else { break };
            self.advance()?;
            let right = self.expression(operator.strength() + 1)?;
            left = self.tree.join(operator, left, right, at);
            self.bounded(left, at)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<Operator> {
        let operator = match (self.token.kind, self.token.text) {
            (TokenKind::Sign, "*") => Operator::Times,
            (TokenKind::Sign, "/") => Operator::Divide,
            (TokenKind::Sign, "+") => Operator::Plus,
            (TokenKind::Sign, "-") => Operator::Minus,
            (TokenKind::Sign, "&") => Operator::Concatenate,
            (TokenKind::Sign, "|") => Operator::Union,
            (TokenKind::Sign, "<") => Operator::Less,
            (TokenKind::Sign, "<=") => Operator::LessOrEqual,
            (TokenKind::Sign, ">") => Operator::Greater,
            (TokenKind::Sign, ">=") => Operator::GreaterOrEqual,
            (TokenKind::Sign, "=") => Operator::Equal,
            (TokenKind::Sign, "!=") => Operator::NotEqual,
            (TokenKind::Sign, "~") => Operator::Equivalent,
            (TokenKind::Sign, "!~") => Operator::NotEquivalent,
            (TokenKind::Word, "div") => Operator::Div,
            (TokenKind::Word, "mod") => Operator::Mod,
            (TokenKind::Word, "in") => Operator::In,
            (TokenKind::Word, "contains") => Operator::Contains,
            (TokenKind::Word, "and") => Operator::And,
            (TokenKind::Word, "or") => Operator::Or,
            (TokenKind::Word, "xor") => Operator::Xor,
            (TokenKind::Word, "implies") => Operator::Implies,
            _ => return None,
        };
        Some(operator)
    }

    /// Signs before a term bind less tightly than what follows it: `-1.abs()` is `-(1.abs())`.
    fn unary(&mut self) -> Result<Ref, Fault> {
        let at = self.token.at;
        if !(self.is_sign("-") || self.is_sign("+")) {
            return self.postfix();
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err((CompileFault::TooDeep, at));
        }
        let negative = self.advance()?.text == "-";
        let node = if negative && self.token.kind == TokenKind::Integer && self.token.text == "2147483648" {
            // The least Integer has no positive counterpart to be negated.
            self.advance()?;
            self.add(Syntax::Integer(i32::MIN), at)?
        } else if negative && self.token.kind == TokenKind::Long && self.token.text == "9223372036854775808L"
        {
            self.advance()?;
            self.add(Syntax::Long(i64::MIN), at)?
        } else {
            let inner = self.unary()?;
            self.add(if negative { Syntax::Negate(inner) } else { Syntax::Positive(inner) }, at)?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn postfix(&mut self) -> Result<Ref, Fault> {
        let mut node = self.term()?;
        loop {
            let at = self.token.at;
            if self.is_sign(".") {
                self.advance()?;
                node = self.invocation(Some(node))?;
            } else if self.is_sign("[") {
                self.advance()?;
                let index = self.expression(0)?;
                self.expect("]", "]")?;
                node = self.add(Syntax::Indexer(node, index), at)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn term(&mut self) -> Result<Ref, Fault> {
        let token = self.token;
        let at = token.at;
        match token.kind {
            TokenKind::Sign => match token.text {
                "(" => {
                    self.advance()?;
                    let inner = self.expression(0)?;
                    self.expect(")", ")")?;
                    Ok(inner)
                }
                "{" => {
                    self.advance()?;
                    self.expect("}", "}, since braces hold only the empty collection,")?;
                    self.add(Syntax::Empty, at)
                }
                "%" => self.external(),
                _ => Err(self.unexpected("a name, a value or an opening parenthesis")),
            },
            TokenKind::Word if matches!(token.text, "true" | "false") => {
                self.advance()?;
                self.add(Syntax::Boolean(token.text == "true"), at)
            }
            TokenKind::Word | TokenKind::QuotedWord | TokenKind::Special => self.invocation(None),
            TokenKind::Text => {
                self.advance()?;
                let text = unquoted(token)?;
                self.add(Syntax::Text(text.into()), at)
            }
            TokenKind::Integer | TokenKind::Decimal => self.number(),
            TokenKind::Long => {
                self.advance()?;
                let digits = token.text.trim_end_matches('L');
                let value = digits.parse().map_err(|_| (CompileFault::NumberRange, at))?;
                self.add(Syntax::Long(value), at)
            }
            TokenKind::Date | TokenKind::DateTime | TokenKind::Time => {
                self.advance()?;
                let body = token.text.get(1..).unwrap_or_default();
                let value = match token.kind {
                    TokenKind::Date => Temporal::parse_date(body),
                    TokenKind::DateTime => Temporal::parse_date_time(body),
                    _ => body.get(1..).and_then(Temporal::parse_time),
                };
                self.add(Syntax::Temporal(value.ok_or((CompileFault::BadTemporal, at))?), at)
            }
            TokenKind::End => Err(self.unexpected("an expression")),
        }
    }

    /// A number, or a quantity where a unit follows.
    fn number(&mut self) -> Result<Ref, Fault> {
        let token = self.advance()?;
        let range = (CompileFault::NumberRange, token.at);
        let decimal = || Decimal::parse(token.text).ok_or(range.clone());
        let unit = match self.token.kind {
            TokenKind::Text => Some(Unit::Quoted(unquoted(self.token)?.into())),
            TokenKind::Word => {
                CalendarUnit::of(self.token.text).map(|(unit, plural)| Unit::Calendar(unit, plural))
            }
            _ => None,
        };
        if let Some(unit) = unit {
            self.advance()?;
            return self.add(Syntax::Quantity(decimal()?, unit), token.at);
        }
        let syntax = match token.kind {
            TokenKind::Integer => Syntax::Integer(token.text.parse().map_err(|_| range)?),
            _ => Syntax::Decimal(decimal()?),
        };
        self.add(syntax, token.at)
    }

    fn external(&mut self) -> Result<Ref, Fault> {
        let at = self.advance()?.at;
        let name = match self.token.kind {
            TokenKind::Word => self.token.text.into(),
            TokenKind::QuotedWord | TokenKind::Text => unquoted(self.token)?,
            _ => return Err(self.unexpected("the name of a variable")),
        };
        self.advance()?;
        self.add(Syntax::External(name.into()), at)
    }

    /// A name, a function call or `$this`, `$index`, `$total`.
    fn invocation(&mut self, input: Option<Ref>) -> Result<Ref, Fault> {
        let token = self.token;
        if token.kind == TokenKind::Special {
            let syntax = match token.text {
                "$this" => Syntax::This,
                "$index" => Syntax::Index,
                "$total" => Syntax::Total,
                _ => return Err(self.unexpected("$this, $index or $total")),
            };
            self.advance()?;
            return self.add(syntax, token.at);
        }
        let name = self.name()?;
        if !self.is_sign("(") {
            return self.add(Syntax::Member(input, name), token.at);
        }
        self.advance()?;
        let mut arguments = Vec::new();
        if !self.is_sign(")") {
            loop {
                let mut argument = self.expression(0)?;
                if &*name == "sort" && (self.is_word("asc") || self.is_word("desc")) {
                    let word = self.advance()?;
                    if word.text == "desc" {
                        argument = self.add(Syntax::Descending(argument), word.at)?;
                    }
                }
                arguments.push(argument);
                if !self.is_sign(",") {
                    break;
                }
                self.advance()?;
            }
        }
        self.expect(")", "a comma or a closing parenthesis")?;
        self.add(Syntax::Call(input, name, arguments.into()), token.at)
    }

    fn name(&mut self) -> Result<Box<str>, Fault> {
        let name = match self.token.kind {
            TokenKind::QuotedWord => unquoted(self.token)?.into(),
            TokenKind::Word if !is_reserved(self.token.text) => self.token.text.into(),
            TokenKind::Word => return Err(self.unexpected("a name (reserved words need backticks)")),
            _ => return Err(self.unexpected("a name")),
        };
        self.advance()?;
        Ok(name)
    }

    fn qualified_name(&mut self) -> Result<String, Fault> {
        let mut name = self.name()?.into_string();
        while self.is_sign(".") {
            self.advance()?;
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }
}

/// Words that can't be names without backticks.
fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "xor" | "implies" | "div" | "mod" | "true" | "false")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tree with all its parentheses.
    fn shown(text: &str) -> String {
        match parse(text) {
            Ok((tree, root)) => show(&tree, root),
            Err((fault, at)) => format!("{at}: {fault}"),
        }
    }

    fn show(tree: &Tree, node: Ref) -> String {
        let prefix = |input: &Option<Ref>| input.map_or(String::new(), |it| show(tree, it) + ".");
        let list =
            |nodes: &[Ref], with: &str| nodes.iter().map(|it| show(tree, *it)).collect::<Vec<_>>().join(with);
        match tree.syntax(node) {
            Syntax::Member(input, name) => format!("{}{name}", prefix(input)),
            Syntax::Call(input, name, arguments) => {
                format!("{}{name}({})", prefix(input), list(arguments, ","))
            }
            Syntax::Indexer(left, right) => format!("{}[{}]", show(tree, *left), show(tree, *right)),
            Syntax::Binary(op, left, right) => {
                format!("({} {} {})", show(tree, *left), op.sign(), show(tree, *right))
            }
            Syntax::Chain(op, operands) => format!("({})", list(operands, &format!(" {} ", op.sign()))),
            Syntax::TypeTest(convert, left, name) => {
                format!("({} {} {name})", show(tree, *left), if *convert { "as" } else { "is" })
            }
            Syntax::Negate(inner) => format!("-{}", show(tree, *inner)),
            Syntax::Descending(inner) => format!("{} desc", show(tree, *inner)),
            Syntax::Integer(value) => value.to_string(),
            Syntax::Text(text) => format!("{text:?}"),
            Syntax::External(name) => format!("%{name}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn operators_bind_as_the_grammar_says() {
        assert_eq!(shown("1 + 2 * 3 - 4"), "((1 + (2 * 3)) - 4)");
        assert_eq!(shown("a or b and c implies d"), "((a or (b and c)) implies d)");
        assert_eq!(shown("a and b and c or d"), "((a and b and c) or d)");
        assert_eq!(shown("-7.combine(3)"), "-7.combine(3)");
        assert_eq!(shown("a | b is Integer = c"), "((a | (b is Integer)) = c)");
        assert_eq!(shown("a > b = c < d"), "((a > b) = (c < d))");
        assert_eq!(shown("a.b[0].c in d | e"), "(a.b[0].c in (d | e))");
        assert_eq!(shown("x.sort(a desc, b asc)"), "x.sort(a desc,b)");
    }

    #[test]
    fn words_may_be_names_where_the_grammar_lets_them() {
        assert_eq!(shown("contains.is.as"), "contains.is.as");
        assert_eq!(shown("text.`div`"), "text.div");
        assert_eq!(shown("value.as(FHIR.Quantity)"), "value.as(FHIR.Quantity)");
        assert_eq!(shown("%\"vs-x\" & %'vs-y'"), "(%vs-x & %vs-y)");
        assert_eq!(shown("%`us-zip` // the rest is a comment"), "%us-zip");
        assert_eq!(shown("a /* within */ . b"), "a.b");
        assert_eq!(shown("year.day"), "year.day");
    }

    #[test]
    fn strings_undo_their_escapes() {
        assert_eq!(shown(r"'\p\\p\u0065\'\t'"), r#""p\\pe'\t""#);
        assert_eq!(shown(r"'\uD83D\uDD25'"), "\"🔥\"");
        assert_eq!(shown(r"'\u005'"), "\"u005\"");
        assert_eq!(
            shown(r"'\uD83D'"),
            "0: the escape \\u names half a character; write both halves of the surrogate pair"
        );
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(shown("a."), "2: a name is expected here, not the end");
        assert_eq!(shown("a b"), "2: an operator or the end is expected here, not b");
        assert_eq!(shown("'abc"), "0: the string has no end; close it with '");
        assert_eq!(shown("1 /* x"), "2: the comment has no end; close it with */");
        assert_eq!(shown("a.div"), "2: a name (reserved words need backticks) is expected here, not div");
        for text in
            ["@2014-13", "@T25:00", "@T14:34:28Z", "@", "3000000000", "#", "a ; b", "(", "f(1,)", "{1}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("-2147483648").is_ok() && parse("2147483648").is_err() && parse("2147483648L").is_ok());
    }

    #[test]
    fn nesting_is_bounded_but_chains_are_not_nesting() {
        let nested = |depth: usize| "(".repeat(depth) + "1" + &")".repeat(depth);
        assert!(parse(&nested(80)).is_ok());
        assert!(matches!(parse(&nested(500)), Err((CompileFault::TooDeep, _))));
        assert!(matches!(parse(&"-".repeat(5000)), Err((CompileFault::TooDeep, _))));
        assert!(parse(&vec!["a = 'x'"; 1000].join(" or ")).is_ok());
        assert!(matches!(parse(&vec!["1"; 5000].join(" + ")), Err((CompileFault::TooDeep, _))));
        assert!(matches!(parse(&"a ".repeat(40_000)), Err((CompileFault::TooLong(_), _))));
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_parser(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_heap_of_tokens_upsets_the_parser(tokens in prop::collection::vec(
            prop::sample::select(vec!["a", "1", "1.5", "2L", "'x'", "`y`", "@2014", "@T10", "$this", "$index", "%v", "(", ")",
                "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "=", "!=", "~", "<", ">=", "and", "or", "xor",
                "implies", "is", "as", "in", "contains", "div", "mod", "days", "year", "where(", "sort(", "desc", "true"]), 0..40)) {
            let _ = parse(&tokens.join(" "));
            let _ = parse(&tokens.concat());
        }
    }
}
