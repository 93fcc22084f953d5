//! Identifiers as HL7 v2 writes them (CX, v2.5.1 §2.A.14), where claims of IHE IUA and FSE 2.0 carry them.

use crate::requester::BusinessIdentifier;

impl BusinessIdentifier {
    /// Reads `value^^^namespace&OID&ISO`, as in `RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO`: its system becomes
    /// `urn:oid:…`. An authority of type `URI` names its system itself. `None` where the value or a universal authority is
    /// missing, or where an escape would have to be understood.
    pub fn of_cx(text: &str) -> Option<BusinessIdentifier> {
        let mut parts = text.split('^');
        let value = parts.next().filter(|value| is_plain(value))?;
        let mut authority = parts.nth(2)?.split('&');
        let (universal, kind) = (authority.nth(1)?, authority.next()?);
        let system = match kind {
            "ISO" if is_oid(universal) => format!("urn:oid:{universal}"),
            "URI" if is_plain(universal) && universal.contains(':') => universal.to_owned(),
            _ => return None,
        };
        authority.next().is_none().then(|| BusinessIdentifier::new(system, value))
    }
}

/// Letters that mean themselves: no separator, escape, space or control.
fn is_plain(text: &str) -> bool {
    let means_itself = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'~' | b'&' | b'|');
    !text.is_empty() && text.bytes().all(means_itself)
}

fn is_oid(text: &str) -> bool {
    let arc = |arc: &str| {
        !arc.is_empty()
            && arc.bytes().all(|byte| byte.is_ascii_digit())
            && (arc == "0" || !arc.starts_with('0'))
    };
    text.contains('.') && text.split('.').all(arc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cx_names_its_authority() {
        let read = |text| BusinessIdentifier::of_cx(text);
        let own = BusinessIdentifier::new("urn:oid:2.16.840.1.113883.2.9.4.3.2", "RSSMRA71E01F205E");
        assert_eq!(read("RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO"), Some(own.clone()));
        assert_eq!(read("RSSMRA71E01F205E^^^MEF&2.16.840.1.113883.2.9.4.3.2&ISO^NNITA"), Some(own));
        assert_eq!(
            read("7^^^&http://hl7.it/sid/anpr&URI"),
            Some(BusinessIdentifier::new("http://hl7.it/sid/anpr", "7"))
        );
        for nobody in [
            "",
            "RSSMRA71E01F205E",
            "^^^&2.16.840.1&ISO",
            "7^^^MEF",
            "7^^^&2.16.840.1&DNS",
            "7^^^&2..840&ISO",
            "7^^^&2.016&ISO",
            "7^^^&2&ISO",
            "7^^^&2.16&ISO&x",
            "7\\T\\8^^^&2.16.840.1&ISO",
            "7~8^^^&2.16.840.1&ISO",
            "7 8^^^&2.16.840.1&ISO",
            "7^^^&nowhere&URI",
        ] {
            assert_eq!(read(nobody), None, "{nobody}");
        }
    }
}
