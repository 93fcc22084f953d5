//! From text to the model: everything around the rules.

use super::super::error::MapFault;
use super::lexer::{Comment, Token, TokenKind, Tokens, tokens, unquoted};
use super::model::{
    CodePair, CodeSide, Constant, EmbeddedConceptMap, Group, GroupParameter, Import, InputMode, Literal,
    ModelMode, StructureMap, StructureUse, TypeMode,
};
use super::{Located, MOST_RULES};

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<StructureMap, Located> {
    let Tokens { tokens, comments } = tokens(text)?;
    let mut parser = Parser { text, tokens, comments, told: 0, at: 0, rules: 0 };
    parser.map()
}

pub(super) struct Parser<'t> {
    pub text: &'t str,
    pub tokens: Vec<Token<'t>>,
    comments: Vec<Comment<'t>>,
    /// Comments that became documentation, or stand where none is kept.
    told: usize,
    pub at: usize,
    rules: usize,
}

impl<'t> Parser<'t> {
    pub fn token(&self) -> Token<'t> {
        self.peek(0)
    }

    pub fn peek(&self, ahead: usize) -> Token<'t> {
        let end = Token { kind: TokenKind::End, text: "", at: self.text.len(), first_of_line: true };
        self.tokens.get(self.at + ahead).copied().unwrap_or(end)
    }

    pub fn advance(&mut self) -> Token<'t> {
        let token = self.token();
        self.at += 1;
        token
    }

    pub fn unexpected(&self, expected: &'static str) -> Located {
        let token = self.token();
        let found = match token.kind {
            TokenKind::End => "the end".to_owned(),
            _ => token.text.chars().take(40).collect(),
        };
        (MapFault::Unexpected { expected, found }, token.at)
    }

    pub fn expect(&mut self, sign: &'static str) -> Result<(), Located> {
        if !self.token().is_sign(sign) {
            return Err(self.unexpected(sign));
        }
        self.at += 1;
        Ok(())
    }

    pub fn take_sign(&mut self, sign: &str) -> bool {
        let is_it = self.token().is_sign(sign);
        self.at += usize::from(is_it);
        is_it
    }

    pub fn take_word(&mut self, word: &str) -> bool {
        let is_it = self.token().is_word(word);
        self.at += usize::from(is_it);
        is_it
    }

    /// One more rule, within the bound.
    pub fn count_rule(&mut self) -> Result<(), Located> {
        self.rules += 1;
        if self.rules > MOST_RULES {
            return Err((MapFault::TooMany(MOST_RULES, "rules"), self.token().at));
        }
        Ok(())
    }

    /// Comments before this token, as documentation. Those further up, where none is kept, are passed over.
    pub fn documentation(&mut self) -> Option<String> {
        let mut words: Vec<&str> = Vec::new();
        while let Some(comment) = self.comments.get(self.told).filter(|it| it.before <= self.at) {
            if comment.before == self.at {
                words.push(comment.text);
            }
            self.told += 1;
        }
        words.retain(|it| !it.is_empty());
        (!words.is_empty()).then(|| words.join("\n"))
    }

    /// A comment behind the last token, on its line.
    pub fn trailing(&mut self) -> Option<String> {
        let end = self.at.checked_sub(1).and_then(|it| self.tokens.get(it)).map_or(0, Token::end);
        while self.comments.get(self.told).is_some_and(|it| it.at < end) {
            self.told += 1;
        }
        let comment = self.comments.get(self.told).filter(|it| it.before == self.at && it.trails)?;
        let between = self.text.get(end..comment.at).unwrap_or_default();
        let text = comment.text.to_owned();
        if between.contains(['\n', '\r']) {
            return None;
        }
        self.told += 1;
        Some(text)
    }

    /// A name; every word may be one where a name is asked for.
    pub fn name(&mut self, expected: &'static str) -> Result<String, Located> {
        let token = self.token();
        match token.kind {
            TokenKind::Word if !token.text.starts_with('$') => {
                self.at += 1;
                Ok(token.text.to_owned())
            }
            TokenKind::QuotedWord => {
                self.at += 1;
                Ok(unquoted(&token))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// A text in quotes of either kind.
    fn quoted(&mut self, expected: &'static str) -> Result<String, Located> {
        let token = self.token();
        if !matches!(token.kind, TokenKind::Single | TokenKind::Double) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(unquoted(&token))
    }

    fn map(&mut self) -> Result<StructureMap, Located> {
        let mut map = StructureMap::default();
        loop {
            let token = self.token();
            match (token.kind, token.text) {
                (TokenKind::Metadata, _) => self.metadata(&mut map)?,
                (TokenKind::Word, "map") => {
                    self.at += 1;
                    map.url = self.quoted("the map's URL in quotes")?;
                    self.expect("=")?;
                    let quoted = matches!(self.token().kind, TokenKind::Single | TokenKind::Double);
                    map.name =
                        if quoted { self.quoted("the map's name")? } else { self.name("the map's name")? };
                }
                (TokenKind::Word, "conceptmap" | "conceptMap") => {
                    let concept_map = self.concept_map()?;
                    map.concept_maps.push(concept_map);
                }
                (TokenKind::Word, "uses") => {
                    let structure = self.structure()?;
                    map.structures.push(structure);
                }
                (TokenKind::Word, "imports") => {
                    self.at += 1;
                    let at = self.token().at;
                    map.imports.push(Import { url: self.quoted("the URL of a map in quotes")?, at });
                    self.take_sign(";");
                }
                (TokenKind::Word, "let") => {
                    self.at += 1;
                    let at = self.token().at;
                    let name = self.name("the constant's name")?;
                    self.expect("=")?;
                    let value = self.expression()?;
                    self.expect(";")?;
                    map.constants.push(Constant { name, value, at });
                }
                (TokenKind::Word, "group") => {
                    let group = self.group()?;
                    map.groups.push(group);
                }
                (TokenKind::End, _) if !map.groups.is_empty() => return Ok(map),
                _ => return Err(self.unexpected("map, uses, imports, conceptmap, let or group")),
            }
        }
    }

    fn metadata(&mut self, map: &mut StructureMap) -> Result<(), Located> {
        self.at += 1;
        let mut key = self.name("the name of the metadata")?;
        while self.token().is_sign(".") || self.token().is_sign("-") {
            key.push_str(self.advance().text);
            key.push_str(&self.name("a name")?);
        }
        self.expect("=")?;
        if self.token().first_of_line {
            map.metadata.push((key, None));
            return Ok(());
        }
        let value = if self.token().kind == TokenKind::Triple {
            let token = self.advance();
            Literal::String(unquoted(&token))
        } else {
            self.literal()?.ok_or_else(|| self.unexpected("a value"))?
        };
        match (key.as_str(), &value) {
            ("url", Literal::String(url)) => map.url.clone_from(url),
            ("name", Literal::String(name)) => map.name.clone_from(name),
            _ => map.metadata.push((key, Some(value))),
        }
        Ok(())
    }

    /// A constant value, where one stands here.
    pub fn literal(&mut self) -> Result<Option<Literal>, Located> {
        let token = self.token();
        let negative = token.is_sign("-");
        let number = if negative { self.peek(1) } else { token };
        let digits = || format!("{}{}", if negative { "-" } else { "" }, number.text.trim_end_matches('L'));
        let literal = match number.kind {
            TokenKind::Integer | TokenKind::Long => Literal::Integer(digits()),
            TokenKind::Decimal => Literal::Decimal(digits()),
            _ if negative => return Ok(None),
            TokenKind::Single | TokenKind::Double => Literal::String(unquoted(&token)),
            TokenKind::Word if matches!(token.text, "true" | "false") => {
                Literal::Boolean(token.text == "true")
            }
            TokenKind::Temporal => {
                let body = token.text.get(1..).unwrap_or_default();
                match (body.strip_prefix('T'), body.contains('T')) {
                    (Some(time), _) => Literal::Time(time.to_owned()),
                    (None, true) => Literal::DateTime(body.to_owned()),
                    (None, false) => Literal::Date(body.to_owned()),
                }
            }
            _ => return Ok(None),
        };
        self.at += 1 + usize::from(negative);
        Ok(Some(literal))
    }

    fn structure(&mut self) -> Result<StructureUse, Located> {
        let before = self.documentation();
        let at = self.advance().at;
        let url = self.quoted("the URL of a structure in quotes")?;
        let alias = if self.take_word("alias") { Some(self.name("the alias")?) } else { None };
        if !self.take_word("as") {
            return Err(self.unexpected("as"));
        }
        let mode = match self.token().text {
            "source" => ModelMode::Source,
            "queried" => ModelMode::Queried,
            "target" => ModelMode::Target,
            "produced" => ModelMode::Produced,
            _ => return Err(self.unexpected("source, queried, target or produced")),
        };
        self.at += 1;
        let documentation = self.trailing().or(before);
        self.take_sign(";");
        Ok(StructureUse { url, alias, mode, documentation, at })
    }

    fn concept_map(&mut self) -> Result<EmbeddedConceptMap, Located> {
        self.at += 1;
        let at = self.token().at;
        let url = self.quoted("the concept map's id in quotes, as in \"#genders\"")?;
        let (prefixes, provided, pairs) = (Vec::new(), Vec::new(), Vec::new());
        let mut map = EmbeddedConceptMap { url, prefixes, provided, pairs, at };
        self.expect("{")?;
        while !self.take_sign("}") {
            if self.token().is_word("prefix") && !self.peek(1).is_sign(":") {
                self.at += 1;
                let name = self.name("a prefix")?;
                self.expect("=")?;
                map.prefixes.push((name, self.quoted("the URL of a code system in quotes")?));
                self.take_sign(";");
                continue;
            }
            if self.token().is_word("unmapped") && self.peek(1).is_word("for") {
                self.at += 2;
                map.provided.push(self.name("a prefix")?);
                self.expect("=")?;
                if !self.take_word("provided") {
                    return Err(self.unexpected("provided"));
                }
                self.take_sign(";");
                continue;
            }
            let pair = self.code_pair(&map.prefixes)?;
            map.pairs.push(pair);
        }
        Ok(map)
    }

    fn code_pair(&mut self, prefixes: &[(String, String)]) -> Result<CodePair, Located> {
        let at = self.token().at;
        let source = self.code_side(prefixes)?;
        let relation = self.token();
        let known = matches!(relation.text, "==" | "=" | "-" | "!=" | "<=" | ">=" | "<-" | ">-" | "~");
        if relation.kind != TokenKind::Sign || !known {
            return Err(self.unexpected("a relation: ==, -, !=, <=, >= or ~"));
        }
        self.at += 1;
        if relation.text == "-" && self.take_sign("-") {
            self.take_sign(";");
            return Ok(CodePair { source, relation: "!=".to_owned(), target: None, at });
        }
        let target = Some(self.code_side(prefixes)?);
        self.take_sign(";");
        let relation = if relation.text == "=" { "==" } else { relation.text };
        Ok(CodePair { source, relation: relation.to_owned(), target, at })
    }

    fn code_side(&mut self, prefixes: &[(String, String)]) -> Result<CodeSide, Located> {
        let at = self.token().at;
        let prefix = self.name("a prefix and a code, as in s:male")?;
        if !prefixes.iter().any(|(name, _)| *name == prefix) {
            let hint = "declare it with prefix".to_owned();
            return Err((MapFault::Unknown { what: "prefix", name: prefix, hint }, at));
        }
        self.expect(":")?;
        let token = self.token();
        if matches!(token.kind, TokenKind::Single | TokenKind::Double) {
            self.at += 1;
            return Ok(CodeSide { prefix, code: unquoted(&token) });
        }
        // A code may hold hyphens and begin with a digit, as long as no space stands inside.
        let start = token.at;
        let mut end = start;
        while self.token().at == end && self.token().kind != TokenKind::End {
            let part = self.token();
            let fits = matches!(part.kind, TokenKind::Word | TokenKind::Integer | TokenKind::Decimal)
                || part.is_sign("-")
                || part.is_sign(".");
            if !fits {
                break;
            }
            end = part.end();
            self.at += 1;
        }
        let code = self.text.get(start..end).unwrap_or_default().to_owned();
        if code.is_empty() {
            return Err(self.unexpected("a code"));
        }
        Ok(CodeSide { prefix, code })
    }

    fn group(&mut self) -> Result<Group, Located> {
        let documentation = self.documentation();
        self.at += 1;
        let at = self.token().at;
        let name = self.name("the group's name")?;
        let mut type_mode = self.type_mode()?;
        self.expect("(")?;
        let mut parameters = Vec::new();
        loop {
            parameters.push(self.group_parameter()?);
            if !self.take_sign(",") {
                break;
            }
        }
        self.expect(")")?;
        let mut extends = None;
        loop {
            if self.take_word("extends") {
                extends = Some(self.name("a group's name")?);
            } else if self.token().is_sign("<<") {
                type_mode = self.type_mode()?;
            } else {
                break;
            }
        }
        let rules = self.rules(0)?;
        self.take_sign(";");
        Ok(Group { name, extends, type_mode, parameters, rules, documentation, at })
    }

    fn type_mode(&mut self) -> Result<TypeMode, Located> {
        if !self.take_sign("<<") {
            return Ok(TypeMode::None);
        }
        let mode = match self.token().text {
            "types" => TypeMode::Types,
            "type" => {
                self.at += 1;
                if !self.token().is_sign("+") {
                    return Err(self.unexpected("type+"));
                }
                TypeMode::TypeAndTypes
            }
            _ => return Err(self.unexpected("types or type+")),
        };
        self.at += 1;
        self.expect(">>")?;
        Ok(mode)
    }

    fn group_parameter(&mut self) -> Result<GroupParameter, Located> {
        let mode = match self.token().text {
            "source" => InputMode::Source,
            "target" => InputMode::Target,
            _ => return Err(self.unexpected("source or target")),
        };
        self.at += 1;
        let at = self.token().at;
        let name = self.name("the parameter's name")?;
        let type_name = if self.take_sign(":") { Some(self.type_name()?) } else { None };
        Ok(GroupParameter { mode, name, type_name, at })
    }

    /// A type's name, in quotes or plain.
    pub fn type_name(&mut self) -> Result<String, Located> {
        if matches!(self.token().kind, TokenKind::Single | TokenKind::Double) {
            return self.quoted("a type's name");
        }
        let mut name = self.name("a type's name")?;
        while self.take_sign(".") {
            name.push('.');
            name.push_str(&self.name("a name")?);
        }
        Ok(name)
    }
}
