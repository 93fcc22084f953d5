//! What the types say about the XML of logical models.

use fhir_models::document::Kind;
use fhir_models::document::xml::{LogicalChild, LogicalSchema};
use fhir_models::primitive::Primitive;

use super::types::{Element, TypeId, Types, XmlForm};

impl Types {
    fn logical_child(&self, element: &Element) -> LogicalChild {
        let only = element.choices.first().map(|it| (it, self.choice(it)));
        let own = only.and_then(|(_, id)| self.get(id));
        let primitive = own.as_ref().and_then(|it| it.primitive());
        LogicalChild {
            key: element.choices.first().map_or_else(|| element.name.to_string(), |it| it.key.to_string()),
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
        let fits = |it: &&Element| {
            let name = it.xml_name.as_deref().unwrap_or(&it.name);
            let elsewhere = it.xml_namespace.is_some() && it.xml_namespace != own.namespace;
            name == local && elsewhere == foreign && (it.form == XmlForm::Attribute) == attribute
        };
        own.elements.iter().find(fits).map(|it| self.logical_child(it))
    }

    fn text(&self, ty: u32) -> Option<LogicalChild> {
        let own = self.get(TypeId::at(ty))?;
        let element = own.elements.iter().find(|it| it.form == XmlForm::Text)?;
        // The text of an element is text, whatever else its definition allows.
        Some(LogicalChild { primitive: Some(Kind::String), ..self.logical_child(element) })
    }

    fn named(&self, declared: u32, name: &str) -> Option<u32> {
        let found = self.find_near(name, &[TypeId::at(declared)]);
        found.is_known().then(|| found.number())
    }
}
