//! Markup, and text in it that can't become markup.

use super::super::excerpt::visible;

/// An HTML page as it is written.
///
/// Invariant: what is not a constant of the program passes [`Page::text`] or [`Page::shown`]. Values of attributes
/// stand in double quotes.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub fn new() -> Page {
        Page::default()
    }

    /// Markup from the program text.
    pub fn raw(&mut self, markup: &'static str) -> &mut Page {
        self.text.push_str(markup);
        self
    }

    /// Text, escaped for content and for quoted attributes.
    pub fn text(&mut self, text: &str) -> &mut Page {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                c => self.text.push(c),
            }
        }
        self
    }

    /// Text from outside, with control characters made visible, and escaped.
    pub fn shown(&mut self, text: &str) -> &mut Page {
        self.text(&visible(text))
    }

    /// A number.
    pub fn number(&mut self, number: usize) -> &mut Page {
        self.text(&super::thousands(number))
    }

    pub fn finish(self) -> String {
        self.text
    }
}
