//! `ElementDefinition` as typed values (FHIR R4 §2.29).
//!
//! Only what decides about an instance is read: prose and mappings are left in the source. Values of any
//! type (fixed, pattern, minimum, maximum) stay JSON text, to be compared node by node.

use super::DefinitionError;
use super::structure::items;
use crate::document::{Value, name};

/// The extension that gives a primitive's regular expression.
const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";
/// The extension that names the FHIR type behind a FHIRPath system type.
const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
/// The extension that names the outer bound of an extensible or preferred binding.
const ADDITIONAL_BINDING: [&str; 2] = [
    "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
];
const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";
/// The extension that points a type's profile at one element of it.
const PROFILE_ELEMENT: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element";
/// The extension that gives the least length of a text.
const MIN_LENGTH: &str = "http://hl7.org/fhir/StructureDefinition/minLength";
/// R5's `mustHaveValue` and `valueAlternatives` as R4 carries them.
const MUST_HAVE_VALUE: &str =
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue";
const VALUE_ALTERNATIVES: &str =
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.valueAlternatives";
/// The prefix of FHIRPath's own types.
const SYSTEM: &str = "http://hl7.org/fhirpath/System.";

/// An upper bound on repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Max {
    /// At most this many.
    Count(u32),
    /// `*`
    #[default]
    Unbounded,
}

impl Max {
    /// True where `count` is within the bound.
    pub fn allows(self, count: usize) -> bool {
        match self {
            Max::Count(max) => count <= max as usize,
            Max::Unbounded => true,
        }
    }
}

/// One type an element may have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElementType {
    /// A FHIR type name such as `HumanName` or `BackboneElement`. Where R4 writes a FHIRPath type
    /// (`http://hl7.org/fhirpath/System.String`), this is the FHIR type that its extension names.
    pub code: String,
    /// The FHIRPath type's name, `String` for `http://hl7.org/fhirpath/System.String`: the element's value
    /// is a bare attribute or JSON primitive without `id` and `extension`.
    pub system_type: Option<String>,
    /// Profiles of which the value must obey one; `url#element-id` for the rules of one element of a profile.
    pub profiles: Vec<String>,
    /// For references and canonicals: profiles or types of which the target must obey one.
    pub target_profiles: Vec<String>,
    /// How a reference may be resolved; empty: any way.
    pub aggregation: Vec<Aggregation>,
}

/// How a reference is resolved (`ElementDefinition.type.aggregation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// To a contained resource.
    Contained,
    /// To a resource elsewhere.
    Referenced,
    /// To a resource in the same bundle.
    Bundled,
}

/// How strongly an element is bound to its value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingStrength {
    /// Codes are examples only.
    Example,
    /// Codes are encouraged.
    Preferred,
    /// The value set holds unless no code in it fits.
    Extensible,
    /// The value set holds.
    Required,
}

/// An element's binding to a value set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// How strongly.
    pub strength: BindingStrength,
    /// Canonical of the value set, `|version` included where written. A binding may lack one.
    pub value_set: Option<String>,
    /// Canonical of the value set that bounds an extensible or preferred binding.
    pub max_value_set: Option<String>,
    /// Further bindings, by the extension `additional-binding` or R5's `ElementDefinition.binding.additional`.
    pub additional: Vec<AdditionalBinding>,
}

/// A binding beside the main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdditionalBinding {
    /// What it is for: `required`, `maximum`, `extensible`, `current`, `preferred`, `candidate`, `ui` …
    pub purpose: String,
    /// Canonical of its value set.
    pub value_set: String,
    /// It holds in some contexts of use only.
    pub limited: bool,
}

/// How bad it is to break a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The instance is invalid.
    Error,
    /// The instance deserves a second look.
    Warning,
}

/// An invariant of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Short id, unique within the structure: `pat-1`.
    pub key: String,
    /// Error or warning.
    pub severity: Severity,
    /// The rule in words.
    pub human: String,
    /// The rule in FHIRPath. Some published constraints have none.
    pub expression: Option<String>,
    /// Canonical of the structure that states it; `None`: the one it was read from.
    pub source: Option<String>,
}

/// What tells slices apart (`ElementDefinition.slicing.discriminator.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiscriminatorKind {
    /// The value at the path.
    Value,
    /// Whether something stands at the path.
    Exists,
    /// As `value`; deprecated.
    Pattern,
    /// The type at the path.
    Type,
    /// The profile at the path.
    Profile,
}

/// One discriminator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discriminator {
    /// What is compared.
    pub kind: DiscriminatorKind,
    /// Where, in the restricted FHIRPath of FHIR R4 §5.1.0.14.
    pub path: String,
}

/// What may stand beside the slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SlicingRules {
    /// Nothing.
    Closed,
    /// Anything.
    Open,
    /// Anything, at the end.
    OpenAtEnd,
}

/// How an element's repetitions are sliced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slicing {
    /// What tells the slices apart; all of them together.
    pub discriminators: Vec<Discriminator>,
    /// Slices must come in the order of their definition.
    pub ordered: bool,
    /// What may stand beside the slices.
    pub rules: SlicingRules,
}

/// A value of any type, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawValue {
    /// The suffix that names its type: `CodeableConcept` for `patternCodeableConcept`, `Uri` for `fixedUri`.
    pub suffix: String,
    /// The JSON text.
    pub json: String,
}

/// An element of a structure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElementDefinition {
    /// Id within the structure, slices and all: `Observation.component:systolic.value[x]`.
    pub id: String,
    /// Path without slice names: `Observation.component.value[x]`.
    pub path: String,
    /// In XML the element is an attribute.
    pub xml_attribute: bool,
    /// In XML the element is XHTML of its own.
    pub xhtml: bool,
    /// The slice it defines.
    pub slice_name: Option<String>,
    /// How its repetitions are sliced.
    pub slicing: Option<Slicing>,
    /// A few words on what it is.
    pub short: String,
    /// Least number of repetitions. In a differential, `None`: as in the base.
    pub min: Option<u32>,
    /// Largest number of repetitions. In a differential, `None`: as in the base.
    pub max: Option<Max>,
    /// The bound of the base definition: an element may be an array in JSON where this is above one.
    pub base_max: Option<Max>,
    /// Path in the base definition: `Element.extension` for `Patient.extension`.
    pub base_path: Option<String>,
    /// `#` and the id of the element whose definition holds here too.
    pub content_reference: Option<String>,
    /// Types it may have; more than one only for a path that ends in `[x]`. Empty for the structure itself
    /// and for a content reference.
    pub types: Vec<ElementType>,
    /// The exact value it must have.
    pub fixed: Option<RawValue>,
    /// The value that must be part of its value.
    pub pattern: Option<RawValue>,
    /// Least value.
    pub min_value: Option<RawValue>,
    /// Largest value.
    pub max_value: Option<RawValue>,
    /// Shortest text, in characters.
    pub min_length: Option<u32>,
    /// Longest text, in characters.
    pub max_length: Option<u32>,
    /// Regular expression for the whole text: stands on the `value` element of primitives.
    pub regex: Option<String>,
    /// Keys of constraints that it takes part in.
    pub condition: Vec<String>,
    /// Its invariants.
    pub constraints: Vec<Constraint>,
    /// A primitive that must have a value: an extension in its place is not enough (R5's `mustHaveValue`).
    pub must_have_value: bool,
    /// For a primitive, the canonicals of the extensions of which one must stand where it has no value (R5's
    /// `valueAlternatives`).
    pub value_alternatives: Vec<String>,
    /// Systems must be able to handle it.
    pub must_support: bool,
    /// It may change what the rest means.
    pub is_modifier: bool,
    /// It is part of a summary (`_summary=true`).
    pub is_summary: bool,
    /// Its binding to a value set.
    pub binding: Option<Binding>,
}

impl ElementDefinition {
    /// Least number of repetitions; 0 where nothing is said.
    pub fn least(&self) -> u32 {
        self.min.unwrap_or(0)
    }

    /// Largest number of repetitions; unbounded where nothing is said.
    pub fn most(&self) -> Max {
        self.max.unwrap_or_default()
    }

    /// True where JSON writes an array: the base definition lets it repeat, whatever a profile says.
    pub fn is_array(&self) -> bool {
        self.base_max.unwrap_or_else(|| self.most()) != Max::Count(1)
            && self.base_max.unwrap_or_else(|| self.most()) != Max::Count(0)
    }

    /// The last step of the path, `value[x]` for a choice.
    pub fn tail(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// True for an element that may have one of several types: its path ends in `[x]`.
    pub fn is_choice(&self) -> bool {
        self.path.ends_with("[x]")
    }

    /// Reads an element of a snapshot or differential.
    ///
    /// # Errors
    /// [`DefinitionError`] where a code or number is not what R4 allows.
    pub fn read(value: Value<'_>) -> Result<ElementDefinition, DefinitionError> {
        let mut element = ElementDefinition::default();
        for member in value.children() {
            let Some(key) = member.key() else { continue };
            match key.as_ref() {
                "id" => element.id = text_of(Some(member)).unwrap_or_default(),
                "path" => element.path = text_of(Some(member)).unwrap_or_default(),
                "representation" => {
                    element.xml_attribute = member.items().any(|it| it.is_str("xmlAttr"));
                    element.xhtml = member.items().any(|it| it.is_str("xhtml"));
                }
                "sliceName" => element.slice_name = text_of(Some(member)),
                "slicing" => element.slicing = Some(slicing(member)?),
                "short" => element.short = text_of(Some(member)).unwrap_or_default(),
                "min" => element.min = Some(number(member, "min")?),
                "max" => element.max = Some(max(member)?),
                "base" => {
                    element.base_path = text_of(member.get(name::PATH));
                    element.base_max = member.get(name::MAX).map(max).transpose()?;
                }
                "contentReference" => element.content_reference = text_of(Some(member)),
                "type" => {
                    for item in member.items() {
                        if let Some(regex) = extension(item, REGEX) {
                            element.regex = Some(regex);
                        }
                        element.types.push(element_type(item)?);
                    }
                }
                "extension" => {
                    if let Some(regex) = extension(value, REGEX) {
                        element.regex = Some(regex);
                    }
                    let least = items(Some(member))
                        .find(|it| it.get(name::URL).is_some_and(|url| url.is_str(MIN_LENGTH)))
                        .and_then(|it| it.get_key("valueInteger"))
                        .and_then(Value::as_number);
                    element.min_length = least.and_then(|digits| digits.parse().ok()).or(element.min_length);
                    let with = |url: &'static str| {
                        member.items().filter(move |it| it.get(name::URL).is_some_and(|own| own.is_str(url)))
                    };
                    element.must_have_value |= with(MUST_HAVE_VALUE)
                        .any(|it| it.get_key("valueBoolean").and_then(Value::as_bool) == Some(true));
                    element.value_alternatives.extend(
                        with(VALUE_ALTERNATIVES).filter_map(|it| text_of(it.get_key("valueCanonical"))),
                    );
                }
                "mustHaveValue" => element.must_have_value = member.as_bool() == Some(true),
                "valueAlternatives" => element.value_alternatives = texts(member),
                "maxLength" => element.max_length = Some(number(member, "maxLength")?),
                "condition" => element.condition = texts(member),
                "constraint" => {
                    element.constraints = member.items().map(constraint).collect::<Result<_, _>>()?;
                }
                "mustSupport" => element.must_support = member.as_bool() == Some(true),
                "isModifier" => element.is_modifier = member.as_bool() == Some(true),
                "isSummary" => element.is_summary = member.as_bool() == Some(true),
                "binding" => element.binding = Some(binding(member)?),
                other => {
                    let slot = match other {
                        _ if other.starts_with("fixed") => (&mut element.fixed, "fixed"),
                        _ if other.starts_with("pattern") => (&mut element.pattern, "pattern"),
                        _ if other.starts_with("minValue") => (&mut element.min_value, "minValue"),
                        _ if other.starts_with("maxValue") => (&mut element.max_value, "maxValue"),
                        _ => continue,
                    };
                    let suffix = other.get(slot.1.len()..).unwrap_or_default().to_owned();
                    *slot.0 = Some(RawValue { suffix, json: member.raw().to_owned() });
                }
            }
        }
        if element.path.is_empty() {
            return Err(DefinitionError::Missing("element.path"));
        }
        if element.id.is_empty() {
            element.id.clone_from(&element.path);
        }
        Ok(element)
    }
}

pub(super) fn text_of(value: Option<Value<'_>>) -> Option<String> {
    value.and_then(Value::as_str).map(|text| text.into_owned())
}

fn texts(value: Value<'_>) -> Vec<String> {
    value.items().filter_map(|item| text_of(Some(item))).collect()
}

fn number(value: Value<'_>, label: &'static str) -> Result<u32, DefinitionError> {
    value.as_number().and_then(|digits| digits.parse().ok()).ok_or(DefinitionError::BadCode(label))
}

fn max(value: Value<'_>) -> Result<Max, DefinitionError> {
    let text = value.as_str().ok_or(DefinitionError::BadCode("max"))?;
    if text == "*" {
        return Ok(Max::Unbounded);
    }
    text.parse().map(Max::Count).map_err(|_| DefinitionError::BadCode("max"))
}

/// The value of a simple extension of `value`, whatever its type, as text.
fn extension(value: Value<'_>, url: &str) -> Option<String> {
    let found =
        items(value.get(name::EXTENSION)).find(|it| it.get(name::URL).is_some_and(|u| u.is_str(url)))?;
    let held = found.children().find(|member| member.key().is_some_and(|key| key.starts_with("value")))?;
    text_of(Some(held))
}

fn element_type(value: Value<'_>) -> Result<ElementType, DefinitionError> {
    let mut code = text_of(value.get(name::CODE)).ok_or(DefinitionError::Missing("element.type.code"))?;
    let system_type = code.strip_prefix(SYSTEM).map(str::to_owned);
    if let (Some(system), fhir) = (&system_type, extension(value, FHIR_TYPE)) {
        code = fhir.unwrap_or_else(|| {
            let mut chars = system.chars();
            chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
        });
    }
    let aggregation = items(value.get_key("aggregation"))
        .map(|item| match item.as_str().as_deref() {
            Some("contained") => Ok(Aggregation::Contained),
            Some("referenced") => Ok(Aggregation::Referenced),
            Some("bundled") => Ok(Aggregation::Bundled),
            _ => Err(DefinitionError::BadCode("element.type.aggregation")),
        })
        .collect::<Result<_, _>>()?;
    Ok(ElementType {
        code,
        system_type,
        profiles: profiles(value),
        target_profiles: value.get(name::TARGET_PROFILE).map(texts).unwrap_or_default(),
        aggregation,
    })
}

fn profiles(value: Value<'_>) -> Vec<String> {
    let mut twins = items(value.get_underscored(name::PROFILE));
    let urls = items(value.get(name::PROFILE)).filter_map(|url| text_of(Some(url)));
    urls.map(|url| match twins.next().and_then(|twin| extension(twin, PROFILE_ELEMENT)) {
        Some(element) => [url.as_str(), "#", &element].concat(),
        None => url,
    })
    .collect()
}

fn binding(value: Value<'_>) -> Result<Binding, DefinitionError> {
    let strength = match value.get(name::STRENGTH).and_then(Value::as_str).as_deref() {
        Some("required") => BindingStrength::Required,
        Some("extensible") => BindingStrength::Extensible,
        Some("preferred") => BindingStrength::Preferred,
        Some("example") => BindingStrength::Example,
        _ => return Err(DefinitionError::BadCode("element.binding.strength")),
    };
    Ok(Binding {
        strength,
        value_set: text_of(value.get(name::VALUE_SET)),
        max_value_set: extension(value, MAX_VALUE_SET),
        additional: additional(value),
    })
}

/// The bindings beside the main one, as extensions of either kind or as R5 writes them.
fn additional(binding: Value<'_>) -> Vec<AdditionalBinding> {
    let of_kind = |it: &Value<'_>| {
        it.get(name::URL).is_some_and(|url| ADDITIONAL_BINDING.iter().any(|known| url.is_str(known)))
    };
    let extended = items(binding.get(name::EXTENSION)).filter(of_kind).filter_map(|it| {
        Some(AdditionalBinding {
            purpose: extension(it, "purpose")?,
            value_set: extension(it, "valueSet")?,
            limited: items(it.get(name::EXTENSION))
                .any(|part| part.get(name::URL).is_some_and(|url| url.is_str("usage"))),
        })
    });
    let plain = items(binding.get_key("additional")).filter_map(|it| {
        Some(AdditionalBinding {
            purpose: text_of(it.get_key("purpose"))?,
            value_set: text_of(it.get(name::VALUE_SET))?,
            limited: it.get_key("usage").is_some(),
        })
    });
    extended.chain(plain).collect()
}

fn constraint(value: Value<'_>) -> Result<Constraint, DefinitionError> {
    let severity = match value.get(name::SEVERITY).and_then(Value::as_str).as_deref() {
        Some("error") => Severity::Error,
        Some("warning") => Severity::Warning,
        _ => return Err(DefinitionError::BadCode("element.constraint.severity")),
    };
    Ok(Constraint {
        key: text_of(value.get(name::KEY)).ok_or(DefinitionError::Missing("element.constraint.key"))?,
        severity,
        human: text_of(value.get_key("human")).unwrap_or_default(),
        expression: text_of(value.get(name::EXPRESSION)),
        source: text_of(value.get(name::SOURCE)),
    })
}

fn slicing(value: Value<'_>) -> Result<Slicing, DefinitionError> {
    let rules = match value.get_key("rules").and_then(Value::as_str).as_deref() {
        Some("closed") => SlicingRules::Closed,
        Some("open") | None => SlicingRules::Open,
        Some("openAtEnd") => SlicingRules::OpenAtEnd,
        Some(_) => return Err(DefinitionError::BadCode("element.slicing.rules")),
    };
    let discriminators = items(value.get_key("discriminator"))
        .map(|item| {
            let kind = match item.get(name::TYPE).and_then(Value::as_str).as_deref() {
                Some("value") => DiscriminatorKind::Value,
                Some("exists") => DiscriminatorKind::Exists,
                Some("pattern") => DiscriminatorKind::Pattern,
                Some("type") => DiscriminatorKind::Type,
                Some("profile") => DiscriminatorKind::Profile,
                _ => return Err(DefinitionError::BadCode("element.slicing.discriminator.type")),
            };
            Ok(Discriminator { kind, path: text_of(item.get(name::PATH)).unwrap_or_default() })
        })
        .collect::<Result<_, _>>()?;
    Ok(Slicing {
        discriminators,
        ordered: value.get_key("ordered").and_then(Value::as_bool) == Some(true),
        rules,
    })
}
