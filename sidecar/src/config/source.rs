//! The TOML text as JSON, with the place of every setting remembered.

use std::collections::HashMap;
use std::ops::Range;

use fhir_models::document::Position;
use serde_json::{Map, Value};
use toml_edit::{Document, Item, Table, Value as TomlValue};

use super::Fault;

/// A parsed configuration file.
pub(super) struct Source<'t> {
    text: &'t str,
    /// The settings as JSON, for the schema.
    pub value: Value,
    /// JSON pointer → the setting's place in the text.
    spans: HashMap<String, Range<usize>>,
}

impl<'t> Source<'t> {
    pub fn parse(text: &'t str) -> Result<Source<'t>, Fault> {
        let document = Document::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let cause = format!("This is not TOML: {}.", error.message().replace('\n', ", "));
            fault_at(text, span, String::new(), cause, "Correct the syntax at this line.")
        })?;
        let mut source = Source { text, value: Value::Null, spans: HashMap::new() };
        source.value = source.table(document.as_table(), "")?;
        Ok(source)
    }

    /// A fault at the setting with this JSON pointer, or at the nearest setting that holds it.
    pub fn fault(&self, pointer: &str, cause: impl Into<String>, cure: impl Into<String>) -> Fault {
        let mut nearest = pointer;
        let span = loop {
            match self.spans.get(nearest) {
                Some(span) => break span.clone(),
                None => match nearest.rfind('/') {
                    Some(at) => nearest = &nearest[..at],
                    None => break 0..0,
                },
            }
        };
        fault_at(self.text, span, setting_name(pointer), cause, cure)
    }

    fn table(&mut self, table: &Table, pointer: &str) -> Result<Value, Fault> {
        let mut map = Map::new();
        for (key, item) in table.iter() {
            let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let place = table.key(key).and_then(|key| key.span()).or_else(|| item.span());
            if let Some(place) = place {
                self.spans.insert(below.clone(), place);
            }
            let value = self.item(item, &below)?;
            map.insert(key.to_owned(), value);
        }
        Ok(Value::Object(map))
    }

    fn item(&mut self, item: &Item, pointer: &str) -> Result<Value, Fault> {
        match item {
            Item::None => Ok(Value::Null),
            Item::Value(value) => self.toml_value(value, pointer),
            Item::Table(table) => self.table(table, pointer),
            Item::ArrayOfTables(tables) => {
                let mut items = Vec::new();
                for (at, table) in tables.iter().enumerate() {
                    let below = format!("{pointer}/{at}");
                    if let Some(span) = table.span() {
                        self.spans.insert(below.clone(), span);
                    }
                    items.push(self.table(table, &below)?);
                }
                Ok(Value::Array(items))
            }
        }
    }

    fn toml_value(&mut self, value: &TomlValue, pointer: &str) -> Result<Value, Fault> {
        Ok(match value {
            TomlValue::String(text) => Value::from(text.value().as_str()),
            TomlValue::Integer(number) => Value::from(*number.value()),
            TomlValue::Float(number) => Value::from(*number.value()),
            TomlValue::Boolean(boolean) => Value::from(*boolean.value()),
            TomlValue::Datetime(_) => {
                let cure = "Write it as text, in quotes.";
                return Err(self.fault(pointer, "No setting takes a date.", cure));
            }
            TomlValue::Array(array) => {
                let mut items = Vec::new();
                for (at, item) in array.iter().enumerate() {
                    let below = format!("{pointer}/{at}");
                    if let Some(span) = item.span() {
                        self.spans.insert(below.clone(), span);
                    }
                    items.push(self.toml_value(item, &below)?);
                }
                Value::Array(items)
            }
            TomlValue::InlineTable(inline) => {
                let mut map = Map::new();
                for (key, item) in inline.iter() {
                    let below = format!("{pointer}/{key}");
                    if let Some(span) = item.span() {
                        self.spans.insert(below.clone(), span);
                    }
                    map.insert(key.to_owned(), self.toml_value(item, &below)?);
                }
                Value::Object(map)
            }
        })
    }
}

/// `/identity/alias/0/local` as people write it: `identity.alias[0].local`.
fn setting_name(pointer: &str) -> String {
    let mut name = String::new();
    for step in pointer.split('/').skip(1) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            name.push_str(&format!("[{step}]"));
        } else {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    name
}

fn fault_at(
    text: &str,
    span: Range<usize>,
    setting: String,
    cause: impl Into<String>,
    cure: impl Into<String>,
) -> Fault {
    let line = Position::of(text.as_bytes(), span.start).line;
    Fault { span, line, setting, cause: cause.into(), cure: cure.into(), elsewhere: None }
}
