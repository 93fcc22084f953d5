//! Functions on strings (FHIRPath §String Manipulation). Positions and lengths count characters.

use super::encoding;
use super::equality::is_textual;
use super::error::EvaluationFault;
use super::evaluate::{Machine, Outcome};
use super::function::{Function, Takes};
use super::item::{Item, Text};
use super::regular;
use super::syntax::Ref;

impl<'a> Machine<'_, 'a> {
    /// Answers a function on strings; false where it is none.
    pub(super) fn string_function(
        &mut self,
        node: Ref,
        function: Function,
        item: &Item<'a>,
        arguments: &[Option<Item<'a>>],
        given: usize,
    ) -> Outcome<bool> {
        use Function as F;
        if function.takes() != Takes::Text {
            return Ok(false);
        }
        let input = match self.system(item) {
            Some(Item::Text(text)) => text,
            None if matches!(item, Item::Node(place) if is_textual(*place) && !self.nav.has_value(place)) => {
                return Ok(true);
            }
            _ => return self.wrong_type(node, function.name(), "strings", item),
        };
        let text = input.as_str();
        if function == F::Substring {
            self.substring(node, &input, arguments)?;
            return Ok(true);
        }
        // An empty argument gives an empty result.
        let mut texts: [&str; 3] = [""; 3];
        for (slot, argument) in texts.iter_mut().zip(arguments.iter().take(given)) {
            match argument {
                Some(Item::Text(text)) => *slot = text.as_str(),
                Some(other) => return self.wrong_type(node, function.name(), "a string as argument", other),
                None => return Ok(true),
            }
        }
        let [first, second, third] = texts;
        self.charge(node, text.len() as u64 / 64)?;
        let result = match function {
            F::StartsWith => Item::Boolean(text.starts_with(first)),
            F::EndsWith => Item::Boolean(text.ends_with(first)),
            F::Contains => Item::Boolean(text.contains(first)),
            F::IndexOf => position(text, text.find(first)),
            F::LastIndexOf => position(text, text.rfind(first)),
            F::Length => count(text.chars().count()),
            F::Matches | F::MatchesFull => {
                match self.matches(node, text, first, second, function == F::MatchesFull) {
                    Ok(answer) => Item::Boolean(answer),
                    Err(stop) => return Err(stop),
                }
            }
            F::Upper => return self.push_text(node, text.to_uppercase()).map(|()| true),
            F::Lower => return self.push_text(node, text.to_lowercase()).map(|()| true),
            F::Trim => {
                return self
                    .push_text(node, text.trim_matches([' ', '\t', '\r', '\n']).to_owned())
                    .map(|()| true);
            }
            F::Replace => return self.replace(node, text, first, second).map(|()| true),
            F::ReplaceMatches => {
                return self.replace_matches(node, text, first, second, third).map(|()| true);
            }
            F::ToChars => {
                for found in text.chars() {
                    self.stack.push(Item::text(found.to_string()));
                }
                return Ok(true);
            }
            F::Split => {
                let parts: Vec<Item<'a>> = match first {
                    "" => text.chars().map(|found| Item::text(found.to_string())).collect(),
                    separator => text.split(separator).map(Item::text).collect(),
                };
                self.stack.extend(parts);
                return Ok(true);
            }
            _ => {
                let coded = match function {
                    F::Encode => encoding::encode(text, first),
                    F::Decode => encoding::decode(text, first),
                    F::Escape => encoding::escape(text, first),
                    _ => encoding::unescape(text, first),
                };
                return match coded {
                    Ok(Some(coded)) => self.push_text(node, coded).map(|()| true),
                    Ok(None) => Ok(true),
                    Err(encoding::UnknownFormat) => {
                        let fault = EvaluationFault::BadArgument(function.name(), "there is no such format");
                        self.stop(node, fault)
                    }
                };
            }
        };
        self.stack.push(result);
        Ok(true)
    }

    fn substring(&mut self, node: Ref, input: &Text<'a>, arguments: &[Option<Item<'a>>]) -> Outcome<()> {
        let number = |argument: Option<&Option<Item<'a>>>| match argument.and_then(Option::as_ref) {
            None => Ok(None),
            Some(item) => match item.whole() {
                Some(number) => Ok(Some(number)),
                None => self.wrong_type(node, "substring", "whole numbers as arguments", item),
            },
        };
        let Some(start) = number(arguments.first())? else { return Ok(()) };
        let length = number(arguments.get(1))?;
        let text = input.as_str();
        let Ok(start) = usize::try_from(start) else { return Ok(()) };
        let Some((from, _)) = text.char_indices().nth(start) else { return Ok(()) };
        let rest = text.get(from..).unwrap_or_default();
        let length = length.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(0));
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let range = from..from + end;
        let part = match input {
            Text::Borrowed(text) => Text::Borrowed(text.get(range).unwrap_or_default()),
            Text::Shared(text) => Text::Shared(text.get(range).unwrap_or_default().into()),
        };
        self.stack.push(Item::Text(part));
        Ok(())
    }

    fn matches(&mut self, node: Ref, text: &str, pattern: &str, flags: &str, whole: bool) -> Outcome<bool> {
        self.charge(node, text.len() as u64)?;
        if let Some(regex) = self.program.regex(node) {
            return Ok(regex.is_match(text));
        }
        self.charge(node, 1000)?;
        match regular::compile(pattern, flags, whole) {
            Ok(regex) => Ok(regex.is_match(text)),
            Err(cause) => self.stop(node, EvaluationFault::BadRegex(cause)),
        }
    }

    fn replace(&mut self, node: Ref, text: &str, pattern: &str, substitution: &str) -> Outcome<()> {
        let growth = (text.len() + 1).saturating_mul(substitution.len());
        if growth > self.limits.items.saturating_mul(64) {
            return self.stop(node, EvaluationFault::TooLarge);
        }
        self.push_text(node, text.replace(pattern, substitution))
    }

    fn replace_matches(
        &mut self,
        node: Ref,
        text: &str,
        pattern: &str,
        substitution: &str,
        flags: &str,
    ) -> Outcome<()> {
        if pattern.is_empty() {
            return self.push_text(node, text.to_owned());
        }
        self.charge(node, text.len() as u64)?;
        let growth = (text.len() + 1).saturating_mul(substitution.len());
        if growth > self.limits.items.saturating_mul(64) {
            return self.stop(node, EvaluationFault::TooLarge);
        }
        let program = self.program;
        let replaced = match program.regex(node) {
            Some(regex) => regular::replace(regex, text, substitution),
            None => {
                self.charge(node, 1000)?;
                match regular::compile(pattern, flags, false) {
                    Ok(regex) => regular::replace(&regex, text, substitution),
                    Err(cause) => return self.stop(node, EvaluationFault::BadRegex(cause)),
                }
            }
        };
        self.push_text(node, replaced)
    }
}

/// Characters before a byte offset, or -1.
fn position<'a>(text: &str, at: Option<usize>) -> Item<'a> {
    match at.and_then(|at| text.get(..at)) {
        Some(before) => count(before.chars().count()),
        None => Item::Integer(-1),
    }
}

fn count<'a>(number: usize) -> Item<'a> {
    Item::Integer(i32::try_from(number).unwrap_or(i32::MAX))
}
