//! What differs between two texts, line by line.

/// Lines of context around a difference.
const CONTEXT: usize = 2;
/// Most lines of each text that are compared with one another, after what they begin and end with alike.
const COMPARED: usize = 1500;

/// Lines that start with a space where both have them, `-` where only `wanted` has, `+` where only `got` has.
pub fn difference(wanted: &str, got: &str) -> Vec<String> {
    let (wanted, got): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), got.lines().collect());
    let before = wanted.iter().zip(&got).take_while(|(one, other)| one == other).count();
    let (left, right) = (wanted.get(before..).unwrap_or_default(), got.get(before..).unwrap_or_default());
    let after = left.iter().rev().zip(right.iter().rev()).take_while(|(one, other)| one == other).count();
    let middle = |all: &[&'_ str]| all.len().saturating_sub(after);
    let (left, right) =
        (left.get(..middle(left)).unwrap_or_default(), right.get(..middle(right)).unwrap_or_default());

    let alike = |lines: &[&str]| lines.iter().map(|line| format!(" {line}")).collect::<Vec<_>>();
    let mut out = alike(wanted.get(before.saturating_sub(CONTEXT)..before).unwrap_or_default());
    out.extend(changed(left, right));
    let end = wanted.len().saturating_sub(after);
    out.extend(alike(wanted.get(end..wanted.len().min(end.saturating_add(CONTEXT))).unwrap_or_default()));
    out
}

/// The shortest way from one to the other, by their longest common subsequence.
fn changed(left: &[&str], right: &[&str]) -> Vec<String> {
    let removed = |line: &&str| format!("-{line}");
    let added = |line: &&str| format!("+{line}");
    if left.len() > COMPARED || right.len() > COMPARED {
        let first =
            |lines: &[&str], mark: fn(&&str) -> String| lines.iter().take(20).map(mark).collect::<Vec<_>>();
        let mut out = first(left, removed);
        out.extend(first(right, added));
        out.push(format!(" … {} lines against {}", left.len(), right.len()));
        return out;
    }
    let width = right.len().saturating_add(1);
    // How many lines are common from (row, column) on.
    let mut common = vec![0_u16; width.saturating_mul(left.len().saturating_add(1))];
    let at = |row: usize, column: usize| row.saturating_mul(width).saturating_add(column);
    let read = |common: &[u16], row, column| common.get(at(row, column)).copied().unwrap_or(0);
    for (row, one) in left.iter().enumerate().rev() {
        for (column, other) in right.iter().enumerate().rev() {
            let (down, on) = (row.saturating_add(1), column.saturating_add(1));
            let best = if one == other {
                read(&common, down, on).saturating_add(1)
            } else {
                read(&common, down, column).max(read(&common, row, on))
            };
            if let Some(cell) = common.get_mut(at(row, column)) {
                *cell = best;
            }
        }
    }
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut out = Vec::new();
    loop {
        let (down, on) = (row.saturating_add(1), column.saturating_add(1));
        match (left.get(row), right.get(column)) {
            (Some(one), Some(other)) if one == other => {
                out.push(format!(" {one}"));
                (row, column) = (down, on);
            }
            (Some(one), other)
                if other.is_none() || read(&common, down, column) >= read(&common, row, on) =>
            {
                out.push(removed(one));
                row = down;
            }
            (_, Some(other)) => {
                out.push(added(other));
                column = on;
            }
            (_, None) => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_between_what_did_not() {
        assert_eq!(difference("a\nb\nc\nd\ne", "a\nb\nx\nd\ne"), [" a", " b", "-c", "+x", " d", " e"]);
        assert_eq!(difference("a\nb", "a\nb\nc"), [" a", " b", "+c"]);
        assert_eq!(difference("a\nc\nb", "c\nb\nd"), ["-a", " c", " b", "+d"]);
        assert_eq!(difference("", "a"), ["+a"]);
        assert_eq!(difference("a", ""), ["-a"]);
    }

    #[test]
    fn large_texts_are_cut_short() {
        let many = |word: &str| (0..2000).map(|number| format!("{word}{number}\n")).collect::<String>();
        let lines = difference(&many("a"), &many("b"));
        assert_eq!(lines.len(), 41);
        assert!(lines.last().is_some_and(|line| line.contains("2000 lines against 2000")));
    }
}
