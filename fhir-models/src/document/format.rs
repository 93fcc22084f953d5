//! Telling JSON from XML by what the text begins with.

/// How FHIR is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// FHIR JSON, `application/fhir+json`.
    Json,
    /// FHIR XML, `application/fhir+xml`.
    Xml,
}

impl Format {
    /// XML where the first byte that is not white space is `<`, JSON for everything else. A byte-order mark
    /// before it is passed over here; whether it may stand there is for the parser to say.
    pub fn of(text: &[u8]) -> Format {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'<') => Format::Xml,
            _ => Format::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_not_blank_decides() {
        assert_eq!(Format::of(b" \r\n{\"a\":\"<\"}"), Format::Json);
        assert_eq!(Format::of(b"\xEF\xBB\xBF\n <Patient/>"), Format::Xml);
        assert_eq!(Format::of(b"<?xml"), Format::Xml);
        assert_eq!(Format::of(b""), Format::Json);
    }
}
