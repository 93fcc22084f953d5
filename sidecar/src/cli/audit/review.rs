//! `varco audit review`: the uses of break-glass that nobody has looked at yet.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use varco::config::{self, Config};
use varco::review;
use varco::store::{Review as Waiting, ReviewDesk};

use super::could_not_run;
use super::tell::shown;
use crate::cli::{check, say};

/// Longest name or finding, in letters.
const LONGEST: usize = 4_000;

/// Lists the open reviews of break-glass, oldest first: who went over which consents, whose data, why, when, and what was
/// seen. With --close, closes one; the audit trail gets a record of that.
///
/// Exits 0, or 2 where it could not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco audit review --config varco.toml
  varco audit review --config varco.toml --output json
  varco audit review --config varco.toml --close 019a… --by \"Dott.ssa Verdi\" --finding \"motivated: unconscious patient\"

Uses by the same caller, of the same patient's data, for the same reason are one review until it is closed. With --output
json, one object is printed: its `reviews` hold id, opened, last, overdue, patient, who, reason, requests, withheld,
overridden, seen and unlisted.")]
pub struct Review {
    /// The sidecar's configuration file; the sidecar may be running.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Closes the review with this id.
    #[arg(long, value_name = "ID", requires_all = ["by", "finding"])]
    close: Option<String>,
    /// Who has reviewed it.
    #[arg(long, value_name = "NAME", requires = "close")]
    by: Option<String>,
    /// What came of it.
    #[arg(long, value_name = "TEXT", requires = "close")]
    finding: Option<String>,
    /// How to print the list.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Review {
    pub fn run(self) -> ExitCode {
        let config = match config::load(&self.config) {
            Ok(config) => config,
            Err(error) => {
                check::show(&error);
                return ExitCode::from(2);
            }
        };
        match (&self.close, &self.by, &self.finding) {
            (Some(id), Some(by), Some(finding)) => close(&config, id, by.trim(), finding.trim()),
            _ => self.list(&config),
        }
    }

    fn list(&self, config: &Config) -> ExitCode {
        let found = ReviewDesk::open(&config.store.path).and_then(|desk| desk.list());
        let reviews = match found {
            Ok(reviews) => reviews,
            Err(error) => return could_not_run(error),
        };
        let hours = config.break_glass.as_ref().map(|own| own.review_hours);
        let overdue = |own: &Waiting| {
            let age =
                own.opened.parse::<Timestamp>().ok().map(|at| Timestamp::now().duration_since(at).as_hours());
            hours.zip(age).is_some_and(|(most, age)| u64::try_from(age).is_ok_and(|age| age >= most))
        };
        if self.output == Output::Json {
            let reviews: Vec<Value> = reviews.iter().map(|own| told(own, overdue(own))).collect();
            say::line(json!({ "reviews": reviews }));
            return ExitCode::SUCCESS;
        }
        let zone = TimeZone::get(&config.consent.time_zone).unwrap_or(TimeZone::UTC);
        for own in &reviews {
            for line in lines(own, overdue(own), &zone) {
                say::line(shown(&line));
            }
            say::line("");
        }
        let late = reviews.iter().filter(|own| overdue(own)).count();
        say::line(match reviews.len() {
            1 => format!("1 open review, {late} overdue."),
            count => format!("{count} open reviews, {late} overdue."),
        });
        ExitCode::SUCCESS
    }
}

fn close(config: &Config, id: &str, by: &str, finding: &str) -> ExitCode {
    for (option, text) in [("--by", by), ("--finding", finding)] {
        let fits = (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if !fits {
            return could_not_run(format!("{option} is one line of up to {LONGEST} letters, and not empty"));
        }
    }
    match review::close(config, id, by, finding) {
        Ok(()) => {
            say::line(format!("The review {id} is closed; the audit trail has a record of it."));
            ExitCode::SUCCESS
        }
        Err(error) => could_not_run(error),
    }
}

fn told(own: &Waiting, overdue: bool) -> Value {
    let who: Value = serde_json::from_str(&own.who).unwrap_or_default();
    json!({
        "id": own.id, "opened": own.opened, "last": own.last, "overdue": overdue, "patient": own.patient, "who": who,
        "reason": own.reason, "requests": own.requests, "withheld": own.withheld, "overridden": own.overridden,
        "seen": own.seen, "unlisted": own.unlisted,
    })
}

fn lines(own: &Waiting, overdue: bool, zone: &TimeZone) -> Vec<String> {
    let who: Value = serde_json::from_str(&own.who).unwrap_or_default();
    let text = |member: &str| who[member].as_str().map(str::to_owned);
    let list = |member: &str| {
        let items = who[member].as_array().into_iter().flatten().filter_map(Value::as_str);
        items.collect::<Vec<_>>().join(", ")
    };
    let when = |text: &str| match text.parse::<Timestamp>() {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => text.to_owned(),
    };
    let person = match (text("name"), text("person")) {
        (Some(name), Some(person)) => format!("{name} ({person})"),
        (one, other) => one.or(other).unwrap_or_else(|| "no person was named".to_owned()),
    };
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    let more = match own.unlisted {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let times = match own.requests {
        1 => when(&own.opened),
        count => format!("{} to {}, {count} requests", when(&own.opened), when(&own.last)),
    };
    vec![
        format!("review {}{}", own.id, if overdue { "  OVERDUE" } else { "" }),
        format!("  who       {person}"),
        format!("  role      {}", or_none(list("roles"))),
        format!("  for       {}", or_none(list("organizations"))),
        format!("  through   {}", text("client").unwrap_or_default()),
        format!("  whom      {}", own.patient),
        format!("  why       {}", own.reason.clone().unwrap_or_else(|| "no reason was given".to_owned())),
        format!("  when      {times}"),
        format!("  over      {}", or_none(own.overridden.join(", "))),
        format!("  seen      {}{more}", or_none(own.seen.join(", "))),
        format!("  withheld  {}", own.withheld),
    ]
}
