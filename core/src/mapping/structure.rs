//! The outline of a structure: its elements in order, with those of the structures that it descends from.
//!
//! FHIR's types come with a snapshot. Logical models, CDA's among them, often come with a differential only, so
//! their base's elements are laid below it here (FHIR R4 §5.3.0.5.1); and they say in extensions how XML writes
//! them (`xml-namespace`, `xml-name`).

use fhir_models::definition::{
    Definitions, Derivation, ElementDefinition, Max, STRUCTURE_BASE, StructureDefinition, StructureKind,
};
use fhir_models::document::{Value, name};

use super::types::XmlForm;

const NAMESPACE: &str = "http://hl7.org/fhir/tools/StructureDefinition/xml-namespace";
const NAMESPACE_OLD: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-namespace";
const XML_NAME: &str = "http://hl7.org/fhir/tools/StructureDefinition/xml-name";

/// A structure.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    pub url: String,
    pub name: String,
    pub type_name: String,
    pub kind: StructureKind,
    pub is_abstract: bool,
    pub ancestors: Vec<String>,
    pub namespace: Option<String>,
    /// The path of the structure itself.
    pub root: String,
    /// The structure and its elements that have elements; the structure first.
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub(super) struct Part {
    pub path: String,
    pub code: String,
    pub elements: Vec<OutlineElement>,
}

#[derive(Debug, Clone)]
pub(super) struct OutlineElement {
    pub path: String,
    /// `value[x]`
    pub tail: String,
    pub codes: Vec<String>,
    /// The path of the part that says what stands in it.
    pub part: Option<String>,
    pub repeats: bool,
    pub form: XmlForm,
    pub xml_name: Option<String>,
    pub xml_namespace: Option<String>,
}

/// Reads a structure; `None` where there is none, or none that can be read.
pub(super) fn outline(definitions: &Definitions, key: &str, depth: usize) -> Option<Outline> {
    let structure = definitions.structure(key)?;
    let logical = structure.kind == StructureKind::Logical;
    let elements = if structure.elements.is_empty() {
        laid_out(definitions, &structure, depth.checked_sub(1)?)?
    } else {
        let own = structure.elements.iter().filter(|it| !in_slice(it));
        let mut elements: Vec<_> = own.map(|it| element(it, &structure.elements)).collect();
        if logical {
            decorate(definitions, &structure.url, "snapshot", &mut elements);
        }
        elements
    };
    let root = elements.first()?.path.clone();
    let mut ancestors = vec![structure.url.clone()];
    let mut base = structure.base_definition.clone();
    while let Some(url) = base.take().filter(|_| ancestors.len() < depth) {
        base = definitions.structure(&url).and_then(|it| it.base_definition.clone());
        ancestors.push(url);
    }
    let name =
        if logical { structure.url.rsplit('/').next().unwrap_or_default() } else { &structure.type_name };
    Some(Outline {
        name: name.to_owned(),
        type_name: structure.type_name.rsplit('/').next().unwrap_or_default().to_owned(),
        kind: structure.kind,
        is_abstract: structure.is_abstract,
        namespace: if logical { namespace_of(definitions, &structure.url) } else { None },
        parts: parts(&root, &elements),
        url: structure.url.clone(),
        ancestors,
        root,
    })
}

fn element(own: &ElementDefinition, all: &[ElementDefinition]) -> OutlineElement {
    let target = own.content_reference.as_deref().and_then(|it| it.split_once('#')).map(|(_, id)| id);
    let part = target.map(|id| all.iter().find(|it| it.id == id).map_or(id, |it| &it.path).to_owned());
    OutlineElement {
        path: own.path.clone(),
        tail: own.tail().to_owned(),
        codes: own.types.iter().map(|it| it.code.clone()).collect(),
        part,
        repeats: own.is_array(),
        form: if own.xml_attribute { XmlForm::Attribute } else { XmlForm::Element },
        xml_name: None,
        xml_namespace: None,
    }
}

/// True for a slice, and for an element inside of one: it narrows what is defined outside.
fn in_slice(element: &ElementDefinition) -> bool {
    element.slice_name.is_some() || element.id.contains(':')
}

/// A differential over the elements of its base.
fn laid_out(
    definitions: &Definitions,
    structure: &StructureDefinition,
    depth: usize,
) -> Option<Vec<OutlineElement>> {
    let own_root = structure.differential.first()?.path.split('.').next().unwrap_or_default().to_owned();
    let mut elements = Vec::new();
    if let Some(url) = &structure.base_definition
        && let Some(base) = outline(definitions, url, depth)
    {
        // What `Base` and `Element` have is not a logical model's.
        let plain =
            base.kind != StructureKind::Logical && structure.derivation == Some(Derivation::Specialization);
        if !plain {
            let mut below = definitions_elements(&base);
            for element in &mut below {
                rebase(&mut element.path, &base.root, &own_root);
                if let Some(part) = &mut element.part {
                    rebase(part, &base.root, &own_root);
                }
            }
            elements = below;
        }
    }
    let mut own: Vec<OutlineElement> = structure.differential.iter().map(|it| element(it, &[])).collect();
    decorate(definitions, &structure.url, "differential", &mut own);
    for (own, definition) in own.into_iter().zip(&structure.differential) {
        if in_slice(definition) {
            continue;
        }
        match elements.iter().position(|it| it.path == own.path) {
            Some(at) if definition.max == Some(Max::Count(0)) => {
                elements.remove(at);
            }
            Some(at) => {
                if let Some(known) = elements.get_mut(at) {
                    known.repeats = if definition.max.is_some() { own.repeats } else { known.repeats };
                    known.codes =
                        if own.codes.is_empty() { std::mem::take(&mut known.codes) } else { own.codes };
                    known.form = if own.form == XmlForm::Element { known.form } else { own.form };
                    known.xml_name = own.xml_name.or_else(|| known.xml_name.take());
                    known.xml_namespace = own.xml_namespace.or_else(|| known.xml_namespace.take());
                }
            }
            None => elements.push(own),
        }
    }
    if elements.first().is_none_or(|it| it.path != own_root) {
        let at = elements.iter().position(|it| it.path == own_root);
        let root = at.map(|at| elements.remove(at));
        let path = own_root.clone();
        let blank = OutlineElement {
            tail: path.clone(),
            path,
            codes: Vec::new(),
            part: None,
            repeats: false,
            form: XmlForm::Element,
            xml_name: None,
            xml_namespace: None,
        };
        elements.insert(0, root.unwrap_or(blank));
    }
    Some(elements)
}

/// All elements of an outline in order, the structure itself first.
fn definitions_elements(outline: &Outline) -> Vec<OutlineElement> {
    let mut found = Vec::new();
    fn add(outline: &Outline, path: &str, found: &mut Vec<OutlineElement>, depth: usize) {
        let Some(part) = outline.parts.iter().find(|it| it.path == path).filter(|_| depth < 32) else {
            return;
        };
        for element in &part.elements {
            let mut own = element.clone();
            let below = own.part.as_deref() == Some(own.path.as_str());
            own.part = own.part.filter(|_| !below);
            let path = own.path.clone();
            found.push(own);
            if below {
                add(outline, &path, found, depth + 1);
            }
        }
    }
    add(outline, &outline.root, &mut found, 0);
    found
}

fn rebase(path: &mut String, from: &str, to: &str) {
    if let Some(rest) = path.strip_prefix(from) {
        *path = format!("{to}{rest}");
    }
}

fn parts(root: &str, elements: &[OutlineElement]) -> Vec<Part> {
    let is_child = |path: &str, parent: &str| {
        path.strip_prefix(parent).and_then(|it| it.strip_prefix('.')).is_some_and(|it| !it.contains('.'))
    };
    let has_children = |path: &str| elements.iter().any(|it| is_child(&it.path, path));
    let mut parts = Vec::new();
    for own in elements {
        let whole = own.path == root;
        if !whole && !has_children(&own.path) {
            continue;
        }
        let children = elements.iter().filter(|it| is_child(&it.path, &own.path)).map(|it| {
            let mut child = it.clone();
            if child.part.is_none() && has_children(&child.path) {
                child.part = Some(child.path.clone());
            }
            child
        });
        let code = own.codes.first().cloned().unwrap_or_else(|| "BackboneElement".to_owned());
        parts.push(Part { path: own.path.clone(), code, elements: children.collect() });
    }
    parts
}

/// Reads what XML writes from the definition itself.
fn decorate(definitions: &Definitions, url: &str, view: &str, elements: &mut [OutlineElement]) {
    let Some(document) = definitions.resource_of_type("StructureDefinition", url) else { return };
    let all = document.root().get_key(view).and_then(|it| it.get(name::ELEMENT));
    for item in all.into_iter().flat_map(Value::items) {
        let Some(path) = item.str_of(name::PATH) else { continue };
        let Some(own) = elements.iter_mut().find(|it| it.path == *path) else { continue };
        let forms = item.get_key("representation").into_iter().flat_map(Value::items);
        for form in forms {
            own.form = match form.as_str().as_deref() {
                Some("xmlAttr") => XmlForm::Attribute,
                Some("xmlText") => XmlForm::Text,
                Some("typeAttr") => XmlForm::Typed,
                _ => own.form,
            };
        }
        own.xml_namespace = extension(item, &[NAMESPACE, NAMESPACE_OLD]);
        own.xml_name = extension(item, &[XML_NAME]);
    }
}

fn namespace_of(definitions: &Definitions, url: &str) -> Option<String> {
    let document = definitions.resource_of_type("StructureDefinition", url)?;
    extension(document.root(), &[NAMESPACE, NAMESPACE_OLD])
}

/// What XML calls the root element of a model's instances, where its definition says so.
pub(super) fn root_xml_name(definitions: &Definitions, url: &str) -> Option<String> {
    let document = definitions.resource_of_type("StructureDefinition", url)?;
    let views = ["differential", "snapshot"].into_iter().filter_map(|view| document.root().get_key(view));
    let roots = views.filter_map(|view| view.get(name::ELEMENT)?.items().next());
    let own = roots.filter_map(|root| extension(root, &[XML_NAME])).next();
    own.or_else(|| extension(document.root(), &[XML_NAME]))
}

fn extension(holder: Value<'_>, urls: &[&str]) -> Option<String> {
    let mut all = holder.get(name::EXTENSION).into_iter().flat_map(Value::items);
    let found = all.find(|it| it.str_of(name::URL).is_some_and(|url| urls.contains(&&*url)))?;
    let value = found.children().find(|it| it.key().is_some_and(|key| key.starts_with("value")))?;
    value.as_str().map(|it| it.into_owned())
}

/// True for what FHIR itself defines.
pub(super) fn is_fhir(url: &str) -> bool {
    url.starts_with(STRUCTURE_BASE)
}
