//! FHIRPath's own types (FHIRPath §Literals), and which FHIR primitive stands for which of them.

use std::sync::LazyLock;

use fhir_models::document::Name;

/// FHIR's types that convert to one of FHIRPath's, and have a [`Name`].
const FHIR_NAMES: &[&str] = &[
    "boolean",
    "integer",
    "unsignedInt",
    "positiveInt",
    "integer64",
    "decimal",
    "date",
    "dateTime",
    "instant",
    "time",
    "string",
    "uri",
    "url",
    "canonical",
    "oid",
    "uuid",
    "id",
    "code",
    "markdown",
    "base64Binary",
    "xhtml",
    "Quantity",
    "Age",
    "Distance",
    "Duration",
    "Count",
    "SimpleQuantity",
    "MoneyQuantity",
];

/// A type of FHIRPath itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SystemType {
    /// `System.Boolean`
    Boolean,
    /// `System.String`
    String,
    /// `System.Integer`
    Integer,
    /// `System.Long`
    Long,
    /// `System.Decimal`
    Decimal,
    /// `System.Date`
    Date,
    /// `System.DateTime`
    DateTime,
    /// `System.Time`
    Time,
    /// `System.Quantity`
    Quantity,
    /// What `type()` gives: an object with `namespace` and `name`.
    TypeInfo,
}

impl SystemType {
    pub(super) const ALL: [SystemType; 10] = [
        SystemType::Boolean,
        SystemType::String,
        SystemType::Integer,
        SystemType::Long,
        SystemType::Decimal,
        SystemType::Date,
        SystemType::DateTime,
        SystemType::Time,
        SystemType::Quantity,
        SystemType::TypeInfo,
    ];

    /// Its name in the namespace `System`.
    pub fn name(self) -> &'static str {
        match self {
            SystemType::Boolean => "Boolean",
            SystemType::String => "String",
            SystemType::Integer => "Integer",
            SystemType::Long => "Long",
            SystemType::Decimal => "Decimal",
            SystemType::Date => "Date",
            SystemType::DateTime => "DateTime",
            SystemType::Time => "Time",
            SystemType::Quantity => "Quantity",
            SystemType::TypeInfo => "SimpleTypeInfo",
        }
    }

    /// The name that results show: FHIR's name of the same kind of value.
    pub fn fhir_name(self) -> &'static str {
        match self {
            SystemType::Boolean => "boolean",
            SystemType::String => "string",
            SystemType::Integer => "integer",
            SystemType::Long => "long",
            SystemType::Decimal => "decimal",
            SystemType::Date => "date",
            SystemType::DateTime => "dateTime",
            SystemType::Time => "time",
            SystemType::Quantity => "Quantity",
            SystemType::TypeInfo => "TypeInfo",
        }
    }

    /// The type with this name.
    pub(super) fn of(name: &str) -> Option<SystemType> {
        SystemType::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The type that a FHIR type converts to by itself (FHIR R4 §2.1.20.6), where it does.
    pub(super) fn of_fhir(type_name: &str) -> Option<SystemType> {
        Some(match type_name {
            "boolean" => SystemType::Boolean,
            "integer" | "unsignedInt" | "positiveInt" => SystemType::Integer,
            "integer64" => SystemType::Long,
            "decimal" => SystemType::Decimal,
            "date" => SystemType::Date,
            "dateTime" | "instant" => SystemType::DateTime,
            "time" => SystemType::Time,
            "string" | "uri" | "url" | "canonical" | "oid" | "uuid" | "id" | "code" | "markdown"
            | "base64Binary" | "xhtml" => SystemType::String,
            "Quantity" | "Age" | "Distance" | "Duration" | "Count" | "SimpleQuantity" | "MoneyQuantity" => {
                SystemType::Quantity
            }
            _ => return None,
        })
    }

    /// As [`SystemType::of_fhir`], by name.
    pub(super) fn of_name(name: Name) -> Option<SystemType> {
        SystemType::of_number(name.index())
    }

    /// As [`SystemType::of_fhir`], by the name's number: one load.
    #[inline]
    pub(super) fn of_number(number: usize) -> Option<SystemType> {
        static BY_NAME: LazyLock<Box<[Option<SystemType>]>> = LazyLock::new(|| {
            let mut table = vec![None; Name::count()];
            for text in FHIR_NAMES {
                if let Some(slot) = table.get_mut(Name::of(text).index()) {
                    *slot = SystemType::of_fhir(text);
                }
            }
            table.into_boxed_slice()
        });
        BY_NAME.get(number).copied().flatten()
    }
}
