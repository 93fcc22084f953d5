//! `htmlChecks()`: what a narrative may hold (FHIR R4 §2.4.0, `txt-1` and `txt-2`).
//!
//! Only formatting elements and attributes of XHTML, no scripts, forms, frames or event handlers; well
//! formed; one `div` around everything; and something to read. The scan is one pass without recursion.

/// What a narrative does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NarrativeFault {
    /// Not one `div` in the XHTML namespace.
    #[error("the narrative is not one div of XHTML")]
    Root,
    /// Tags that do not match, or other text that is no XML.
    #[error("the narrative is not well-formed XML")]
    Form,
    /// An element that formatting does not need.
    #[error("the narrative has an element that is not allowed")]
    Element,
    /// An attribute that formatting does not need.
    #[error("the narrative has an attribute that is not allowed")]
    Attribute,
    /// An entity that XML does not have: what HTML defines is unknown there (FHIR R4 §2.4.0).
    #[error(
        "the narrative has an entity that XML does not know: write the character, or its number as in &#160;"
    )]
    Entity,
    /// Nothing to read.
    #[error("the narrative has no text and no image")]
    Empty,
}

pub(super) const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";
/// Deepest nesting of elements.
const DEEPEST: usize = 256;

/// The elements by name, each with the attributes that it has beside [`ATTRIBUTES`].
pub(super) const ELEMENTS: &[(&str, &[&str])] = &[
    ("a", &["href", "name", "rel", "rev", "charset", "hreflang", "type", "target"]),
    ("abbr", &[]),
    ("acronym", &[]),
    ("address", &[]),
    ("area", &["alt", "coords", "href", "nohref", "shape"]),
    ("b", &[]),
    ("bdo", &[]),
    ("big", &[]),
    ("blockquote", &["cite"]),
    ("br", &["clear"]),
    ("caption", &[]),
    ("cite", &[]),
    ("code", &[]),
    ("col", &["align", "char", "charoff", "span", "valign", "width"]),
    ("colgroup", &["align", "char", "charoff", "span", "valign", "width"]),
    ("dd", &[]),
    ("dfn", &[]),
    ("div", &["align"]),
    ("dl", &[]),
    ("dt", &[]),
    ("em", &[]),
    ("font", &["color", "face", "size"]),
    ("h1", &["align"]),
    ("h2", &["align"]),
    ("h3", &["align"]),
    ("h4", &["align"]),
    ("h5", &["align"]),
    ("h6", &["align"]),
    ("hr", &["align", "noshade", "size", "width"]),
    ("i", &[]),
    (
        "img",
        &[
            "align", "alt", "border", "height", "hspace", "ismap", "longdesc", "src", "usemap", "vspace",
            "width",
        ],
    ),
    ("kbd", &[]),
    ("li", &["type", "value"]),
    ("map", &["name"]),
    ("ol", &["compact", "start", "type"]),
    ("p", &["align"]),
    ("pre", &["width"]),
    ("q", &["cite"]),
    ("samp", &[]),
    ("small", &[]),
    ("span", &[]),
    ("strong", &[]),
    ("sub", &[]),
    ("sup", &[]),
    (
        "table",
        &["align", "bgcolor", "border", "cellpadding", "cellspacing", "frame", "rules", "summary", "width"],
    ),
    ("tbody", &["align", "char", "charoff", "valign"]),
    (
        "td",
        &[
            "abbr", "align", "axis", "bgcolor", "char", "charoff", "colspan", "headers", "height", "nowrap",
            "rowspan", "scope", "valign", "width",
        ],
    ),
    ("tfoot", &["align", "char", "charoff", "valign"]),
    (
        "th",
        &[
            "abbr", "align", "axis", "bgcolor", "char", "charoff", "colspan", "headers", "height", "nowrap",
            "rowspan", "scope", "valign", "width",
        ],
    ),
    ("thead", &["align", "char", "charoff", "valign"]),
    ("tr", &["align", "bgcolor", "char", "charoff", "valign"]),
    ("tt", &[]),
    ("u", &[]),
    ("ul", &["compact", "type"]),
    ("var", &[]),
];

pub(super) const ATTRIBUTES: &[&str] = &[
    "accesskey",
    "class",
    "dir",
    "id",
    "lang",
    "style",
    "tabindex",
    "title",
    "xml:lang",
    "xml:space",
    "xmlns",
];

/// By first letter, where its elements begin in [`ELEMENTS`]; the last is where those of `z` end.
const FIRST: [u8; 27] = {
    let mut first = [0; 27];
    let mut letter = 0;
    while letter < 27 {
        let mut at = 0;
        while at < ELEMENTS.len() && ELEMENTS[at].0.as_bytes()[0] < b'a' + letter as u8 {
            at += 1;
        }
        first[letter] = at as u8;
        letter += 1;
    }
    first
};

/// The number in [`ELEMENTS`] of the element with this name.
pub(super) fn element(name: &[u8]) -> Option<u8> {
    let letter = usize::from(name.first()?.wrapping_sub(b'a'));
    let (start, end) = (*FIRST.get(letter)?, *FIRST.get(letter + 1)?);
    (start..end)
        .find(|number| ELEMENTS.get(usize::from(*number)).is_some_and(|(known, _)| known.as_bytes() == name))
}

const BLANK: u8 = 0;
const PLAIN: u8 = 1;
const AMPERSAND: u8 = 2;
/// Part of a character beyond ASCII: it may be a space.
const WIDE: u8 = 4;
const TAG: u8 = 8;

/// What a byte of running text is.
const CLASS: [u8; 256] = {
    let mut table = [PLAIN; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'\t' | b'\n' | 0x0B | 0x0C | b'\r' | b' ' => BLANK,
            b'&' => AMPERSAND | PLAIN,
            b'<' => TAG,
            0x80.. => WIDE,
            _ => PLAIN,
        };
        byte += 1;
    }
    table
};

/// Checks the text of `Narrative.div`.
pub fn check(text: &str) -> Result<(), NarrativeFault> {
    check_attributes(text, &mut |_, _, _| {})
}

/// [`check`], showing each attribute in its order: the element's name, its own name, its value as written.
pub fn check_attributes(text: &str, visit: &mut dyn FnMut(&str, &str, &str)) -> Result<(), NarrativeFault> {
    let mut scan = Scan { open: Vec::new(), filled: false, started: false, entity: false };
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = scan.text(rest)?;
        if !rest.is_empty() {
            rest = scan.tag(rest, visit)?;
        }
    }
    match (scan.started, scan.open.is_empty(), scan.filled) {
        (false, ..) => Err(NarrativeFault::Root),
        (_, false, _) => Err(NarrativeFault::Form),
        _ if scan.entity => Err(NarrativeFault::Entity),
        (_, _, false) => Err(NarrativeFault::Empty),
        _ => Ok(()),
    }
}

struct Scan<'t> {
    open: Vec<&'t str>,
    filled: bool,
    started: bool,
    /// An unknown entity was met.
    entity: bool,
}

impl<'t> Scan<'t> {
    /// Text up to the next tag; gives what follows.
    fn text(&mut self, text: &'t str) -> Result<&'t str, NarrativeFault> {
        let (mut end, mut classes) = (text.len(), 0);
        for (at, byte) in text.bytes().enumerate() {
            let class = CLASS[usize::from(byte)];
            if class == TAG {
                end = at;
                break;
            }
            classes |= class;
        }
        let (text, after) = text.split_at(end);
        let blank = classes & PLAIN == 0 && (classes == BLANK || text.trim().is_empty());
        if !blank && self.open.is_empty() {
            return Err(NarrativeFault::Root);
        }
        self.filled |= !blank;
        if classes & AMPERSAND != 0 {
            self.entity |= entities(text)?;
        }
        Ok(after)
    }

    /// A tag, comment or CDATA section at the start of `text`; gives what follows.
    fn tag(
        &mut self,
        text: &'t str,
        visit: &mut dyn FnMut(&str, &str, &str),
    ) -> Result<&'t str, NarrativeFault> {
        if let Some(comment) = text.strip_prefix("<!--") {
            return comment.split_once("-->").map(|(_, rest)| rest).ok_or(NarrativeFault::Form);
        }
        if let Some(data) = text.strip_prefix("<![CDATA[") {
            let (data, rest) = data.split_once("]]>").ok_or(NarrativeFault::Form)?;
            self.filled |= !data.trim().is_empty();
            return Ok(rest);
        }
        if let Some(closing) = text.strip_prefix("</") {
            let (name, rest) = closing.split_once('>').ok_or(NarrativeFault::Form)?;
            let matches = self.open.pop() == Some(name.trim_end());
            return if matches { Ok(rest) } else { Err(NarrativeFault::Form) };
        }
        let body = text.strip_prefix('<').unwrap_or_default();
        let length = body.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, mut rest) = body.split_at(length);
        if name.is_empty() {
            return Err(NarrativeFault::Form);
        }
        let number = element(name.as_bytes()).ok_or(NarrativeFault::Element)?;
        let own = ELEMENTS.get(usize::from(number)).map_or(&[][..], |(_, own)| *own);
        let root = self.open.is_empty();
        if root && (self.started || name != "div") {
            return Err(NarrativeFault::Root);
        }
        let mut namespace = false;
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("/>") {
                rest = after;
                break;
            }
            if let Some(after) = rest.strip_prefix('>') {
                if self.open.len() >= DEEPEST {
                    return Err(NarrativeFault::Form);
                }
                self.open.push(name);
                rest = after;
                break;
            }
            let (attribute, value, after) = attribute(rest).ok_or(NarrativeFault::Form)?;
            let known = ATTRIBUTES.contains(&attribute) || own.contains(&attribute);
            if !known || is_script(value) {
                return Err(NarrativeFault::Attribute);
            }
            self.entity |= entities(value)?;
            visit(name, attribute, value);
            namespace |= attribute == "xmlns" && value == NAMESPACE;
            rest = after;
        }
        if root && !namespace {
            return Err(NarrativeFault::Root);
        }
        self.started = true;
        self.filled |= name == "img";
        Ok(rest)
    }
}

/// References to characters and entities are complete. True where one is to an entity that XML doesn't have.
fn entities(text: &str) -> Result<bool, NarrativeFault> {
    let mut unknown = false;
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let after = rest.get(at + 1..).unwrap_or_default();
        let length = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'#').count();
        if length == 0 || after.as_bytes().get(length) != Some(&b';') {
            return Err(NarrativeFault::Form);
        }
        unknown |= !is_known(after.as_bytes().get(..length).unwrap_or_default());
        rest = after;
    }
    Ok(unknown)
}

/// True for what stands between `&` and `;` where XML knows it without a declaration.
pub(super) fn is_known(name: &[u8]) -> bool {
    matches!(name, b"amp" | b"lt" | b"gt" | b"quot" | b"apos" | [b'#', ..])
}

fn is_script(value: &str) -> bool {
    const SCHEME: &str = "javascript:";
    let start = value.trim_start().as_bytes().get(..SCHEME.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
}

/// Name and value of an attribute, and what follows.
fn attribute(text: &str) -> Option<(&str, &str, &str)> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_');
    let (name, rest) = text.split_at(text.bytes().take_while(|byte| plain(byte)).count());
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.bytes().next().filter(|it| !name.is_empty() && matches!(it, b'"' | b'\''))?;
    let inner = rest.get(1..)?;
    let end = inner.bytes().position(|byte| byte == quote || byte == b'<')?;
    let (value, after) = inner.split_at(end);
    let after = after.strip_prefix(char::from(quote))?;
    Some((name, value, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(content: &str) -> Result<(), NarrativeFault> {
        check(&format!("<div xmlns=\"{NAMESPACE}\">{content}</div>"))
    }

    #[test]
    fn formatting_is_fine() {
        assert_eq!(
            within("<p style='color: red'>Glicemia <b>alta</b> &amp; chetoni &#233;</p><br/>"),
            Ok(())
        );
        assert_eq!(
            within("<table border=\"1\"><tr><td colspan=\"2\">120</td></tr></table><!-- note -->"),
            Ok(())
        );
        assert_eq!(within("<img src=\"#p1\" alt=\"ECG\"/>"), Ok(()));
        assert_eq!(within("<a name=\"x\"/>a<a href=\"http://hl7.it\">b</a>"), Ok(()));
    }

    #[test]
    fn anything_active_is_not() {
        assert_eq!(within("<script>x</script>"), Err(NarrativeFault::Element));
        assert_eq!(within("<form>x</form>"), Err(NarrativeFault::Element));
        assert_eq!(within("<p onclick=\"x()\">x</p>"), Err(NarrativeFault::Attribute));
        assert_eq!(within("<a href=\" JavaScript:x()\">x</a>"), Err(NarrativeFault::Attribute));
    }

    #[test]
    fn html_entities_are_unknown() {
        assert_eq!(within("CPT&reg;"), Err(NarrativeFault::Entity));
        assert_eq!(within("<a href=\"http://hl7.it?a=1&amp;b=2\">b &lt;</a>"), Ok(()));
        assert_eq!(within("<a href=\"http://hl7.it?a=1&b=2\">b</a>"), Err(NarrativeFault::Form));
        // What is worse is told first.
        assert_eq!(within("&nbsp;<script/>"), Err(NarrativeFault::Element));
    }

    #[test]
    fn attributes_are_shown() {
        let mut seen = Vec::new();
        let text = format!("<div xmlns=\"{NAMESPACE}\"><a href='#x'>x</a></div>");
        let shown = check_attributes(&text, &mut |element, name, value| {
            seen.push(format!("{element} {name} {value}"));
        });
        assert_eq!(shown, Ok(()));
        assert_eq!(seen, [format!("div xmlns {NAMESPACE}").as_str(), "a href #x"]);
    }

    #[test]
    fn the_form_must_be_right() {
        assert_eq!(within("<p>x</b>"), Err(NarrativeFault::Form));
        assert_eq!(within("a & b"), Err(NarrativeFault::Form));
        assert_eq!(within("<p class=x>x</p>"), Err(NarrativeFault::Form));
        assert_eq!(within("  <p> </p> "), Err(NarrativeFault::Empty));
        assert_eq!(check("<div>x</div>"), Err(NarrativeFault::Root));
        assert_eq!(check("x"), Err(NarrativeFault::Root));
        assert_eq!(check(""), Err(NarrativeFault::Root));
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_check(text in "\\PC{0,60}|(<|>|/|div| |=|\"|&|;|!|-|p|a){0,40}") {
            let _ = check(&text);
            let _ = within(&text);
        }
    }
}
