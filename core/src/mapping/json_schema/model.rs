//! The logical model that a JSON Schema says: objects become elements with elements, lists become elements that repeat.
//!
//! A model only has to name what may be there: what of it has to be there, and how, the schema itself checks. So all branches
//! of a schema (`allOf`, `anyOf`, `oneOf`, `then`, `else`) are laid over each other.

use fhir_models::document::JsonWriter;
use serde_json::Value;

use super::SchemaFault;

/// Most elements of a model.
const MOST_ELEMENTS: usize = 2_000;
/// Deepest nesting of objects, and longest chain of references.
const MOST_DEPTH: usize = 32;
/// Most schemas laid over each other for one element.
const MOST_BRANCHES: usize = 500;

/// The root's path; never seen by who writes a map.
const ROOT: &str = "Input";

#[derive(Debug)]
pub(super) struct Model {
    elements: Vec<Element>,
    pub left_out: Vec<String>,
}

#[derive(Debug)]
struct Element {
    path: String,
    repeats: bool,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    /// Elements of its own.
    Parts,
    /// What the element with this path holds.
    Same(String),
    Type(&'static str),
}

/// Derives the model.
pub(super) fn derive(schema: &Value) -> Result<Model, SchemaFault> {
    let model = Model { elements: Vec::new(), left_out: Vec::new() };
    let mut deriving = Deriving { root: schema, model, open: Vec::new() };
    deriving.element(ROOT, &[schema], false)?;
    match deriving.model.elements.as_slice() {
        [first, _, ..] if !first.repeats => Ok(deriving.model),
        _ => Err(SchemaFault::NoObject),
    }
}

struct Deriving<'s> {
    root: &'s Value,
    model: Model,
    /// References that are being followed, and the elements they stand for.
    open: Vec<(&'s str, String)>,
}

/// All branches that speak of one element, and the references that led to them.
#[derive(Default)]
struct Branches<'s> {
    schemas: Vec<&'s Value>,
    references: Vec<&'s str>,
}

impl<'s> Deriving<'s> {
    fn element(&mut self, path: &str, schemas: &[&'s Value], repeats: bool) -> Result<(), SchemaFault> {
        let mut all = Branches::default();
        for schema in schemas {
            self.branches(schema, &mut all, 0)?;
        }
        if let Some((_, same)) = self.open.iter().find(|(own, _)| all.references.contains(own)) {
            let holds = Holds::Same(same.clone());
            return self.add(path, repeats, holds);
        }
        let types = types(&all.schemas);
        match types.as_slice() {
            ["object"] => {
                let properties = properties(&all.schemas);
                if properties.is_empty() {
                    return self.leave(path);
                }
                if self.open.len() + path.matches('.').count() > 2 * MOST_DEPTH {
                    return Err(SchemaFault::Limit(MOST_DEPTH, "levels"));
                }
                self.add(path, repeats, Holds::Parts)?;
                let open = self.open.len();
                self.open.extend(all.references.iter().map(|it| (*it, path.to_owned())));
                for (name, schemas) in properties {
                    let path = format!("{path}.{name}");
                    if name.is_empty() || name.starts_with('_') || name.contains(['.', '[', ']', '`', '#']) {
                        self.leave(&path)?;
                    } else {
                        self.element(&path, &schemas, false)?;
                    }
                }
                self.open.truncate(open);
                Ok(())
            }
            ["array"] if !repeats => {
                let items: Vec<&Value> = all.schemas.iter().flat_map(|it| items(it)).collect();
                if items.is_empty() { self.leave(path) } else { self.element(path, &items, true) }
            }
            [] | ["array" | "object", ..] | [_, "array" | "object", ..] => self.leave(path),
            plain => {
                let plain = primitive(plain, &all.schemas);
                self.add(path, repeats, Holds::Type(plain))
            }
        }
    }

    fn add(&mut self, path: &str, repeats: bool, holds: Holds) -> Result<(), SchemaFault> {
        if self.model.elements.len() >= MOST_ELEMENTS {
            return Err(SchemaFault::Limit(MOST_ELEMENTS, "properties"));
        }
        self.model.elements.push(Element { path: path.to_owned(), repeats, holds });
        Ok(())
    }

    fn leave(&mut self, path: &str) -> Result<(), SchemaFault> {
        if self.model.left_out.len() >= MOST_ELEMENTS {
            return Err(SchemaFault::Limit(MOST_ELEMENTS, "properties"));
        }
        let path = path.strip_prefix(ROOT).unwrap_or(path).trim_start_matches('.');
        self.model.left_out.push(path.to_owned());
        Ok(())
    }

    fn branches(&self, schema: &'s Value, all: &mut Branches<'s>, depth: usize) -> Result<(), SchemaFault> {
        if depth > MOST_DEPTH {
            return Err(SchemaFault::Limit(MOST_DEPTH, "references or branches within each other"));
        }
        if all.schemas.len() >= MOST_BRANCHES {
            return Err(SchemaFault::Limit(MOST_BRANCHES, "branches for one property"));
        }
        all.schemas.push(schema);
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').map(|it| it.replace("%25", "%"));
            let target = pointer.and_then(|it| self.root.pointer(&it));
            let target = target.ok_or_else(|| SchemaFault::Reference(reference.to_owned()))?;
            if !all.references.contains(&reference) {
                all.references.push(reference);
                self.branches(target, all, depth + 1)?;
            }
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for branch in schema.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.branches(branch, all, depth + 1)?;
            }
        }
        for branch in ["then", "else"].iter().filter_map(|key| schema.get(key)) {
            self.branches(branch, all, depth + 1)?;
        }
        Ok(())
    }
}

/// The JSON types that the branches allow, but for `null`; what a branch doesn't say is taken from what it speaks of.
fn types<'s>(schemas: &[&'s Value]) -> Vec<&'s str> {
    let mut found: Vec<&str> = Vec::new();
    let mut add = |name: &'s str| {
        if name != "null" && !found.contains(&name) {
            found.push(name);
        }
    };
    for schema in schemas {
        match schema.get("type") {
            Some(Value::String(one)) => add(one),
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).for_each(&mut add),
            _ => {}
        }
    }
    if found.is_empty() {
        for schema in schemas {
            let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            for value in values.chain(schema.get("const")) {
                match value {
                    Value::String(_) => found.push("string"),
                    Value::Bool(_) => found.push("boolean"),
                    Value::Number(_) => found.push("number"),
                    _ => {}
                }
            }
            for (key, name) in
                [("properties", "object"), ("items", "array"), ("format", "string"), ("pattern", "string")]
            {
                if schema.get(key).is_some() {
                    found.push(name);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
    }
    found
}

/// Properties in their order, with all that is said of each.
fn properties<'s>(schemas: &[&'s Value]) -> Vec<(&'s String, Vec<&'s Value>)> {
    let mut found: Vec<(&String, Vec<&Value>)> = Vec::new();
    let mut known = std::collections::HashMap::new();
    for schema in schemas {
        let own = schema.get("properties").and_then(Value::as_object);
        for (name, property) in own.into_iter().flatten() {
            let at = *known.entry(name).or_insert_with(|| {
                found.push((name, Vec::new()));
                found.len() - 1
            });
            if let Some((_, all)) = found.get_mut(at) {
                all.push(property);
            }
        }
    }
    found
}

fn items(schema: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    for key in ["items", "prefixItems", "additionalItems"] {
        match schema.get(key) {
            Some(Value::Array(several)) => found.extend(several),
            Some(one @ Value::Object(_)) => found.push(one),
            _ => {}
        }
    }
    found
}

/// FHIR's type for a plain value: where several could stand, text, which takes them all.
fn primitive(types: &[&str], schemas: &[&Value]) -> &'static str {
    let first = |key: &str| schemas.iter().find_map(|it| it.get(key));
    let beyond = |key: &str| {
        let bound = first(key).and_then(Value::as_f64);
        bound.is_some_and(|it| it.abs() > f64::from(i32::MAX))
    };
    match types {
        ["boolean"] => "boolean",
        ["integer"] if beyond("maximum") || beyond("minimum") => "decimal",
        ["integer"] => match first("format").and_then(Value::as_str) {
            Some("int64" | "uint32" | "uint64") => "decimal",
            _ => "integer",
        },
        ["number"] | ["number", "integer"] | ["integer", "number"] => "decimal",
        ["string"] => match first("format").and_then(Value::as_str) {
            Some("date-time") => "dateTime",
            Some("date") => "date",
            Some("uri" | "uri-reference" | "iri") => "uri",
            _ if first("contentEncoding").and_then(Value::as_str) == Some("base64") => "base64Binary",
            _ if first("enum").is_some() || first("const").is_some() => "code",
            _ => "string",
        },
        _ => "string",
    }
}

impl Model {
    /// The `StructureDefinition`.
    pub fn definition(&self, url: &str) -> String {
        let mut json = JsonWriter::new();
        json.begin_object().member("resourceType", "StructureDefinition").member("url", url);
        json.member("name", ROOT).member("status", "active").member("kind", "logical");
        json.key("abstract").boolean(false);
        json.member("type", url).member("baseDefinition", "http://hl7.org/fhir/StructureDefinition/Base");
        json.member("derivation", "specialization");
        json.key("differential").begin_object().key("element").begin_array();
        for element in &self.elements {
            json.begin_object().member("id", &element.path).member("path", &element.path);
            json.key("min").integer(0).member("max", if element.repeats { "*" } else { "1" });
            match &element.holds {
                Holds::Same(path) => _ = json.member("contentReference", &format!("#{path}")),
                Holds::Parts if element.path == ROOT => {}
                Holds::Parts => type_of(&mut json, "BackboneElement"),
                Holds::Type(name) => type_of(&mut json, name),
            }
            json.end_object();
        }
        json.end_array().end_object().end_object();
        String::from_utf8(json.into_bytes()).unwrap_or_default()
    }
}

fn type_of(json: &mut JsonWriter, code: &str) {
    json.key("type").begin_array().begin_object().member("code", code).end_object().end_array();
}
