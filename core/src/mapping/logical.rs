//! What the types say about the XML of logical models.

use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::Kind;
use fhir_models::document::xml::{LogicalChild, LogicalRoot, LogicalSchema};
use fhir_models::primitive::Primitive;

use super::structure::root_xml_name;
use super::types::{Element, TypeId, Types, XmlForm};

/// FHIR's own namespace, which holds where a model declares none.
const FHIR: &str = "http://hl7.org/fhir";

/// The XML of logical models, for readers outside of maps. Types are looked up when first needed.
pub(crate) struct LogicalXml(Types);

impl LogicalXml {
    pub fn new(definitions: Arc<Definitions>) -> LogicalXml {
        LogicalXml(Types::new(definitions))
    }

    /// The type with this canonical.
    pub fn type_of(&self, canonical: &str) -> Option<u32> {
        let found = self.0.find(canonical.split('|').next().unwrap_or_default());
        found.is_known().then(|| found.number())
    }
}

impl std::fmt::Debug for LogicalXml {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("LogicalXml")
    }
}

impl LogicalSchema for LogicalXml {
    fn child(&self, ty: u32, local: &str, foreign: bool, attribute: bool) -> Option<LogicalChild> {
        self.0.child(ty, local, foreign, attribute)
    }

    fn text(&self, ty: u32) -> Option<LogicalChild> {
        self.0.text(ty)
    }

    fn named(&self, declared: u32, name: &str) -> Option<u32> {
        let found = self.0.named(declared, name)?;
        self.0.is_a(TypeId::at(found), TypeId::at(declared)).then_some(found)
    }

    fn knows(&self, ty: u32, key: &str) -> bool {
        self.0.get(TypeId::at(ty)).is_some_and(|own| own.by_key(key).is_some())
    }

    fn root(&self, ty: u32) -> Option<LogicalRoot> {
        let own = self.0.get(TypeId::at(ty))?;
        let names = [&own.name, &own.code].map(|it| it.rsplit('/').next().unwrap_or_default().to_owned());
        let mut names = names.to_vec();
        names.extend(root_xml_name(&self.0.definitions, &own.url));
        Some(LogicalRoot { names, namespace: own.namespace.as_deref().unwrap_or(FHIR).to_owned() })
    }
}

impl Types {
    /// An element, as one of its choices where it is one.
    fn logical_child(&self, element: &Element, nth: usize) -> LogicalChild {
        let choice = element.choices.get(nth);
        let only = choice.map(|it| (it, self.choice(it)));
        let own = only.and_then(|(_, id)| self.get(id));
        let primitive = own.as_ref().and_then(|it| it.primitive());
        LogicalChild {
            key: choice.map_or_else(|| element.name.to_string(), |it| it.key.to_string()),
            ty: only.map_or(0, |(_, id)| id.number()),
            primitive: primitive.map(Primitive::json_kind),
            repeats: element.repeats,
            markup: primitive == Some(Primitive::Xhtml),
        }
    }
}

impl LogicalSchema for Types {
    fn child(&self, ty: u32, local: &str, foreign: bool, attribute: bool) -> Option<LogicalChild> {
        let own = self.get(TypeId::at(ty))?;
        let here = |it: &Element| {
            let elsewhere = it.xml_namespace.is_some() && it.xml_namespace != own.namespace;
            elsewhere == foreign && (it.form == XmlForm::Attribute) == attribute
        };
        let named = |it: &&Element| it.xml_name.as_deref().unwrap_or(&it.name) == local && here(it);
        if let Some(found) = own.elements.iter().find(named) {
            return Some(self.logical_child(found, 0));
        }
        // A choice, under the name of one of its types.
        own.elements.iter().filter(|it| it.choices.len() > 1 && here(it)).find_map(|it| {
            let nth = it.choices.iter().position(|choice| &*choice.key == local)?;
            Some(self.logical_child(it, nth))
        })
    }

    fn text(&self, ty: u32) -> Option<LogicalChild> {
        let own = self.get(TypeId::at(ty))?;
        let element = own.elements.iter().find(|it| it.form == XmlForm::Text)?;
        // The text of an element is text, whatever else its definition allows.
        Some(LogicalChild { primitive: Some(Kind::String), ..self.logical_child(element, 0) })
    }

    fn named(&self, declared: u32, name: &str) -> Option<u32> {
        let found = self.find_near(name, &[TypeId::at(declared)]);
        found.is_known().then(|| found.number())
    }
}
