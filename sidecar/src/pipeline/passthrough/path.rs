//! A caller's path may be handed on only where every program reads it in the same way: none may find a way out of the path that
//! the route stands for.

use crate::fse::climbs;

/// True where it climbs, hides what it names, or may be cut into segments in two ways.
pub(super) fn is_unclear(path: &str) -> bool {
    !is_plain(path) && (climbs(path) || path.contains("//") || path.to_ascii_lowercase().contains("%00"))
}

/// True of most paths, told by one look at each byte: nothing is escaped, and no segment is empty or begins with a dot.
fn is_plain(path: &str) -> bool {
    let mut before = b'/';
    path.is_empty()
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.bytes().all(|byte| {
                let begins = std::mem::replace(&mut before, byte) == b'/';
                match byte {
                    b'%' | b'\\' | b';' => false,
                    b'/' | b'.' => !begins,
                    _ => true,
                }
            })
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_two_programs_may_read_differently_does_not_pass() {
        for path in
            ["/a/../b", "/a/..;x/b", "/%2E%2e/b", "/a%2fb", "/a%5cb", "/a\\b", "/a//b", "/a%00", "/%252e"]
        {
            assert!(is_unclear(path), "{path}");
        }
        for path in ["", "/", "/CodeSystem/$lookup", "/studies/1.2.840.10008", "/a%20b/c;v=1", "/..a"] {
            assert!(!is_unclear(path), "{path}");
        }
    }

    proptest! {
        /// The quick look lets nothing through that the thorough one would not.
        #[test]
        fn what_is_plain_is_clear(path in "(/|[%\\\\;.]|%2[ef5]|[a-z]){0,8}") {
            prop_assert!(!is_plain(&path) || !(climbs(&path) || path.contains("//") || path.contains('%')), "{path}");
        }

        /// Whatever a server unescapes, once or twice, and however it cuts parameters off: no segment climbs.
        #[test]
        fn what_passes_never_climbs(path in "(/|%2[efEF5]|[.;a%/]){0,12}") {
            if !is_unclear(&path) {
                let mut read = path.to_ascii_lowercase();
                for _ in 0..2 {
                    for (escaped, plain) in [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%25", "%")] {
                        read = read.replace(escaped, plain);
                    }
                    for segment in read.split(['/', '\\']) {
                        prop_assert!(!matches!(segment.split(';').next(), Some("." | "..")), "{path} {read}");
                    }
                }
            }
        }
    }
}
