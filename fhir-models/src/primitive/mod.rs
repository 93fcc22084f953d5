//! The primitive types of FHIR R4 and their grammars.
//!
//! A primitive is checked on its text: the characters between the quotes of a JSON string, or the digits of
//! a JSON number. [`Primitive::is_valid`] is the cheap question, [`Primitive::check`] the one that explains;
//! both share one scanner a type, so they never disagree. No scanner allocates or goes back.
//!
//! Source: FHIR R4 §2.24.0.1 (primitive types) and §2.6.2 (their JSON form). Where the regular expression
//! and the sentence beside it differ, the sentence wins: `code` allows single spaces only.

mod base64;
mod characters;
mod datetime;
mod number;
mod uri;

use std::fmt;

use crate::document::{Kind, Value};

pub use datetime::{DateTimePrecision, PartialDateTime, TimeOfDay};
pub use number::{DecimalParts, decimal_parts};

/// The longest string, in bytes (FHIR R4 §2.24.0.1: strings shall not exceed 1 MiB).
pub const LONGEST_STRING: usize = 1 << 20;

macro_rules! primitives {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A primitive type of FHIR R4.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Primitive {
            $(#[doc = concat!("`", $name, "`")] $variant),*
        }

        impl Primitive {
            /// All of them.
            pub const ALL: &'static [Primitive] = &[$(Primitive::$variant),*];

            /// The primitive with this type name, such as `dateTime`.
            pub fn of_type(name: &str) -> Option<Primitive> {
                match name {
                    $($name => Some(Primitive::$variant),)*
                    _ => None,
                }
            }

            /// The type's name in FHIR.
            pub fn type_name(self) -> &'static str {
                match self {
                    $(Primitive::$variant => $name),*
                }
            }
        }
    };
}

primitives! {
    Boolean = "boolean", Integer = "integer", UnsignedInt = "unsignedInt", PositiveInt = "positiveInt",
    Decimal = "decimal", String = "string", Code = "code", Id = "id", Uri = "uri", Url = "url",
    Canonical = "canonical", Oid = "oid", Uuid = "uuid", Markdown = "markdown",
    Base64Binary = "base64Binary", Instant = "instant", Date = "date", DateTime = "dateTime",
    Time = "time", Xhtml = "xhtml",
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

/// Why a text is not a value of a primitive type. The message never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrimitiveError {
    /// A JSON number where a string belongs, or the like.
    #[error("{} is written as a JSON {}", article(*primitive), kind_name(primitive.json_kind()))]
    WrongKind {
        /// The type that the element has.
        primitive: Primitive,
    },
    /// Nothing between the quotes.
    #[error("a value must not be empty; leave the element out instead")]
    Empty,
    /// More than [`LONGEST_STRING`].
    #[error("a string must not be longer than 1 MiB")]
    TooLong,
    /// A control character other than tab, line feed and carriage return.
    #[error("control characters other than tab, line feed and carriage return are not allowed")]
    ControlCharacter,
    /// A space, tab or line end where the type allows none.
    #[error("{} must not contain spaces, tabs or line ends", article(*.0))]
    Space(Primitive),
    /// A `code` with leading, trailing, double or other than plain spaces.
    #[error("a code must not begin or end with a space, and has only single spaces inside")]
    CodeSpaces,
    /// A number beyond the type's range.
    #[error("{} must lie in {}", article(*.0), range_of(*.0))]
    OutOfRange(Primitive),
    /// A day that the calendar does not have, such as 30 February.
    #[error("the calendar has no such day")]
    NoSuchDay,
    /// A date and time without time zone.
    #[error("a time of day needs a time zone: Z, or an offset such as +01:00")]
    NoTimeZone,
    /// The text does not follow the type's grammar.
    #[error("{} is written {}", article(*.0), form_of(*.0))]
    Grammar(Primitive),
}

/// The type with its article: `a date`, `an instant`, `an unsignedInt`, but `a uri`.
fn article(primitive: Primitive) -> String {
    use Primitive::{Id, Instant, Integer, Oid, UnsignedInt, Xhtml};
    let an = matches!(primitive, Id | Instant | Integer | Oid | UnsignedInt | Xhtml);
    format!("{} {primitive}", if an { "an" } else { "a" })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "true or false, without quotes",
        Kind::Number => "number, without quotes",
        Kind::String => "string, in quotes",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}

fn range_of(primitive: Primitive) -> &'static str {
    match primitive {
        Primitive::UnsignedInt => "0 to 2147483647",
        Primitive::PositiveInt => "1 to 2147483647",
        _ => "-2147483648 to 2147483647",
    }
}

fn form_of(primitive: Primitive) -> &'static str {
    match primitive {
        Primitive::Boolean => "true or false",
        Primitive::Integer => "as a whole number without fraction, exponent or leading zeros",
        Primitive::UnsignedInt => "as a whole number from 0 up, without fraction or leading zeros",
        Primitive::PositiveInt => "as a whole number from 1 up, without fraction or leading zeros",
        Primitive::Decimal => "as a decimal number such as 1.50",
        Primitive::Id => "with 1 to 64 of the characters A-Z, a-z, 0-9, hyphen and dot",
        Primitive::Oid => "urn:oid: and then numbers joined by dots, the first 0, 1 or 2",
        Primitive::Uuid => "urn:uuid: and then 8-4-4-4-12 lower-case hexadecimal digits",
        Primitive::Base64Binary => "in base64 (RFC 4648): groups of four characters, padded with =",
        Primitive::Instant => "YYYY-MM-DDThh:mm:ss with an optional fraction and a time zone",
        Primitive::Date => "YYYY, YYYY-MM or YYYY-MM-DD",
        Primitive::DateTime => "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone",
        Primitive::Time => "hh:mm:ss with an optional fraction and no time zone",
        _ => "as text",
    }
}

impl Primitive {
    /// How the type is written in JSON (FHIR R4 §2.6.2.2).
    pub fn json_kind(self) -> Kind {
        match self {
            Primitive::Boolean => Kind::Boolean,
            Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt | Primitive::Decimal => {
                Kind::Number
            }
            _ => Kind::String,
        }
    }

    /// True where `text` is a value of this type. For a number, `text` is its digits.
    pub fn is_valid(self, text: &str) -> bool {
        self.grammar(text).is_ok()
    }

    /// Checks the JSON kind and the text of a value, and says what is wrong with it.
    pub fn check(self, kind: Kind, text: &str) -> Result<(), PrimitiveError> {
        if kind != self.json_kind() {
            return Err(PrimitiveError::WrongKind { primitive: self });
        }
        self.grammar(text)
    }

    /// Checks a value of a document. Borrows the text wherever the string holds no escape.
    pub fn check_value(self, value: Value<'_>) -> Result<(), PrimitiveError> {
        let kind = value.kind();
        if kind != self.json_kind() {
            return Err(PrimitiveError::WrongKind { primitive: self });
        }
        match value.as_str() {
            Some(text) => self.grammar(&text),
            None => self.grammar(value.raw()),
        }
    }

    fn grammar(self, text: &str) -> Result<(), PrimitiveError> {
        match self {
            Primitive::Boolean => {
                if matches!(text, "true" | "false") {
                    Ok(())
                } else {
                    Err(PrimitiveError::Grammar(self))
                }
            }
            Primitive::Integer => number::integer(self, text, i64::from(i32::MIN)),
            Primitive::UnsignedInt => number::integer(self, text, 0),
            Primitive::PositiveInt => number::integer(self, text, 1),
            Primitive::Decimal => number::decimal(text),
            // The content of narrative has rules of its own; as text it is a string without their limits.
            Primitive::String | Primitive::Markdown => characters::string(text),
            Primitive::Xhtml => characters::unbounded(text),
            Primitive::Code => characters::code(text),
            Primitive::Id => characters::id(text),
            Primitive::Uri | Primitive::Url | Primitive::Canonical => uri::without_space(self, text),
            Primitive::Oid => uri::oid(text),
            Primitive::Uuid => uri::uuid(text),
            Primitive::Base64Binary => base64::base64(text),
            Primitive::Instant => datetime::instant(text),
            Primitive::Date => datetime::date(text),
            Primitive::DateTime => datetime::date_time(text),
            Primitive::Time => datetime::time(text),
        }
    }
}

#[cfg(test)]
#[path = "primitive_tests.rs"]
mod tests;
