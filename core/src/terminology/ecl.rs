//! The syntax of SNOMED CT's Expression Constraint Language (ECL 2.2, <https://docs.snomed.org/ecl>), brief and
//! long.
//!
//! Only the syntax: which concepts a constraint selects is for a server that has them. Bounded in length and
//! depth; what is beyond the bounds is not judged.

use std::fmt;

/// Longest constraint that is read, in bytes.
const LONGEST: usize = 65_536;
/// Deepest nesting.
const DEEPEST: usize = 48;
/// Most parts that are read, those read twice because of a parenthesis included.
const MOST_STEPS: usize = 100_000;

/// Where a constraint goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EclError {
    /// Offset in characters, from 1.
    pub place: usize,
    /// What should stand there.
    pub wanted: &'static str,
}

impl fmt::Display for EclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: expected {}", self.place, self.wanted)
    }
}

/// Checks the syntax of a constraint.
///
/// # Errors
/// [`EclError`] at the first place that the grammar does not allow.
pub(crate) fn check(text: &str) -> Result<(), EclError> {
    if text.len() > LONGEST {
        return Ok(());
    }
    let mut reader = Reader { text, at: 0, depth: 0, steps: 0, deep: false };
    let read = reader.constraint().and_then(|()| {
        reader.space();
        if reader.rest().is_empty() { Ok(()) } else { reader.wrong("an operator, or the end") }
    });
    if reader.deep {
        return Ok(());
    }
    read.map_err(|wanted| EclError {
        place: text.get(..reader.at).map_or(0, |before| before.chars().count()) + 1,
        wanted,
    })
}

type Read = Result<(), &'static str>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    steps: usize,
    /// A bound was reached.
    deep: bool,
}

/// Operators before a constraint, longer ones first.
const HIERARCHY: &[&str] = &["<<!", "<<", "<!", "<", ">>!", ">>", ">!", ">", "!!>", "!!<"];
/// The same in words, longer ones first.
const HIERARCHY_WORDS: &[&str] = &[
    "descendantOrSelfOf",
    "descendantOf",
    "childOrSelfOf",
    "childOf",
    "ancestorOrSelfOf",
    "ancestorOf",
    "parentOrSelfOf",
    "parentOf",
    "top",
    "bottom",
];

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong<T>(&self, wanted: &'static str) -> Result<T, &'static str> {
        Err(wanted)
    }

    /// Blanks and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            self.at += blank;
            match self.rest().strip_prefix("/*").and_then(|inside| inside.find("*/")) {
                Some(length) => self.at += length + 4,
                None if blank == 0 => return,
                None => {}
            }
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// A word that no letter or digit follows, in any case.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && !rest.get(word.len()..).is_some_and(|after| after.starts_with(|c: char| c.is_alphanumeric()));
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Read) -> Read {
        self.steps += 1;
        if self.depth >= DEEPEST || self.steps > MOST_STEPS || self.deep {
            self.deep = true;
            return self.wrong("less nesting");
        }
        self.depth += 1;
        let read = inner(self);
        self.depth -= 1;
        read
    }

    /// `expressionconstraint`
    fn constraint(&mut self) -> Read {
        self.nested(|it| {
            it.sub_constraint()?;
            it.space();
            if it.take(":") {
                return it.refinement();
            }
            if it.rest().starts_with('.') {
                while it.take(".") {
                    it.sub_constraint()?;
                    it.space();
                }
                return Ok(());
            }
            if it.word("MINUS") {
                return it.sub_constraint();
            }
            it.chain(Self::sub_constraint)
        })
    }

    /// More of the same after `AND`, `,` or `OR`, not both kinds.
    fn chain(&mut self, mut part: impl FnMut(&mut Self) -> Read) -> Read {
        let mut kind = None;
        loop {
            self.space();
            let before = self.at;
            let and = self.take(",") || self.word("AND");
            if !and && !self.word("OR") {
                return Ok(());
            }
            if kind.is_some_and(|kind| kind != and) {
                self.at = before;
                return self.wrong("parentheses, for AND and OR don't mix");
            }
            kind = Some(and);
            part(self)?;
        }
    }

    /// `subexpressionconstraint`
    fn sub_constraint(&mut self) -> Read {
        self.space();
        let operator = HIERARCHY.iter().any(|token| self.take(token)) || self.any_word(HIERARCHY_WORDS);
        self.space();
        if self.take("^") || self.word("memberOf") {
            self.space();
            if self.take("[") {
                self.fields()?;
            }
            self.space();
        }
        if self.take("(") {
            self.constraint()?;
            self.space();
            if !self.take(")") {
                return self.wrong("a closing parenthesis");
            }
        } else {
            self.focus(operator)?;
        }
        loop {
            self.space();
            if !self.take("{{") {
                return Ok(());
            }
            self.filter()?;
        }
    }

    fn any_word(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.word(word))
    }

    /// The field names in `^ [a, b]`.
    fn fields(&mut self) -> Read {
        loop {
            self.space();
            if !self.take("*") && self.run(|c| c.is_alphanumeric()) == 0 {
                return self.wrong("the name of a reference set's field");
            }
            self.space();
            if self.take("]") {
                return Ok(());
            }
            if !self.take(",") {
                return self.wrong("a comma or a closing bracket");
            }
        }
    }

    /// A concept with or without its term, `*`, or a code of another scheme as `SCHEME#code`.
    fn focus(&mut self, operator: bool) -> Read {
        if self.take("*") || self.word("ANY") {
            return Ok(());
        }
        if self.is_alternate() {
            return self.term();
        }
        let start = self.at;
        let digits = self.run(|c| c.is_ascii_digit());
        if !(6..=18).contains(&digits) || self.text.get(start..).is_some_and(|it| it.starts_with('0')) {
            self.at = start;
            return self.wrong(if operator {
                "a concept, * or a parenthesis after the operator"
            } else {
                "a concept of 6 to 18 digits, * or a parenthesis"
            });
        }
        self.term()
    }

    fn is_alternate(&mut self) -> bool {
        let start = self.at;
        if self.take("\"") {
            let inside = self.run(|c| c != '"' && c != '#');
            if inside > 0 && self.take("#") && self.run(|c| c != '"') > 0 && self.take("\"") {
                return true;
            }
        } else if self.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.run(|c| c.is_ascii_alphanumeric() || c == '-');
            if self.take("#") && self.run(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) > 0 {
                return true;
            }
        }
        self.at = start;
        false
    }

    /// `| term |`, if one stands here.
    fn term(&mut self) -> Read {
        let before = self.at;
        self.space();
        if !self.take("|") {
            self.at = before;
            return Ok(());
        }
        self.run(|c| c != '|');
        if self.take("|") { Ok(()) } else { self.wrong("a | after the term") }
    }

    /// Characters that fit; their number.
    fn run(&mut self, fits: impl Fn(char) -> bool) -> usize {
        let rest = self.rest();
        let end = rest.find(|c: char| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).map_or(0, |it| it.chars().count())
    }

    /// `eclrefinement`
    fn refinement(&mut self) -> Read {
        self.nested(|it| {
            it.sub_refinement()?;
            it.chain(Self::sub_refinement)
        })
    }

    fn sub_refinement(&mut self) -> Read {
        self.space();
        self.cardinality()?;
        self.space();
        if self.rest().starts_with('{') && !self.rest().starts_with("{{") {
            self.at += 1;
            self.refinement()?;
            self.space();
            return if self.take("}") { Ok(()) } else { self.wrong("a closing brace") };
        }
        if self.rest().starts_with('(') {
            // A refinement in parentheses, or an attribute whose name is a constraint in parentheses.
            let start = self.at;
            self.at += 1;
            let inner = self.refinement();
            self.space();
            if inner.is_ok() && self.take(")") {
                let after = self.at;
                self.space();
                if !self.rest().starts_with(['=', '!', '<', '>']) {
                    self.at = after;
                    return Ok(());
                }
            }
            self.at = start;
        }
        self.attribute()
    }

    /// `[0..1]`, if one stands here.
    fn cardinality(&mut self) -> Read {
        if !self.take("[") {
            return Ok(());
        }
        self.space();
        if self.run(|c| c.is_ascii_digit()) == 0 || !(self.take("..") || self.word("to")) {
            return self.wrong("a cardinality such as [0..1]");
        }
        if !self.take("*") && self.run(|c| c.is_ascii_digit()) == 0 {
            return self.wrong("the upper bound of a cardinality");
        }
        self.space();
        if self.take("]") { Ok(()) } else { self.wrong("a closing bracket") }
    }

    fn attribute(&mut self) -> Read {
        let before = self.at;
        if self.word("R") || self.word("reverseOf") {
            self.space();
        } else {
            self.at = before;
        }
        self.sub_constraint()?;
        self.space();
        if !self.comparison() {
            return self.wrong("a comparison such as =");
        }
        self.value()
    }

    fn comparison(&mut self) -> bool {
        ["!=", "<>", "<=", ">=", "=", "<", ">"].iter().any(|token| self.take(token))
    }

    /// What an attribute or filter is compared with.
    fn value(&mut self) -> Read {
        self.space();
        let rest = self.rest();
        if rest.starts_with('#') {
            self.at += 1;
            self.run(|c| c == '+' || c == '-');
            let digits = self.run(|c| c.is_ascii_digit());
            if self.take(".") {
                self.run(|c| c.is_ascii_digit());
            }
            return if digits > 0 { Ok(()) } else { self.wrong("a number after #") };
        }
        if rest.starts_with('"') && !self.is_alternate() {
            return self.quoted();
        }
        for word in ["true", "false"] {
            if self.word(word) {
                return Ok(());
            }
        }
        if self.typed_text() {
            return self.quoted();
        }
        if self.set_of_texts()? {
            return Ok(());
        }
        self.sub_constraint()
    }

    /// `match:` or `wild:` before a text.
    fn typed_text(&mut self) -> bool {
        let before = self.at;
        if self.word("match") || self.word("wild") || self.word("exact") {
            self.space();
            if self.take(":") {
                self.space();
                if self.rest().starts_with('"') {
                    return true;
                }
            }
        }
        self.at = before;
        false
    }

    fn quoted(&mut self) -> Read {
        if !self.take("\"") {
            return self.wrong("a text in quotes");
        }
        loop {
            self.run(|c| c != '"' && c != '\\');
            if self.take("\"") {
                return Ok(());
            }
            if !self.take("\\") {
                return self.wrong("a closing quote");
            }
            self.at += self.rest().chars().next().map_or(0, char::len_utf8);
        }
    }

    /// `("a" match:"b")`: true where one was read.
    fn set_of_texts(&mut self) -> Result<bool, &'static str> {
        let before = self.at;
        if !self.take("(") {
            return Ok(false);
        }
        self.space();
        if !(self.rest().starts_with('"') || self.typed_text()) {
            self.at = before;
            return Ok(false);
        }
        loop {
            self.quoted()?;
            self.space();
            if self.take(")") {
                return Ok(true);
            }
            if !self.rest().starts_with('"') && !self.typed_text() {
                return self.wrong("another text, or a closing parenthesis");
            }
        }
    }

    /// What stands between `{{` and `}}`: a history supplement, or comparisons of a description, concept or
    /// member.
    fn filter(&mut self) -> Read {
        self.space();
        if self.take("+") {
            self.space();
            if !self.word("HISTORY")
                && !["HISTORY-", "history-", "HISTORY_", "history_"].iter().any(|it| self.take(it))
            {
                return self.wrong("HISTORY");
            }
            self.take("-");
            let _profile = self.any_word(&["MIN", "MOD", "MAX"]);
            self.space();
            if self.take("(") {
                self.constraint()?;
                self.space();
                if !self.take(")") {
                    return self.wrong("a closing parenthesis");
                }
            }
            self.space();
            return if self.take("}}") { Ok(()) } else { self.wrong("}}") };
        }
        let _kind = self.any_word(&["D", "C", "M"]);
        loop {
            self.space();
            if self.run(|c| c.is_alphanumeric()) == 0 {
                return self.wrong("the name of a filter");
            }
            self.space();
            if !self.comparison() {
                return self.wrong("a comparison such as =");
            }
            self.filter_value()?;
            self.space();
            if self.take("}}") {
                return Ok(());
            }
            if !self.take(",") {
                return self.wrong("a comma or }}");
            }
        }
    }

    /// A value, a word (`en`, `syn`, `PREFER`), or several of them in parentheses.
    fn filter_value(&mut self) -> Read {
        self.space();
        let before = self.at;
        if self.words() {
            return Ok(());
        }
        self.at = before;
        self.value()?;
        let before = self.at;
        self.space();
        // The acceptability after a dialect: `dialect = en-gb (preferred)`.
        if !(self.rest().starts_with('(') && {
            self.at += 1;
            self.words_inside()
        }) {
            self.at = before;
        }
        Ok(())
    }

    fn words(&mut self) -> bool {
        if self.take("(") {
            return self.words_inside();
        }
        let letters = self.rest().starts_with(|c: char| c.is_ascii_alphabetic());
        letters
            && self.run(|c| c.is_ascii_alphanumeric() || c == '-') > 0
            && !self.rest().starts_with(['#', ':'])
            && {
                let before = self.at;
                self.space();
                if !(self.take("(") && self.words_inside()) {
                    self.at = before;
                }
                true
            }
    }

    fn words_inside(&mut self) -> bool {
        let mut some = false;
        loop {
            self.space();
            if self.take(")") {
                return some;
            }
            if self.run(|c| c.is_ascii_alphanumeric() || c == '-') == 0 {
                return false;
            }
            if self.rest().starts_with(['#', ':']) || self.term().is_err() {
                return false;
            }
            some = true;
            let before = self.at;
            self.space();
            if !(self.take("(") && self.words_inside_flat()) {
                self.at = before;
            }
        }
    }

    /// Words in parentheses, without parentheses of their own.
    fn words_inside_flat(&mut self) -> bool {
        let mut some = false;
        loop {
            self.space();
            if self.take(")") {
                return some;
            }
            if self.run(|c| c.is_ascii_alphanumeric() || c == '-') == 0 {
                return false;
            }
            some = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn constraints() {
        for text in [
            "404684003",
            "404684003 |Clinical finding|",
            "<< 404684003 |Clinical finding (finding)|",
            "*",
            "<! 404684003",
            "!!> (<< 404684003)",
            "^ 700043003 |Example problem list concepts reference set|",
            "^ [targetComponentId, mapTarget] 447562003",
            "< 19829001 AND < 301867009",
            "< 19829001, < 301867009",
            "(< 19829001 OR < 301867009) MINUS ^ 700043003",
            "< 404684003 : 363698007 = << 39057004, 116676008 = << 415582006",
            "< 404684003 : {363698007 = << 39057004, 116676008 = *} OR {[0..1] 246075003 != 387517004}",
            "< 373873005: [1..3] 127489000 = < 105590001, [0..0] R 246075003 = *",
            "< 27658006 : 1142135004 >= #500, 732945000 = 258684004",
            "< 373873005: 774160008 = \"Novo\\\"lin\"",
            "< 373873005: 774160008 = (\"a\" wild:\"b*\")",
            "< 19829001 . < 47429007 . 363698007",
            "< 64572001 {{ term = \"heart att\", language = en, type = syn }}",
            "< 64572001 {{ D term = (\"heart\" \"cor\"), dialect = en-gb (prefer) }} {{ C active = true, definitionStatus = defined }}",
            "^ 447562003 {{ M mapPriority = #1, mapTarget = wild:\"J*\", effectiveTime >= \"20210731\" }}",
            "<< 195967001 {{ + HISTORY-MOD }}",
            "195967001 {{+HISTORY (^ 900000000000527005)}}",
            "< 64572001 {{ moduleId = (900000000000207008 731000124108) }}",
            "descendantOrSelfOf 404684003 minus memberOf 700043003",
            "/* all of them */ << 404684003",
            "LOINC#54486-6",
            "(< 404684003 : 363698007 = << 39057004) OR < 71388002",
            "< 404684003 : (363698007 = << 39057004 AND 116676008 = << 415582006) OR 42752001 = *",
            "< 404684003: ( << 363698007 OR 116676008 ) = *",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn no_constraints() {
        for (text, place) in [
            ("", 1),
            ("234234 << 234234", 8),
            ("12345", 1),
            ("0404684003", 1),
            ("<", 2),
            ("<< heart", 4),
            ("404684003 |Clinical finding", 28),
            ("(404684003", 11),
            ("404684003 AND", 14),
            ("404684003 AND 404684003 OR 404684003", 25),
            ("404684003 : 363698007", 22),
            ("404684003 : [1.2] 363698007 = *", 15),
            ("404684003 {{ term }}", 19),
            ("404684003 {{ term = \"a\" }", 25),
            ("404684003)", 10),
        ] {
            assert_eq!(check(text).map_err(|error| error.place), Err(place), "{text}");
        }
    }

    #[test]
    fn what_nests_too_deep_is_not_judged() {
        assert_eq!(check(&"(".repeat(60_000)), Ok(()));
        let (open, close) = ("(".repeat(44), ")".repeat(44));
        let nested = format!("404684003:{open}363698007=*{close}");
        assert_eq!(check(&nested), Ok(()), "read twice at each parenthesis, within the bound");
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,60}|[0-9<>!^*(){}|:,.=\"#RA-D ]{0,80}") {
            let _ = check(&text);
        }
    }
}
