//! From a `StructureMap` resource, R4 or R5, to the model.

use fhir_models::document::Value;

use super::super::error::MapFault;
use super::model::{
    Constant, Dependent, Expression, Group, GroupParameter, Import, InputMode, Literal, ModelMode, Parameter,
    ParameterValue, Rule, RuleSource, RuleTarget, SourceListMode, StructureMap, StructureUse, TargetListMode,
    Transform, TransformKind, TypeMode,
};
use super::{DEEPEST, Located, MOST_RULES};

/// The group that authors of resources name where the types decide.
const DEFAULT_GROUP: &str = "DefaultMappingGroup";

/// Reads a resource.
pub(super) fn read(resource: Value<'_>) -> Result<StructureMap, Located> {
    if resource.resource_type().as_deref() != Some("StructureMap") {
        let found =
            resource.resource_type().map_or_else(|| "something else".to_owned(), |it| it.into_owned());
        return Err((MapFault::NotAResource(format!("it is {found}")), 0));
    }
    let mut reader = Reader { rules: 0 };
    let mut map = StructureMap {
        url: text(resource, "url").unwrap_or_default(),
        name: text(resource, "name").unwrap_or_default(),
        ..StructureMap::default()
    };
    for key in ["title", "status", "version", "publisher", "description", "copyright"] {
        map.metadata.extend(text(resource, key).map(|it| (key.to_owned(), Some(Literal::String(it)))));
    }
    for item in list(resource, "structure") {
        let mode = match text(item, "mode").as_deref() {
            Some("source") => ModelMode::Source,
            Some("queried") => ModelMode::Queried,
            Some("target") => ModelMode::Target,
            Some("produced") => ModelMode::Produced,
            _ => return Err(bad(item, "structure.mode", "it is source, queried, target or produced")),
        };
        map.structures.push(StructureUse {
            url: required(item, "url", "structure.url")?,
            alias: text(item, "alias"),
            mode,
            documentation: text(item, "documentation"),
            at: at(item),
        });
    }
    for item in list(resource, "import") {
        map.imports.push(Import { url: string(item).unwrap_or_default(), at: at(item) });
    }
    for item in list(resource, "const") {
        let value = required(item, "value", "const.value")?;
        let value = Expression { text: value, at: at(item) };
        map.constants.push(Constant { name: required(item, "name", "const.name")?, value, at: at(item) });
    }
    for item in list(resource, "contained") {
        if item.resource_type().as_deref() == Some("ConceptMap") {
            map.contained.push(item.raw().to_owned());
        }
    }
    for item in list(resource, "group") {
        map.groups.push(reader.group(item)?);
    }
    if map.groups.is_empty() {
        return Err(bad(resource, "group", "a map has at least one"));
    }
    Ok(map)
}

struct Reader {
    rules: usize,
}

impl Reader {
    fn group(&mut self, item: Value<'_>) -> Result<Group, Located> {
        let type_mode = match text(item, "typeMode").as_deref() {
            None | Some("none") => TypeMode::None,
            Some("types") => TypeMode::Types,
            Some("type-and-types") => TypeMode::TypeAndTypes,
            Some(_) => return Err(bad(item, "group.typeMode", "it is types or type-and-types")),
        };
        let mut parameters = Vec::new();
        for input in list(item, "input") {
            let mode = match text(input, "mode").as_deref() {
                Some("source") => InputMode::Source,
                Some("target") => InputMode::Target,
                _ => return Err(bad(input, "input.mode", "it is source or target")),
            };
            let name = required(input, "name", "input.name")?;
            parameters.push(GroupParameter { mode, name, type_name: text(input, "type"), at: at(input) });
        }
        let rules = self.rules(item, 0)?;
        Ok(Group {
            name: required(item, "name", "group.name")?,
            extends: text(item, "extends"),
            type_mode,
            parameters,
            rules,
            documentation: text(item, "documentation"),
            at: at(item),
        })
    }

    fn rules(&mut self, parent: Value<'_>, depth: usize) -> Result<Vec<Rule>, Located> {
        if depth > DEEPEST {
            return Err((MapFault::TooDeep(DEEPEST), at(parent)));
        }
        let mut rules = Vec::new();
        for item in list(parent, "rule") {
            self.rules += 1;
            if self.rules > MOST_RULES {
                return Err((MapFault::TooMany(MOST_RULES, "rules"), at(item)));
            }
            rules.push(self.rule(item, depth)?);
        }
        Ok(rules)
    }

    fn rule(&mut self, item: Value<'_>, depth: usize) -> Result<Rule, Located> {
        let mut rule = Rule {
            name: text(item, "name"),
            documentation: text(item, "documentation"),
            at: at(item),
            ..Rule::default()
        };
        for own in list(item, "source") {
            rule.sources.push(source(own)?);
        }
        if rule.sources.is_empty() {
            return Err(bad(item, "rule.source", "a rule has at least one"));
        }
        for own in list(item, "target") {
            rule.targets.push(target(own)?);
        }
        rule.rules = self.rules(item, depth + 1)?;
        for own in list(item, "dependent") {
            let mut parameters = Vec::new();
            for variable in list(own, "variable") {
                let value = ParameterValue::Variable(string(variable).unwrap_or_default());
                parameters.push(Parameter { value, at: at(variable) });
            }
            for own in list(own, "parameter") {
                parameters.push(parameter(own)?);
            }
            let name = required(own, "name", "dependent.name")?;
            rule.dependents.push(Dependent { name, parameters, at: at(own) });
        }
        settle_identity(&mut rule);
        Ok(rule)
    }
}

/// Authoring tools write `a.x -> b.y` out, with a variable on each side, an empty `create` and the default
/// group: that is an identity rule again.
fn settle_identity(rule: &mut Rule) {
    let default_only = rule.dependents.iter().all(|it| it.name.starts_with(DEFAULT_GROUP));
    let ([_], [target], true, true) =
        (rule.sources.as_slice(), rule.targets.as_slice(), rule.rules.is_empty(), default_only)
    else {
        return;
    };
    if target.transform.is_none() && target.element.is_some() {
        rule.dependents.clear();
    }
}

fn source(item: Value<'_>) -> Result<RuleSource, Located> {
    let whole = |key: &'static str| -> Result<Option<u32>, Located> {
        let Some(value) = item.get_key(key) else { return Ok(None) };
        let digits = value.as_number().map(str::to_owned).or_else(|| string(value)).unwrap_or_default();
        digits.parse().map(Some).map_err(|_| bad(item, "source.min", "it is a whole number"))
    };
    let list_mode = match text(item, "listMode") {
        None => None,
        Some(mode) => Some(SourceListMode::of(&mode).ok_or_else(|| {
            bad(item, "source.listMode", "it is first, not_first, last, not_last or only_one")
        })?),
    };
    let expression = |key: &str| {
        let value = item.get_key(key)?;
        Some(Expression { text: string(value)?, at: at(value) })
    };
    // R5 has one default, an expression; R4 has a value of any type.
    let typed = || {
        let value = item.children().find(|it| it.key().is_some_and(|key| key.starts_with("defaultValue")))?;
        let text = match string(value) {
            Some(text) => super::lexer::quoted(&text),
            None => value.raw().to_owned(),
        };
        Some(Expression { text, at: at(value) })
    };
    Ok(RuleSource {
        context: required(item, "context", "source.context")?,
        element: text(item, "element"),
        type_name: text(item, "type"),
        min: whole("min")?,
        max: text(item, "max"),
        default: expression("defaultValue").or_else(typed),
        list_mode,
        variable: text(item, "variable"),
        condition: expression("condition"),
        check: expression("check"),
        log: expression("logMessage"),
        at: at(item),
    })
}

fn target(item: Value<'_>) -> Result<RuleTarget, Located> {
    let mut parameters = Vec::new();
    for own in list(item, "parameter") {
        parameters.push(parameter(own)?);
    }
    let mut transform = None;
    if let Some(value) = item.get_key("transform") {
        let name = string(value).unwrap_or_default();
        let kind = TransformKind::of(&name).ok_or((MapFault::UnknownTransform(name), at(value)))?;
        // An empty `create` says what is the rule without it.
        if kind != TransformKind::Create || !parameters.is_empty() {
            transform = Some(Transform { kind, parameters, at: at(value) });
        }
    }
    let mut list_modes = Vec::new();
    for mode in list(item, "listMode") {
        let known = string(mode).and_then(|it| TargetListMode::of(&it));
        list_modes
            .push(known.ok_or_else(|| bad(mode, "target.listMode", "it is first, share, last or single"))?);
    }
    Ok(RuleTarget {
        context: text(item, "context"),
        element: text(item, "element"),
        transform,
        variable: text(item, "variable"),
        list_modes,
        list_rule: text(item, "listRuleId"),
        at: at(item),
    })
}

fn parameter(item: Value<'_>) -> Result<Parameter, Located> {
    let wrong = || {
        bad(
            item,
            "parameter.value[x]",
            "it is valueId, valueString, valueBoolean, valueInteger, \
         valueDecimal, valueDate, valueTime or valueDateTime",
        )
    };
    let member =
        item.children().find(|it| it.key().is_some_and(|key| key.starts_with("value"))).ok_or_else(wrong)?;
    let words = || string(member).or_else(|| member.as_number().map(str::to_owned));
    let literal = match member.key().unwrap_or_default().as_ref() {
        "valueId" => {
            let value = ParameterValue::Variable(string(member).ok_or_else(wrong)?);
            return Ok(Parameter { value, at: at(member) });
        }
        "valueString" => Literal::String(string(member).ok_or_else(wrong)?),
        "valueInteger" => Literal::Integer(words().ok_or_else(wrong)?),
        "valueDecimal" => Literal::Decimal(words().ok_or_else(wrong)?),
        "valueDate" => Literal::Date(words().ok_or_else(wrong)?),
        "valueDateTime" => Literal::DateTime(words().ok_or_else(wrong)?),
        "valueTime" => Literal::Time(words().ok_or_else(wrong)?),
        "valueBoolean" => {
            let text = string(member);
            Literal::Boolean(member.as_bool().or(text.map(|it| it == "true")).ok_or_else(wrong)?)
        }
        _ => return Err(wrong()),
    };
    Ok(Parameter { value: ParameterValue::Literal(literal), at: at(member) })
}

fn list<'a>(parent: Value<'a>, key: &str) -> impl Iterator<Item = Value<'a>> {
    parent.get_key(key).into_iter().flat_map(Value::items)
}

fn string(value: Value<'_>) -> Option<String> {
    value.as_str().map(|it| it.into_owned())
}

fn text(parent: Value<'_>, key: &str) -> Option<String> {
    string(parent.get_key(key)?)
}

fn required(parent: Value<'_>, key: &str, what: &'static str) -> Result<String, Located> {
    text(parent, key).ok_or_else(|| bad(parent, what, "it must have one"))
}

fn bad(place: Value<'_>, what: &'static str, why: &'static str) -> Located {
    (MapFault::BadResource(what, why), at(place))
}

fn at(value: Value<'_>) -> usize {
    value.document().source_offset(value.member_span().start)
}
