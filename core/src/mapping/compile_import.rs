//! What the files of a mapper know of each other: whose groups each may use, and the constants that it names.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_models::document::{Kind, Limits as DocumentLimits, OwnedDocument};

use super::compile::Compiler;
use super::error::{MapError, MapFault};
use super::program::LiteralCode;
use crate::fhirpath::{Context, Expression, Model, Options, Scalar};

impl Compiler<'_> {
    pub(super) fn imports(&mut self) {
        for (file, own) in self.files.iter().enumerate() {
            let mut found = vec![file];
            let mut next = 0;
            while let Some(at) = found.get(next).copied() {
                next += 1;
                let imports = self.files.get(at).map(|it| it.map.imports.as_slice()).unwrap_or_default();
                for import in imports {
                    let matching = (0..self.files.len())
                        .filter(|it| self.files.get(*it).is_some_and(|it| matches(&import.url, &it.map.url)));
                    for other in matching {
                        if !found.contains(&other) {
                            found.push(other);
                        }
                    }
                }
            }
            for import in &own.map.imports {
                if !self.files.iter().any(|it| matches(&import.url, &it.map.url)) {
                    self.errors.push(MapError::at(
                        &own.name,
                        &own.text,
                        (MapFault::NoImport(import.url.clone()), import.at),
                    ));
                }
            }
            self.visible.push(found);
        }
    }

    pub(super) fn read_constants(&mut self) {
        for file in 0..self.files.len() {
            let mut known: HashMap<String, LiteralCode> = HashMap::new();
            let constants = self.files.get(file).map(|it| it.map.constants.clone()).unwrap_or_default();
            for constant in constants {
                let value = constant_value(&constant.value.text, self.model);
                match value {
                    Ok((type_name, kind, text)) => {
                        let code = LiteralCode { ty: self.types.find(type_name), kind, text: text.into() };
                        if known.insert(constant.name.clone(), code).is_some() {
                            self.fail(file, constant.at, MapFault::Duplicate("constant", constant.name));
                        }
                    }
                    Err(why) => self.fail(file, constant.value.at, MapFault::Expression(why)),
                }
            }
            self.constants.push(known);
        }
    }

    pub(super) fn constant(&self, file: usize, name: &str) -> Option<&LiteralCode> {
        let visible = self.visible.get(file)?;
        visible.iter().find_map(|at| self.constants.get(*at)?.get(name))
    }
}

/// A constant's value: type, form and text.
fn constant_value(text: &str, model: &Arc<Model>) -> Result<(&'static str, Kind, String), String> {
    let expression =
        Expression::compile(text, model, &Options::strict()).map_err(|error| error.fault.to_string())?;
    let nothing =
        OwnedDocument::parse_json("{}", &DocumentLimits::default()).map_err(|error| error.to_string())?;
    let found = expression
        .evaluate(nothing.document(), &Context::default())
        .map_err(|error| error.fault().to_string())?;
    let (Some(item), 1) = (found.first(), found.len()) else {
        return Err("a constant is exactly one value".to_owned());
    };
    let kind = match item.scalar() {
        Some(Scalar::Boolean(_)) => Kind::Boolean,
        Some(Scalar::Integer(_) | Scalar::Long(_) | Scalar::Decimal(_)) => Kind::Number,
        Some(Scalar::Quantity(_)) | None => return Err("a constant is a simple value".to_owned()),
        Some(_) => Kind::String,
    };
    Ok((item.type_name(), kind, item.text().unwrap_or_default().into_owned()))
}

/// True where a URL is the one of an import; `*` stands for any text.
pub(super) fn matches(pattern: &str, url: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == url };
    let Some(mut url) = url.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return url.ends_with(part);
        }
        let Some(at) = url.find(part) else { return false };
        url = url.get(at + part.len()..).unwrap_or_default();
    }
    true
}
