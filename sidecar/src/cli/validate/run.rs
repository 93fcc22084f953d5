//! One run over all inputs: reads, has each resource checked, keeps what was found in the form that is asked for.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::sync::Arc;

use fhir_models::document::{Limits, Tape};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use varco_core::outcome::{Issue, IssueSeverity, IssueType, Outcome};
use varco_core::terminology::{Answers, Question};

use super::checker::{Checked, Checker};
use super::findings::Findings;
use super::input::{Gathered, Input, Record};
use super::lanes::Lanes;
use super::server::Server;
use super::tally::Tally;
use super::window::Window;
use crate::cli::say;

/// How often the server is asked about the same records: answers may lead to other questions.
const ROUNDS: usize = 3;

/// A run, and what it found so far.
pub(super) struct Run {
    /// The terminology server, where one is to be asked.
    pub server: Option<Server>,
    window: Window,
    tape: Tape,
    checker: Arc<Checker>,
    /// Most threads that check.
    pub threads: NonZeroUsize,
    bar: ProgressBar,
    pub tally: Tally,
    /// For programs, where wanted: every issue, up to [`Run::most_issues`].
    pub outcome: Option<Outcome>,
    /// Most issues of the outcome.
    pub most_issues: usize,
    /// Issues that the outcome leaves out.
    pub left_out: usize,
    /// For people, where wanted: each fault once.
    pub faults: Option<Findings>,
    /// For a report, where wanted: each fault once in each input.
    pub by_input: Option<Findings>,
    /// Several inputs: each issue names its own.
    several: bool,
    /// An input could not be read.
    pub unreadable: bool,
}

impl Run {
    /// A run that has read nothing and keeps nothing but counts.
    pub fn new(checker: Checker) -> Run {
        Run {
            server: None,
            window: Window::default(),
            tape: Tape::new(),
            checker: Arc::new(checker),
            threads: NonZeroUsize::MIN,
            bar: ProgressBar::hidden(),
            tally: Tally::start(),
            outcome: None,
            most_issues: usize::MAX,
            left_out: 0,
            faults: None,
            by_input: None,
            several: false,
            unreadable: false,
        }
    }

    /// Reads and checks all inputs.
    pub fn all(&mut self, gathered: &Gathered) {
        self.several = gathered.inputs.len() + gathered.unreadable.len() > 1;
        self.bar = progress(&gathered.inputs);
        let limits = *self.checker.limits();
        for (name, cause) in &gathered.unreadable {
            self.unreadable(name, cause);
        }
        if self.server.is_some() {
            self.asking(gathered, &limits);
        } else {
            self.side_by_side(gathered, &limits);
        }
        self.bar.finish_and_clear();
    }

    /// One record after another, those with questions held back until the server was asked.
    fn asking(&mut self, gathered: &Gathered, limits: &Limits) {
        for (number, input) in gathered.inputs.iter().enumerate() {
            let read = input.read(limits, &mut |record| self.record(gathered, number, &record));
            if let Err(error) = read {
                self.flush(gathered);
                self.unreadable(input.name(), &format!("{error:#}"));
            }
        }
        self.flush(gathered);
    }

    fn record(&mut self, gathered: &Gathered, number: usize, record: &Record<'_>) {
        let answers = self.server.as_ref().map(|server| server as &dyn Answers);
        let checked = self.checker.check(&mut self.tape, record, answers);
        if self.window.is_empty() && checked.questions.is_empty() {
            if let Some(input) = gathered.inputs.get(number) {
                self.take(input, record, checked);
            }
            return;
        }
        self.window.push(number, record, checked);
        if self.window.is_full() {
            self.flush(gathered);
        }
    }

    /// Asks the questions of the records that wait, checks again those that had one, and takes all.
    fn flush(&mut self, gathered: &Gathered) {
        let mut held = self.window.drain();
        for _ in 0..ROUNDS {
            let open: BTreeSet<Question> =
                held.iter().flat_map(|it| &it.checked.questions).cloned().collect();
            let (Some(server), false) = (&mut self.server, open.is_empty()) else { break };
            server.ask(&open);
            for it in held.iter_mut().filter(|it| !it.checked.questions.is_empty()) {
                it.checked = self.checker.check(&mut self.tape, &it.record(), Some(&*server));
            }
        }
        for mut it in held {
            let checked = std::mem::take(&mut it.checked);
            if let Some(input) = gathered.inputs.get(it.input) {
                self.take(input, &it.record(), checked);
            }
        }
    }

    /// Several threads check, and records are taken in the order of the input.
    fn side_by_side(&mut self, gathered: &Gathered, limits: &Limits) {
        let (checker, threads) = (Arc::clone(&self.checker), self.threads);
        std::thread::scope(|scope| {
            let mut lanes = Lanes::new(scope, checker, threads);
            let take = |run: &mut Run, number: usize, record: &Record<'_>, checked: Checked| {
                if let Some(input) = gathered.inputs.get(number) {
                    run.take(input, record, checked);
                }
            };
            for (number, input) in gathered.inputs.iter().enumerate() {
                let read = input.read(limits, &mut |record| {
                    lanes.add(number, &record, &mut |number, record, checked| {
                        take(self, number, record, checked);
                    });
                });
                if let Err(error) = read {
                    lanes.finish(&mut |number, record, checked| take(self, number, record, checked));
                    self.unreadable(input.name(), &format!("{error:#}"));
                }
            }
            lanes.finish(&mut |number, record, checked| take(self, number, record, checked));
        });
    }

    /// Keeps what was found in a record. Records are taken in the order of the input.
    fn take(&mut self, input: &Input, record: &Record<'_>, checked: Checked) {
        let profiles = self.tally.resource(&checked, record.text.len());
        if !self.bar.is_hidden() {
            self.bar.inc(record.read as u64);
            if self.tally.total.all % 64 == 1 {
                let share = self.tally.total;
                self.bar.set_message(format!("{} resources, {} faulty", share.all, share.faulty));
            }
        }
        let several = self.several || record.line > 0 || record.of_many;
        for mut issue in checked.issues {
            for findings in self.faults.iter_mut().chain(&mut self.by_input) {
                findings.add(&issue, input.name(), Some(record), &profiles);
            }
            if let Some(position) = &mut issue.position {
                position.line += record.line;
            }
            if several {
                issue.source = Some(input.name().to_string());
            }
            self.keep(issue);
        }
    }

    /// An input that can't be read, or not to its end.
    fn unreadable(&mut self, name: &Arc<str>, cause: &str) {
        self.unreadable = true;
        let message = format!("{name} can't be read: {cause}");
        self.bar.suspend(|| say::note(format!("varco validate: {message}")));
        let fatal = Issue::new(IssueSeverity::Fatal, IssueType::Processing, message);
        if let Some(findings) = &mut self.by_input {
            findings.add(&fatal, name, None, &[]);
        }
        self.keep(fatal);
    }

    fn keep(&mut self, issue: Issue) {
        let Some(outcome) = &mut self.outcome else { return };
        if outcome.issues.len() < self.most_issues {
            outcome.issues.push(issue);
        } else {
            self.left_out += 1;
        }
    }
}

/// A bar over the bytes of all files, on a terminal and where there is enough to wait for.
fn progress(inputs: &[Input]) -> ProgressBar {
    const WORTH_WAITING: u64 = 4 << 20;
    let bytes: u64 = inputs.iter().map(Input::length).sum();
    if bytes < WORTH_WAITING || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let form = "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left; {msg}";
    match ProgressStyle::with_template(form) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
