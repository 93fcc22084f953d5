//! The result as lines of text: one line a test, the cause and the unmet requirement below a failure.

use std::fmt::Write;

use crate::suite::{Extent, Gap, RunReport, Suite, TestResult, Verdict};

/// Whether lines carry terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Colours,
}

impl Paint {
    fn verdict(self, verdict: Verdict) -> &'static str {
        match (verdict, self) {
            (Verdict::Passed, Paint::Plain) => "pass",
            (Verdict::Failed, Paint::Plain) => "FAIL",
            (Verdict::Skipped, Paint::Plain) => "skip",
            (Verdict::Passed, Paint::Colours) => "\u{1b}[32mpass\u{1b}[0m",
            (Verdict::Failed, Paint::Colours) => "\u{1b}[1;31mFAIL\u{1b}[0m",
            (Verdict::Skipped, Paint::Colours) => "\u{1b}[33mskip\u{1b}[0m",
        }
    }
}

/// The line above the tests.
pub fn header(suite: &Suite, target: &str) -> String {
    format!("{} {}: {}\ntarget {target}", suite.id, suite.version, suite.title)
}

/// The lines of one test, without a line feed at the end.
pub fn verdict(suite: &Suite, result: &TestResult, paint: Paint) -> String {
    let width = suite.tests.iter().map(|test| test.id.len()).max().unwrap_or(0);
    let mut out = format!("  {}  {:width$}  {}", paint.verdict(result.verdict), result.id, result.title);
    if let Some(cause) = &result.cause {
        let _ = write!(out, "\n        {}", printable(cause));
    }
    for id in &result.unmet {
        let _ = match suite.requirement(id) {
            Some(requirement) => {
                let word = requirement.level.word();
                write!(out, "\n        {id} ({word}): {} <{}>", requirement.text, requirement.source)
            }
            None => write!(out, "\n        {id}"),
        };
    }
    out
}

/// The line of what the run can't show of a requirement, without a line feed at the end.
pub fn gap(suite: &Suite, gap: &Gap) -> String {
    let mut out = match gap.extent {
        Extent::Tested => format!("  note  {}  tested elsewhere too", gap.requirement),
        Extent::Partly => format!("  part  {}  tested in part: {}", gap.requirement, gap.note),
        Extent::NotTestable => format!("  none  {}  not testable: {}", gap.requirement, gap.note),
    };
    if let (Extent::NotTestable, Some(requirement)) = (gap.extent, suite.requirement(&gap.requirement)) {
        let _ = write!(out, "\n        {} ({})", requirement.text, requirement.level.word());
    }
    for test in &gap.elsewhere {
        let _ = write!(out, "\n        not run here: {test}");
    }
    out
}

/// A server's words without what could steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// The whole report as text.
impl RunReport {
    /// Header, tests and summary, as `varco certify run` prints them.
    pub fn text(&self, suite: &Suite) -> String {
        let mut out = header(suite, &self.target) + "\n";
        for test in &self.tests {
            out += &verdict(suite, test, Paint::Plain);
            out.push('\n');
        }
        for own in &self.gaps {
            out += &gap(suite, own);
            out.push('\n');
        }
        out + &self.summary() + "\n"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_cause_and_requirement() {
        let suite = Suite::builtin("base-r4").unwrap().unwrap();
        let result = TestResult {
            id: "read-back".to_owned(),
            title: "What was written is read back".to_owned(),
            verifies: vec!["R4-DECIMAL".to_owned()],
            verdict: Verdict::Failed,
            cause: Some("read: it is \u{1b}[31m1.5".to_owned()),
            unmet: vec!["R4-DECIMAL".to_owned()],
            milliseconds: 3,
            steps: Vec::new(),
        };
        let lines = verdict(&suite, &result, Paint::Plain);
        assert!(lines.starts_with("  FAIL  read-back"), "{lines}");
        assert!(lines.contains("R4-DECIMAL (SHALL): The precision"), "{lines}");
        assert!(!lines.contains('\u{1b}'));
        assert!(verdict(&suite, &result, Paint::Colours).contains("\u{1b}[1;31mFAIL"));
    }
}
