//! The values of search parameters, by kind (FHIR R4 §3.1.1.4).
//!
//! Invariant: writing a value and reading it again gives the same value, so nothing of the caller's own
//! spelling reaches the server behind.

use fhir_models::primitive::Primitive;

use super::escape::{escape_into, split, unescape};
use super::id::{Id, ResourceType};
use super::schema::SearchSchema;

/// What the values of a search parameter are (`SearchParameter.type`). R4's `special` is absent: each such
/// parameter has a grammar of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// `number`
    Number,
    /// `date`
    Date,
    /// `string`
    Text,
    /// `token`
    Token,
    /// `reference`
    Reference,
    /// `composite`
    Composite,
    /// `quantity`
    Quantity,
    /// `uri`
    Uri,
}

impl ParameterKind {
    const CODES: [(&str, ParameterKind); 8] = [
        ("number", ParameterKind::Number),
        ("date", ParameterKind::Date),
        ("string", ParameterKind::Text),
        ("token", ParameterKind::Token),
        ("reference", ParameterKind::Reference),
        ("composite", ParameterKind::Composite),
        ("quantity", ParameterKind::Quantity),
        ("uri", ParameterKind::Uri),
    ];

    /// The kind with this `search-param-type` code; none for `special`.
    pub fn of_code(code: &str) -> Option<ParameterKind> {
        ParameterKind::CODES.iter().find(|(own, _)| *own == code).map(|(_, kind)| *kind)
    }

    /// The kind's `search-param-type` code.
    pub fn code(self) -> &'static str {
        ParameterKind::CODES.iter().find(|(_, kind)| *kind == self).map_or("", |(code, _)| code)
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            ParameterKind::Number => "a number such as 100 or ge5.40",
            ParameterKind::Date => "a date such as ge2026-01-31 (write + in a time zone as %2B)",
            ParameterKind::Text => "text that is not empty, with a backslash before each comma in it",
            ParameterKind::Token => "code, system|code, |code or system|",
            ParameterKind::Reference => "an id, type/id or an absolute URL",
            ParameterKind::Composite => "two or more values joined by $",
            ParameterKind::Quantity => "number, number|system|code or number||code",
            ParameterKind::Uri => "a URI without spaces",
        }
    }
}

/// How a number, date or quantity is compared (FHIR R4 §3.1.1.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `gt`
    GreaterThan,
    /// `lt`
    LessThan,
    /// `ge`
    GreaterOrEqual,
    /// `le`
    LessOrEqual,
    /// `sa`
    StartsAfter,
    /// `eb`
    EndsBefore,
    /// `ap`
    Approximately,
}

const PREFIXES: [(&str, Prefix); 9] = [
    ("eq", Prefix::Equal),
    ("ne", Prefix::NotEqual),
    ("gt", Prefix::GreaterThan),
    ("lt", Prefix::LessThan),
    ("ge", Prefix::GreaterOrEqual),
    ("le", Prefix::LessOrEqual),
    ("sa", Prefix::StartsAfter),
    ("eb", Prefix::EndsBefore),
    ("ap", Prefix::Approximately),
];

impl Prefix {
    /// The prefix as it is written: `ge`.
    pub fn code(self) -> &'static str {
        PREFIXES.iter().find(|(_, prefix)| *prefix == self).map_or("", |(code, _)| code)
    }

    fn take(text: &str) -> (Option<Prefix>, &str) {
        let found = PREFIXES.iter().find_map(|(code, prefix)| Some((*prefix, text.strip_prefix(code)?)));
        found.map_or((None, text), |(prefix, rest)| (Some(prefix), rest))
    }
}

/// A coded value or an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token {
    /// The system; `None` for any, empty for "has no system".
    pub system: Option<String>,
    /// The code or identifier value; `None` for any in the system.
    pub code: Option<String>,
}

/// The target of a reference parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SearchReference {
    /// A logical id whose type is left open.
    Id(Id),
    /// A resource on this server.
    Instance(ResourceType, Id),
    /// An absolute URL, URN or canonical.
    Url(String),
}

/// One value of a search parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SearchValue {
    /// A string's beginning, part or whole, by the modifier.
    Text(String),
    /// A URI, compared whole.
    Uri(String),
    /// A code or identifier.
    Token(Token),
    /// With `:of-type`: an identifier by the system and code of its type, and its value.
    OfType {
        /// System of `Identifier.type.coding`.
        system: String,
        /// Code of `Identifier.type.coding`.
        code: String,
        /// `Identifier.value`.
        value: String,
    },
    /// A reference.
    Reference(SearchReference),
    /// A date, as far as it is known, in FHIR's form; seconds and zone may be absent.
    Date(Option<Prefix>, String),
    /// A decimal number, digit for digit.
    Number(Option<Prefix>, String),
    /// A number, and where given a unit as system (may be empty) and code.
    Quantity(Option<Prefix>, String, Option<(String, String)>),
    /// The components, each in its own written form, escapes included.
    Composite(Vec<String>),
    /// With `:missing`: whether the element is to be absent.
    Missing(bool),
}

impl SearchValue {
    /// Reads a value of the given kind; `None` where it is outside the kind's grammar.
    pub(super) fn parse(kind: ParameterKind, text: &str, schema: &SearchSchema) -> Option<SearchValue> {
        if text.is_empty() {
            return None;
        }
        Some(match kind {
            ParameterKind::Text => SearchValue::Text(unescape(text)?),
            ParameterKind::Uri => SearchValue::Uri(uri(text)?),
            ParameterKind::Token => SearchValue::Token(token(text)?),
            ParameterKind::Reference => SearchValue::Reference(reference(text, schema)?),
            ParameterKind::Date => {
                let (prefix, date) = Prefix::take(text);
                is_search_date(date).then(|| SearchValue::Date(prefix, date.to_owned()))?
            }
            ParameterKind::Number => {
                let (prefix, number) = Prefix::take(text);
                let number = Some(number).filter(|number| Primitive::Decimal.is_valid(number))?;
                SearchValue::Number(prefix, number.to_owned())
            }
            ParameterKind::Quantity => quantity(text)?,
            ParameterKind::Composite => {
                let components = split(text, '$');
                let fit = components.len() > 1
                    && components.iter().all(|part| !part.is_empty() && unescape(part).is_some());
                fit.then(|| SearchValue::Composite(components.into_iter().map(str::to_owned).collect()))?
            }
        })
    }

    /// Reads the value of `:of-type`.
    pub(super) fn parse_of_type(text: &str) -> Option<SearchValue> {
        let parts: Vec<String> = split(text, '|').into_iter().map(unescape).collect::<Option<_>>()?;
        let [system, code, value] = <[String; 3]>::try_from(parts).ok()?;
        let full = [&system, &code, &value].iter().all(|part| !part.is_empty());
        full.then_some(SearchValue::OfType { system, code, value })
    }

    /// Appends the value in FHIR's form, FHIR's escapes included, not yet percent-encoded.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            SearchValue::Text(text) | SearchValue::Uri(text) => escape_into(out, text, ""),
            SearchValue::Token(Token { system, code }) => {
                if let Some(system) = system {
                    escape_into(out, system, "|");
                    out.push('|');
                }
                escape_into(out, code.as_deref().unwrap_or_default(), "|");
            }
            SearchValue::OfType { system, code, value } => {
                for (at, part) in [system, code, value].into_iter().enumerate() {
                    if at > 0 {
                        out.push('|');
                    }
                    escape_into(out, part, "|");
                }
            }
            SearchValue::Reference(SearchReference::Id(id)) => out.push_str(id.as_str()),
            SearchValue::Reference(SearchReference::Instance(resource_type, id)) => {
                out.push_str(resource_type.as_str());
                out.push('/');
                out.push_str(id.as_str());
            }
            SearchValue::Reference(SearchReference::Url(url)) => escape_into(out, url, ""),
            SearchValue::Date(prefix, text) | SearchValue::Number(prefix, text) => {
                out.push_str(prefix.map_or("", Prefix::code));
                out.push_str(text);
            }
            SearchValue::Quantity(prefix, number, unit) => {
                out.push_str(prefix.map_or("", Prefix::code));
                out.push_str(number);
                if let Some((system, code)) = unit {
                    out.push('|');
                    escape_into(out, system, "|");
                    out.push('|');
                    escape_into(out, code, "|");
                }
            }
            SearchValue::Composite(components) => out.push_str(&components.join("$")),
            SearchValue::Missing(missing) => out.push_str(if *missing { "true" } else { "false" }),
        }
    }
}

fn uri(text: &str) -> Option<String> {
    unescape(text).filter(|uri| !uri.is_empty() && Primitive::Uri.is_valid(uri))
}

fn token(text: &str) -> Option<Token> {
    match split(text, '|').as_slice() {
        [code] => Some(Token { system: None, code: Some(unescape(code)?) }),
        ["", ""] => None,
        [system, code] => {
            let code = if code.is_empty() { None } else { Some(unescape(code)?) };
            Some(Token { system: Some(unescape(system)?), code })
        }
        _ => None,
    }
}

fn reference(text: &str, schema: &SearchSchema) -> Option<SearchReference> {
    if let Some(id) = Id::parse(text) {
        return Some(SearchReference::Id(id));
    }
    if text.contains(':') {
        return uri(text).map(SearchReference::Url);
    }
    let (resource_type, id) = text.split_once('/')?;
    Some(SearchReference::Instance(schema.resource_type(resource_type)?, Id::parse(id)?))
}

fn quantity(text: &str) -> Option<SearchValue> {
    let (prefix, rest) = Prefix::take(text);
    let (number, unit) = match split(rest, '|').as_slice() {
        [number] => (*number, None),
        [number, system, code] if !code.is_empty() => (*number, Some((unescape(system)?, unescape(code)?))),
        _ => return None,
    };
    Primitive::Decimal.is_valid(number).then(|| SearchValue::Quantity(prefix, number.to_owned(), unit))
}

/// A `dateTime` whose seconds and time zone may be absent (FHIR R4 §3.1.1.4.7).
fn is_search_date(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else { return Primitive::DateTime.is_valid(text) };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let seconds = if clock.len() == "00:00".len() { ":00" } else { "" };
    let zone = if zone.is_empty() { "Z" } else { zone };
    Primitive::DateTime.is_valid(&format!("{date}T{clock}{seconds}{zone}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reads(kind: ParameterKind, text: &str) -> bool {
        let schema = SearchSchema::new(["Patient", "Group"], |_| Vec::new());
        let Some(value) = SearchValue::parse(kind, text, &schema) else { return false };
        let mut written = String::new();
        value.write(&mut written);
        assert_eq!(SearchValue::parse(kind, &written, &schema), Some(value), "{text}");
        true
    }

    #[test]
    fn each_kind_has_its_grammar() {
        use ParameterKind::*;
        let cases: [(ParameterKind, &[&str], &[&str]); 8] = [
            (Number, &["100", "100.00", "ge-5.4", "1e2"], &["", "ge", "five", "1,2", "xx5"]),
            (
                Date,
                &["2026", "ge2026-02", "sa2026-02-28", "2026-02-28T10:00", "le2026-02-28T10:00:00.5+01:00"],
                &["", "26", "2026-02-30", "2026-02-28T10", "2026-02-28T10:00 01:00", "gte2026"],
            ),
            (Text, &["Rossi", "D'Angelo", r"Rossi\, Mario", "a|b$c"], &["", r"a\b"]),
            (Token, &["a", "http://loinc.org|1-8", "|a", "http://loinc.org|", r"a\|b"], &["", "|", "a|b|c"]),
            (
                Reference,
                &["1", "Patient/1", "Group/1", "https://other.example/fhir/Patient/1", "urn:uuid:7b"],
                &["", "Patient/", "patient/1", "Nobody/1", "Patient/1/_history/2", "a b", "../Patient/1"],
            ),
            (Composite, &["a$b", r"a\$b$c"], &["", "a", "a$", "$b"]),
            (
                Quantity,
                &["5.4", "gt5.4|http://unitsofmeasure.org|mg", "5||mg"],
                &["", "mg", "5|mg", "5||", "5|a|b|c"],
            ),
            (Uri, &["http://example.org/x", "urn:oid:1.2"], &["", "a b"]),
        ];
        for (kind, good, bad) in cases {
            for text in good {
                assert!(reads(kind, text), "{kind:?} {text}");
            }
            for text in bad {
                assert!(!reads(kind, text), "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn an_identifier_by_type_has_three_parts() {
        assert!(SearchValue::parse_of_type("http://terminology.hl7.org/CodeSystem/v2-0203|NI|X").is_some());
        assert!(SearchValue::parse_of_type("NI|X").is_none());
        assert!(SearchValue::parse_of_type("|NI|X").is_none());
    }
}
