//! Regular expressions, linear in time (FHIRPath §matches): dot matches line ends, case counts.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

/// Longest pattern, in bytes.
const LONGEST: usize = 8 * 1024;
/// Largest compiled form, in bytes.
const LARGEST: usize = 1 << 20;

/// Compiles a pattern; `whole` asks it to match the whole text. Flags are `i` and `m`.
pub(super) fn compile(pattern: &str, flags: &str, whole: bool) -> Result<Regex, String> {
    if pattern.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let pattern = if whole { Cow::Owned(format!("^(?:{pattern})$")) } else { Cow::Borrowed(pattern) };
    let mut builder = RegexBuilder::new(&pattern);
    builder.dot_matches_new_line(true).size_limit(LARGEST).nest_limit(64);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            _ => return Err("its flags are not i or m".to_owned()),
        };
    }
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => {
            other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    })
}

/// Replaces every match; `$1` and `${name}` in the substitution stand for groups.
pub(super) fn replace(regex: &Regex, text: &str, substitution: &str) -> String {
    regex.replace_all(text, |captures: &Captures<'_>| expanded(captures, substitution)).into_owned()
}

fn expanded(captures: &Captures<'_>, substitution: &str) -> String {
    let mut out = String::new();
    let mut rest = substitution;
    while let Some(at) = rest.find('$') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (group, used) = if let Some((name, _)) = after.strip_prefix('{').and_then(|it| it.split_once('}'))
        {
            let found =
                name.parse().ok().and_then(|number| captures.get(number)).or_else(|| captures.name(name));
            (found.map_or("", |it| it.as_str()), name.len() + 2)
        } else if digits > 0 {
            let number = after.get(..digits).and_then(|it| it.parse().ok());
            (number.and_then(|it| captures.get(it)).map_or("", |it| it.as_str()), digits)
        } else {
            ("$", usize::from(after.starts_with('$')))
        };
        out.push_str(group);
        rest = after.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_put_in() {
        let date = compile(r"\b(?<month>\d{1,2})/(?<day>\d{1,2})/(?<year>\d{2,4})\b", "", false).unwrap();
        assert_eq!(replace(&date, "11/30/1972", "${day}-${month}-${year}"), "30-11-1972");
        assert_eq!(replace(&date, "11/30/1972", "$2x$$ $"), "30x$ $");
    }

    #[test]
    fn flags_and_bounds() {
        assert!(compile("^second", "m", false).unwrap().is_match("first\nsecond"));
        assert!(compile("a.b", "", false).unwrap().is_match("a\nb"));
        assert!(!compile("Library", "", true).unwrap().is_match("a Library"));
        assert!(compile("a", "x", false).is_err());
        assert!(compile("(", "", false).is_err());
        assert!(compile("(a{1000}){1000}", "", false).is_err());
        assert!(compile(&"a".repeat(10_000), "", false).is_err());
    }
}
