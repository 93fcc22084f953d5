//! Finds `<script` in a body, also where JSON escapes hide a part of it (RFC 8259, section 7).

const TAG: &[u8] = b"<script";

/// Whether the body, with its JSON escapes resolved, contains `<script` in any case.
pub fn contained(body: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) =
        body.get(from..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'<' | b'\\')))
    {
        let at = from + found;
        if tag_starts(body, at) {
            return true;
        }
        // An escape is stepped over whole, so that the second half of `\\\\` starts none.
        from = at + character(body, at).map_or(1, |(_, width)| width);
    }
    false
}

fn tag_starts(body: &[u8], mut at: usize) -> bool {
    TAG.iter().all(|expected| {
        let Some((written, width)) = character(body, at) else { return false };
        at += width;
        written.eq_ignore_ascii_case(expected)
    })
}

/// The character that starts at `at` as one byte, and how many bytes of the body write it. An escape for a character
/// outside of ASCII comes back as 0, which matches nothing.
fn character(body: &[u8], at: usize) -> Option<(u8, usize)> {
    let first = *body.get(at)?;
    if first != b'\\' {
        return Some((first, 1));
    }
    let Some(escaped) = body.get(at + 1) else {
        return Some((first, 1));
    };
    if *escaped != b'u' {
        return Some((*escaped, 2));
    }
    let Some(digits) = body.get(at + 2..at + 6) else {
        return Some((first, 1));
    };
    let code = digits
        .iter()
        .try_fold(0_u32, |code, digit| char::from(*digit).to_digit(16).map(|digit| code * 16 + digit));
    match code {
        Some(code) => Some((u8::try_from(code).unwrap_or(0), 6)),
        None => Some((first, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_however_it_is_written() {
        for body in [
            "<script>",
            "<ScRiPt src=x>",
            r"\u003cscript",
            r"\u003C\u0073cript",
            r"<\u0073\u0063ript",
            "<<script",
            "<scr<script",
        ] {
            assert!(contained(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn other_text_is_not_a_script() {
        for body in [
            "",
            "<scrip",
            "< script",
            r"\\u003cscrip",
            "prescription",
            r"\u00",
            r"\",
            "\\u0000script",
            r"\\u003cscript",
        ] {
            assert!(!contained(body.as_bytes()), "{body}");
        }
    }
}
