//! The parts of a `multipart/form-data` body (RFC 7578, RFC 2046 §5.1), as far as they are needed to look at them.
//!
//! Invariant: the bytes that are forwarded are never made from what is read here. What can't be read has no parts.

/// Most parts that are looked at.
const MOST_PARTS: usize = 32;
/// Most bytes of a part's header.
const LARGEST_HEADER: usize = 8 * 1024;
/// Longest boundary (RFC 2046 §5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The field's name.
    pub name: String,
    /// Its content.
    pub content: &'a [u8],
}

/// The parts of a body with this `Content-Type`; `None` where it is no such body or can't be read.
pub fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary =
        parameter(parameters, "boundary").filter(|own| (1..=LONGEST_BOUNDARY).contains(&own.len()))?;
    let delimiter = format!("--{boundary}");
    let mut rest = match body.strip_prefix(delimiter.as_bytes()) {
        Some(rest) => rest,
        None => after(body, format!("\r\n{delimiter}").as_bytes())?.1,
    };
    let next = format!("\r\n{delimiter}");
    let mut found = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(found);
        }
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        rest = rest.get(blank..)?.strip_prefix(b"\r\n")?;
        let (header, content) = match rest.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => after(rest, b"\r\n\r\n")?,
        };
        if header.len() > LARGEST_HEADER || found.len() == MOST_PARTS {
            return None;
        }
        let (content, left) = after(content, next.as_bytes())?;
        found.push(Part { name: name(std::str::from_utf8(header).ok()?)?, content });
        rest = left;
    }
}

/// What stands before and after the first `mark`.
fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(step) = text.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + step;
        if text.get(at..)?.starts_with(mark) {
            return Some((text.get(..at)?, text.get(at + mark.len()..)?));
        }
        from = at + 1;
    }
    None
}

fn name(header: &str) -> Option<String> {
    let disposition = header.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    parameter(disposition.split_once(';')?.1, "name")
}

/// The value of a parameter; of a quoted one, what is between the quotes.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, value) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let (value, left) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"')?;
                (quoted.get(..end)?, quoted.get(end + 1..)?)
            }
            None => value.split_once(';').unwrap_or((value, "")),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.trim().to_owned());
        }
        rest = left;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"--b b\"";

    fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, content) in parts {
            body.extend_from_slice(
                b"----b b\r\nContent-Type: x/y\r\ncontent-disposition: form-data; filename=\"a;b.pdf\"; ",
            );
            body.extend_from_slice(format!("name=\"{name}\"\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"----b b--\r\n");
        body
    }

    #[test]
    fn parts_have_names_and_contents() {
        let text = body(&[("requestBody", b"{}"), ("file", b"%PDF\r\n--\r\n")]);
        let read = parts(TYPE, &text).unwrap();
        assert_eq!((read[0].name.as_str(), read[0].content), ("requestBody", &b"{}"[..]));
        assert_eq!((read[1].name.as_str(), read[1].content), ("file", &b"%PDF\r\n--\r\n"[..]));
        assert_eq!(parts("application/json", &text), None);
        assert_eq!(parts("multipart/form-data", &text), None);
        assert_eq!(parts(TYPE, &text[..text.len() - 9]), None, "it has no end");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(kind in "(multipart/form-data; ?)?[a-z=\";-]{0,20}", text: Vec<u8>) {
            let _ = parts(&kind, &text);
            let _ = parts(TYPE, &[b"----b b\r\n", &text[..]].concat());
        }

        #[test]
        fn what_was_put_in_is_read(one in prop::collection::vec(any::<u8>(), 0..200), other: Vec<u8>) {
            prop_assume!(after(&one, b"--b b").is_none() && after(&other, b"--b b").is_none());
            let text = body(&[("one", &one), ("other", &other)]);
            let read = parts(TYPE, &text).unwrap();
            prop_assert_eq!((read[0].content, read[1].content), (&one[..], &other[..]));
        }
    }
}
