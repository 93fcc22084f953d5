//! A narrative proven sound while it is still JSON: one pass, nothing unescaped, nothing kept.
//!
//! Most narratives are plain tables and paragraphs. This scanner accepts a part of what [`check`] accepts, and
//! gives up on anything unusual: comments, CDATA, links into the document, escapes that could hide a character
//! that matters. Invariant:
//! what it accepts, `check` accepts once the escapes are undone; and the text has no control characters, and
//! begins and ends with its `div`.
//!
//! [`check`]: super::narrative::check

use super::narrative::{ATTRIBUTES, ELEMENTS, NAMESPACE, element, is_known};

/// Deepest nesting that is followed here.
const DEEPEST: usize = 32;

/// What a byte of running text is: the end of a plain run, a space, or something to read.
const RUN_END: u8 = 1;
const READABLE: u8 = 2;

const CLASS: [u8; 256] = {
    let mut table = [READABLE; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'<' | b'&' | b'\\' => RUN_END,
            // Characters beyond ASCII may be spaces.
            b' ' | 0x80.. => 0,
            _ => READABLE,
        };
        byte += 1;
    }
    table
};

/// True where the inside of a JSON string is proven to be a sound narrative.
pub fn is_sound(inside: &str) -> bool {
    Proof { bytes: inside.as_bytes(), at: 0, readable: false }.whole().is_some()
}

struct Proof<'t> {
    bytes: &'t [u8],
    at: usize,
    readable: bool,
}

impl<'t> Proof<'t> {
    fn whole(&mut self) -> Option<()> {
        let mut open = [0u8; DEEPEST];
        let mut depth = 0;
        self.spaces();
        self.tag(&mut open, &mut depth, true)?;
        while depth > 0 {
            self.text()?;
            if self.next_is_closing() {
                let name = ELEMENTS.get(usize::from(*open.get(depth - 1)?))?.0;
                self.take(name.as_bytes())?;
                self.spaces();
                self.take(b">")?;
                depth -= 1;
            } else {
                self.tag(&mut open, &mut depth, false)?;
            }
        }
        self.spaces();
        (self.readable && self.at == self.bytes.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, text: &[u8]) -> Option<()> {
        let found = self.bytes.get(self.at..)?.starts_with(text);
        self.at += text.len();
        found.then_some(())
    }

    /// White space, most of it as escapes: a JSON string has no line ends of its own.
    fn spaces(&mut self) {
        loop {
            match self.bytes.get(self.at..) {
                Some([b' ', ..]) => self.at += 1,
                Some([b'\\', b'n' | b'r' | b't', ..]) => self.at += 2,
                _ => return,
            }
        }
    }

    /// Text up to the next tag.
    fn text(&mut self) -> Option<()> {
        let mut seen = 0;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let mut length = rest.len();
            for (at, byte) in rest.iter().enumerate() {
                let class = CLASS[usize::from(*byte)];
                if class == RUN_END {
                    length = at;
                    break;
                }
                seen |= class;
            }
            self.at += length;
            match rest.get(length..)? {
                [b'<', ..] => break,
                [b'&', after @ ..] => {
                    let name =
                        after.iter().take_while(|it| it.is_ascii_alphanumeric() || **it == b'#').count();
                    if !is_known(after.get(..name)?) || after.get(name) != Some(&b';') {
                        return None;
                    }
                    seen |= READABLE;
                    self.at += 2 + name;
                }
                [b'\\', b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'"' | b'/' | b'\\', ..] => {
                    seen |= READABLE;
                    self.at += 2;
                }
                // ASCII written so may be anything, `<` included.
                [b'\\', b'u', hex @ ..] => {
                    let ascii = matches!(hex, [b'0', b'0', b'0'..=b'7', ..]);
                    if ascii {
                        return None;
                    }
                    self.at += 6;
                }
                _ => return None,
            }
        }
        self.readable |= seen & READABLE != 0;
        Some(())
    }

    /// Takes `</`, if it stands here.
    fn next_is_closing(&mut self) -> bool {
        let length = match self.bytes.get(self.at..) {
            Some([b'<', b'/', ..]) => 2,
            Some([b'<', b'\\', b'/', ..]) => 3,
            _ => return false,
        };
        self.at += length;
        true
    }

    /// An opening tag. `open` holds the numbers of the elements that are open.
    fn tag(&mut self, open: &mut [u8; DEEPEST], depth: &mut usize, root: bool) -> Option<()> {
        self.take(b"<")?;
        let name = self.word(|byte| byte.is_ascii_alphanumeric());
        let number = element(name)?;
        let (name, own) = ELEMENTS.get(usize::from(number))?;
        let mut namespace = false;
        if root && (*name != "div" || !matches!(self.peek(), Some(b' ' | b'\\'))) {
            return None;
        }
        loop {
            self.spaces();
            match self.bytes.get(self.at..)? {
                [b'>', ..] => {
                    self.at += 1;
                    *open.get_mut(*depth)? = number;
                    *depth += 1;
                    break;
                }
                [b'/', b'>', ..] if !root => {
                    self.at += 2;
                    break;
                }
                [b'\\', b'/', b'>', ..] if !root => {
                    self.at += 3;
                    break;
                }
                _ => {
                    let (attribute, value) = self.attribute()?;
                    let known = |list: &[&str]| list.iter().any(|it| it.as_bytes() == attribute);
                    if !known(ATTRIBUTES) && !known(own) {
                        return None;
                    }
                    namespace |= attribute == b"xmlns" && value == NAMESPACE.as_bytes();
                }
            }
        }
        self.readable |= *name == "img";
        (namespace || !root).then_some(())
    }

    fn word(&mut self, is: impl Fn(u8) -> bool) -> &'t [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is(**byte)).count();
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn attribute(&mut self) -> Option<(&'t [u8], &'t [u8])> {
        let name = self.word(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_'));
        self.take(b"=")?;
        let double = match self.bytes.get(self.at..)? {
            [b'\\', b'"', ..] => true,
            [b'\'', ..] => false,
            _ => return None,
        };
        self.at += if double { 2 } else { 1 };
        let start = self.at;
        // A script, perhaps behind white space, or a link into the document.
        if matches!(self.peek()?, b'j' | b'J' | b' ' | b'#' | 0x80..)
            || (self.peek()? == b'\\' && !matches!(self.bytes.get(start + 1), Some(b'"' | b'/')))
        {
            return None;
        }
        loop {
            match self.bytes.get(self.at..)? {
                [b'\\', b'"', ..] if double => {
                    self.at += 2;
                    return Some((name, self.bytes.get(start..self.at - 2)?));
                }
                [b'\'', ..] if !double => {
                    self.at += 1;
                    return Some((name, self.bytes.get(start..self.at - 1)?));
                }
                [b'\\', b'n' | b'r' | b't' | b'"' | b'/' | b'\\', ..] => self.at += 2,
                [b'<' | b'>' | b'&' | b'\\', ..] | [] => return None,
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::narrative::check;
    use super::*;
    use proptest::prelude::*;

    fn within(inside: &str) -> bool {
        is_sound(&format!(r#"<div xmlns=\"http://www.w3.org/1999/xhtml\">{inside}</div>"#))
    }

    #[test]
    fn plain_narratives_are_proven() {
        assert!(within("Glicemia"));
        assert!(within(r#"\n <p class=\"a\">Glicemia <b>alta</b><br/> &amp; chetoni</p> \r\n"#));
        assert!(within(r#"<table border=\"1\"><tr><td colspan='2'>120 \"mg\"</td></tr><\/table>"#));
        assert!(within(r#"<a href=\"https://example.org/a?b\">\u00e8 qui</a>"#));
        assert!(is_sound("<div xmlns='http://www.w3.org/1999/xhtml'><img src='x.png'/></div>"));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_other_check() {
        assert!(!within(""));
        assert!(!within(r"\u00a0"));
        assert!(!within(r"\u003cscript\u003e"));
        assert!(!within("<!-- nota -->x"));
        assert!(!within("<p>x"));
        assert!(!within("x</p>"));
        assert!(!within(r#"<a href=\"javascript:x()\">x</a>"#));
        assert!(!within(r#"<p onclick=\"x()\">x</p>"#));
        assert!(!within("a & b"));
        assert!(!within("CPT&reg;"));
        assert!(!within(r##"<a href=\"#x\">x</a>"##));
        assert!(!within(r"x\f"));
        assert!(!is_sound(r#"<div>x</div>"#));
        assert!(!is_sound(r#"<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>"#));
    }

    proptest! {
        #[test]
        fn what_is_proven_is_sound(
            parts in prop::collection::vec(
                prop::sample::select(&[
                    "<p>", "</p>", "<p ", "<br/>", "<b>", "</b>", ">", "/>", "x", " ", "\n", "&", "&lt;", "&nbsp;", "\"", "'",
                    " class=\"a\"", " href='b'", "<a href=\"c\">", "</a>", "=", "<", "<img src=\"y\"/>", "<script>",
                    " xmlns=\"http://www.w3.org/1999/xhtml\"", "\u{a0}", "è", "<div>", "</div>", "\\", "/", "\u{1}",
                ][..]),
                0..14,
            ),
            pick in 0u8..4,
        ) {
            let inner: String = parts.concat();
            let text = match pick {
                0 => inner,
                1 => format!("<div{inner}</div>"),
                _ => format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>"),
            };
            let json = serde_json::to_string(&text).unwrap();
            if is_sound(json.strip_prefix('"').unwrap().strip_suffix('"').unwrap()) {
                prop_assert_eq!(check(&text), Ok(()));
                prop_assert!(!text.bytes().any(|byte| byte == 1));
            }
        }
    }
}
