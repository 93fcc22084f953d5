//! From text to the model: rules.

use super::super::error::MapFault;
use super::lexer::{TokenKind, unquoted};
use super::model::{
    Dependent, Literal, Parameter, ParameterValue, Rule, RuleSource, RuleTarget, SourceListMode,
    TargetListMode, Transform, TransformKind,
};
use super::parser::Parser;
use super::{DEEPEST, Located};

impl Parser<'_> {
    /// Rules in braces.
    pub(super) fn rules(&mut self, depth: usize) -> Result<Vec<Rule>, Located> {
        if depth > DEEPEST {
            return Err((MapFault::TooDeep(DEEPEST), self.token().at));
        }
        self.expect("{")?;
        let mut rules = Vec::new();
        while !self.token().is_sign("}") {
            self.rule(depth, &mut rules)?;
        }
        self.at += 1;
        Ok(rules)
    }

    fn rule(&mut self, depth: usize, rules: &mut Vec<Rule>) -> Result<(), Located> {
        self.count_rule()?;
        let mut rule = Rule { documentation: self.documentation(), at: self.token().at, ..Rule::default() };
        loop {
            rule.sources.push(self.source()?);
            if !self.take_sign(",") {
                break;
            }
        }
        if self.take_sign("->") {
            if self.is_batch(&rule) {
                return self.batch(rule, rules);
            }
            loop {
                rule.targets.push(self.target()?);
                if !self.take_sign(",") {
                    break;
                }
            }
        }
        if self.take_word("then") {
            if !self.token().is_sign("{") {
                loop {
                    rule.dependents.push(self.dependent()?);
                    if !self.take_sign(",") {
                        break;
                    }
                }
            }
            if self.token().is_sign("{") {
                rule.rules = self.rules(depth + 1)?;
            }
        }
        rule.name = self.rule_name()?;
        self.end_of_rule()?;
        rules.push(rule);
        Ok(())
    }

    fn rule_name(&mut self) -> Result<Option<String>, Located> {
        let token = self.token();
        match token.kind {
            TokenKind::Double | TokenKind::Single => {
                self.at += 1;
                Ok(Some(unquoted(&token)))
            }
            TokenKind::Word | TokenKind::QuotedWord => self.name("a rule's name").map(Some),
            _ => Ok(None),
        }
    }

    fn end_of_rule(&mut self) -> Result<(), Located> {
        if !self.take_sign(";") {
            return Err(self.unexpected("a semicolon, then, as, or the rule's name"));
        }
        Ok(())
    }

    /// `src -> tgt: a, b`
    fn is_batch(&self, rule: &Rule) -> bool {
        let plain = rule.sources.len() == 1
            && rule.sources.first().is_some_and(|it| it.element.is_none() && it.type_name.is_none());
        plain
            && matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedWord)
            && self.peek(1).is_sign(":")
    }

    fn batch(&mut self, rule: Rule, rules: &mut Vec<Rule>) -> Result<(), Located> {
        let target = self.name("a target")?;
        self.expect(":")?;
        let mut elements = Vec::new();
        loop {
            self.count_rule()?;
            let at = self.token().at;
            elements.push((self.name("an element's name")?, at));
            if !self.take_sign(",") {
                break;
            }
        }
        let name = self.rule_name()?;
        self.end_of_rule()?;
        let mut documentation = rule.documentation;
        for (element, at) in elements {
            let source = rule.sources.first().cloned().unwrap_or_default();
            let name = name.as_ref().map(|name| format!("{name}-{element}"));
            rules.push(Rule {
                name,
                sources: vec![RuleSource { element: Some(element.clone()), at, ..source }],
                targets: vec![RuleTarget {
                    context: Some(target.clone()),
                    element: Some(element),
                    at,
                    ..RuleTarget::default()
                }],
                documentation: documentation.take(),
                at,
                ..Rule::default()
            });
        }
        Ok(())
    }

    /// `context` or `context.element`
    fn place(&mut self) -> Result<(String, Option<String>), Located> {
        let context = self.name("a variable")?;
        let mut element: Option<String> = None;
        while self.take_sign(".") {
            let mut step = self.name("an element's name")?;
            if self.token().is_sign("[") && self.peek(1).is_word("x") && self.peek(2).is_sign("]") {
                self.at += 3;
                step.push_str("[x]");
            }
            element = Some(match element {
                Some(path) => format!("{path}.{step}"),
                None => step,
            });
        }
        Ok((context, element))
    }

    fn source(&mut self) -> Result<RuleSource, Located> {
        let at = self.token().at;
        let (context, element) = self.place()?;
        let mut source = RuleSource { context, element, at, ..RuleSource::default() };
        loop {
            let token = self.token();
            match (token.kind, token.text) {
                (TokenKind::Sign, ":") => {
                    self.at += 1;
                    source.type_name = Some(self.type_name()?);
                }
                (TokenKind::Integer, digits) => {
                    self.at += 1;
                    let range = (
                        MapFault::NeverCount(digits.to_owned(), "the number is too large".to_owned()),
                        token.at,
                    );
                    source.min = Some(digits.parse().map_err(|_| range)?);
                    self.expect("..")?;
                    let bound = self.token();
                    if bound.kind != TokenKind::Integer && !bound.is_sign("*") {
                        return Err(self.unexpected("a number or *"));
                    }
                    self.at += 1;
                    source.max = Some(bound.text.to_owned());
                }
                (TokenKind::Word, "default") => {
                    self.at += 1;
                    source.default = Some(self.clause()?);
                }
                (TokenKind::Word, "first" | "not_first" | "last" | "not_last" | "only_one")
                    if source.list_mode.is_none() =>
                {
                    self.at += 1;
                    source.list_mode = SourceListMode::of(token.text);
                }
                (TokenKind::Word, "as") => {
                    self.at += 1;
                    source.variable = Some(self.name("a variable's name")?);
                }
                (TokenKind::Word, "where") => {
                    self.at += 1;
                    source.condition = Some(self.clause()?);
                }
                (TokenKind::Word, "check") => {
                    self.at += 1;
                    source.check = Some(self.clause()?);
                }
                (TokenKind::Word, "log") => {
                    self.at += 1;
                    source.log = Some(self.clause()?);
                }
                _ => return Ok(source),
            }
        }
    }

    fn target(&mut self) -> Result<RuleTarget, Located> {
        let at = self.token().at;
        let mut target = RuleTarget { at, ..RuleTarget::default() };
        let names_transform = self.peek(1).is_sign("(") && self.token().kind == TokenKind::Word;
        if self.token().is_sign("(") {
            target.transform = Some(self.evaluated()?);
        } else if names_transform {
            target.transform = Some(self.transform()?);
        } else {
            let (context, element) = self.place()?;
            (target.context, target.element) = (Some(context), element);
            if self.take_sign("=") {
                target.transform = Some(self.transform()?);
            }
        }
        loop {
            let token = self.token();
            match (token.kind, token.text) {
                (TokenKind::Word, "as") => {
                    self.at += 1;
                    target.variable = Some(self.name("a variable's name")?);
                }
                (TokenKind::Word, "first" | "share" | "last" | "single" | "collate") => {
                    self.at += 1;
                    target.list_modes.extend(TargetListMode::of(token.text));
                    if token.text == "share" {
                        let next = self.token();
                        let named = matches!(next.kind, TokenKind::Word | TokenKind::QuotedWord)
                            && !matches!(next.text, "then" | "first" | "last" | "single" | "as");
                        if named {
                            target.list_rule = Some(self.name("the name of the shared item")?);
                        }
                    }
                }
                _ => return Ok(target),
            }
        }
    }

    /// `(expression)`
    fn evaluated(&mut self) -> Result<Transform, Located> {
        let at = self.token().at;
        let expression = self.parenthesised()?;
        let value = ParameterValue::Literal(Literal::String(expression.text));
        let parameters = vec![Parameter { value, at: expression.at }];
        Ok(Transform { kind: TransformKind::Evaluate, parameters, at })
    }

    fn transform(&mut self) -> Result<Transform, Located> {
        let token = self.token();
        if token.is_sign("(") {
            return self.evaluated();
        }
        let copy = |value: ParameterValue| Transform {
            kind: TransformKind::Copy,
            parameters: vec![Parameter { value, at: token.at }],
            at: token.at,
        };
        if let Some(literal) = self.literal()? {
            return Ok(copy(ParameterValue::Literal(literal)));
        }
        let name = self.name("a value, a variable or a transform")?;
        if self.token().is_sign(".") {
            // A path below a variable is an expression.
            self.at -= 1;
            let expression = self.expression()?;
            let value = ParameterValue::Literal(Literal::String(expression.text));
            let parameters = vec![Parameter { value, at: expression.at }];
            return Ok(Transform { kind: TransformKind::Evaluate, parameters, at: token.at });
        }
        if !self.token().is_sign("(") {
            return Ok(copy(ParameterValue::Variable(name)));
        }
        let kind = TransformKind::of(&name).ok_or((MapFault::UnknownTransform(name), token.at))?;
        let parameters =
            if kind == TransformKind::Evaluate { self.evaluation()? } else { self.parameters()? };
        Ok(Transform { kind, parameters, at: token.at })
    }

    /// `(variable, expression)`; the expression may stand in quotes.
    fn evaluation(&mut self) -> Result<Vec<Parameter>, Located> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        if matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedWord) && self.peek(1).is_sign(",") {
            let at = self.token().at;
            let name = self.name("a variable")?;
            parameters.push(Parameter { value: ParameterValue::Variable(name), at });
            self.at += 1;
        }
        let token = self.token();
        let is_quoted =
            matches!(token.kind, TokenKind::Single | TokenKind::Double) && self.peek(1).is_sign(")");
        let (text, at) = if is_quoted {
            self.at += 1;
            (unquoted(&token), token.at + 1)
        } else {
            let expression = self.expression()?;
            (expression.text, expression.at)
        };
        parameters.push(Parameter { value: ParameterValue::Literal(Literal::String(text)), at });
        self.expect(")")?;
        Ok(parameters)
    }

    fn parameters(&mut self) -> Result<Vec<Parameter>, Located> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        if !self.token().is_sign(")") {
            loop {
                let at = self.token().at;
                let value = match self.literal()? {
                    Some(literal) => ParameterValue::Literal(literal),
                    None => ParameterValue::Variable(self.name("a variable or a value")?),
                };
                parameters.push(Parameter { value, at });
                if !self.take_sign(",") {
                    break;
                }
            }
        }
        self.expect(")")?;
        Ok(parameters)
    }

    fn dependent(&mut self) -> Result<Dependent, Located> {
        let at = self.token().at;
        let name = self.name("the name of a group")?;
        Ok(Dependent { name, parameters: self.parameters()?, at })
    }
}

impl SourceListMode {
    /// The mode with this name.
    pub(super) fn of(name: &str) -> Option<SourceListMode> {
        Some(match name {
            "first" => SourceListMode::First,
            "not_first" => SourceListMode::NotFirst,
            "last" => SourceListMode::Last,
            "not_last" => SourceListMode::NotLast,
            "only_one" => SourceListMode::OnlyOne,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SourceListMode::First => "first",
            SourceListMode::NotFirst => "not_first",
            SourceListMode::Last => "last",
            SourceListMode::NotLast => "not_last",
            SourceListMode::OnlyOne => "only_one",
        }
    }
}

impl TargetListMode {
    /// The mode with this name; R4 writes `collate` for what R5 calls `single`.
    pub(super) fn of(name: &str) -> Option<TargetListMode> {
        Some(match name {
            "first" => TargetListMode::First,
            "share" => TargetListMode::Share,
            "last" => TargetListMode::Last,
            "single" | "collate" => TargetListMode::Single,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            TargetListMode::First => "first",
            TargetListMode::Share => "share",
            TargetListMode::Last => "last",
            TargetListMode::Single => "single",
        }
    }
}
