//! `varco plugin test`: golden fixtures and hostile inputs, through the gateway's own host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use varco_plugin_host::{Hook, Plugin, PluginError, Verdict};

use super::difference::difference;
use super::fixture::{Fixture, Refused, Setting, Wanted};
use super::hostile_input::hostile_inputs;
use super::layout::laid_out;
use super::project::Built;
use super::stand::Stand;
use super::{Ending, say};

/// Time between two calls, so that the quarantine of one failure is over at the next call.
const BETWEEN_CALLS: Duration = Duration::from_secs(600);

/// Runs a plugin's fixtures and hostile inputs within its limits, as the gateway would.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco plugin test small-bodies            the project's fixtures/ against its dist/
  varco plugin test --bless small-bodies    makes what comes now the golden results; read the change before you commit it
  varco plugin test --built /srv/varco/plugins/small-bodies.plugin.json small-bodies

A fixture is fixtures/NAME.in.json, the body, with one of
  NAME.out.json       the body that must be left; white space doesn't count, digits and order do
  NAME.refused.json   {\"status\": 422, \"code\": \"business-rule\", \"diagnostics\": \"...\"}
and, where the defaults don't do, NAME.context.json with any of
  hook, interaction, resource_type, route, roles, purposes, content_type, settings (over the manifest's).
Concept maps for the plugin lie in fixtures/concept-maps/. Pseudonyms are made with a key for tests.

Hostile inputs (empty, huge, deep, not JSON ...) ask one thing: that the plugin gives a verdict within its limits.
Deadlines are time in which the plugin computes: one that is missed on a busy machine is tried twice more before it counts.
Exit codes: 0 all passed, 1 the plugin failed one, 2 could not run.")]
pub struct Test {
    /// The project's folder.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// The manifest of what was built, where it isn't in the project's dist/.
    #[arg(long, value_name = "FILE")]
    built: Option<PathBuf>,
    /// Writes what comes as the golden results.
    #[arg(long)]
    bless: bool,
    /// Leaves the hostile inputs out.
    #[arg(long)]
    no_hostile: bool,
}

impl Test {
    pub(super) fn run(self) -> Result<Ending> {
        let built = Built::open(self.built.as_deref().unwrap_or(&self.folder))?;
        let folder = self.folder.join("fixtures");
        let fixtures = Fixture::read_all(&folder, &built.manifest)?;
        let mut bench = Bench::new(&built, &folder)?;
        let mut tally = Tally::default();
        for fixture in &fixtures {
            let got = bench.ask(fixture)?;
            tally.count(judge(fixture, got, self.bless)?);
        }
        if fixtures.is_empty() {
            say::note(format!("{} has no fixtures: write one as NAME.in.json", folder.display()));
        }
        if !self.no_hostile {
            for hook in built.manifest.hooks() {
                let example = fixtures.iter().find(|fixture| fixture.hook == *hook);
                hostile(&mut bench, *hook, example, &mut tally)?;
            }
        }
        say::line(format!("{} passed, {} failed", tally.passed, tally.failed));
        Ok(Ending::of(tally.failed == 0))
    }
}

#[derive(Debug, Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    fn count(&mut self, passed: bool) {
        let counter = if passed { &mut self.passed } else { &mut self.failed };
        *counter = counter.saturating_add(1);
    }
}

/// One plugin a set of settings: each is compiled once.
struct Bench<'a> {
    built: &'a Built,
    stand: Stand,
    plugins: BTreeMap<String, Plugin>,
    now: Duration,
}

/// How often a call may be made before its deadline counts.
const TRIES: u32 = 3;

impl<'a> Bench<'a> {
    fn new(built: &'a Built, fixtures: &Path) -> Result<Self> {
        let stand = Stand::new()?.with_concept_maps(&fixtures.join("concept-maps"))?;
        Ok(Self { built, stand, plugins: BTreeMap::new(), now: Duration::ZERO })
    }

    fn ask(&mut self, fixture: &Fixture) -> Result<Result<Wanted, PluginError>> {
        let given = self.call(&fixture.setting, fixture.hook, &fixture.body)?;
        Ok(given.map(|verdict| match verdict {
            Verdict::Pass => Wanted::Body(laid_out(&String::from_utf8_lossy(&fixture.body))),
            Verdict::Replace(body) => Wanted::Body(laid_out(&String::from_utf8_lossy(body.bytes()))),
            Verdict::Refuse(refusal) => Wanted::Refused(Refused {
                status: refusal.status_hint.status(),
                code: refusal.code,
                diagnostics: refusal.diagnostics,
            }),
        }))
    }

    fn call(&mut self, setting: &Setting, hook: Hook, body: &[u8]) -> Result<Result<Verdict, PluginError>> {
        let key = serde_json::to_string(&setting.settings)?;
        if !self.plugins.contains_key(&key) {
            self.plugins.insert(key.clone(), self.stand.load(self.built, &setting.settings)?);
        }
        let plugin = self.plugins.get(&key).ok_or_else(|| anyhow!("the plugin was not loaded"))?;
        let mut tries = TRIES;
        loop {
            self.now = self.now.saturating_add(BETWEEN_CALLS);
            tries = tries.saturating_sub(1);
            let now = || self.now;
            let judged = setting
                .with_context(hook, |context| self.stand.to_the_end(plugin.judge(hook, context, body, &now)));
            match judged {
                Err(PluginError::Deadline { .. }) if tries > 0 => {}
                given => return Ok(given),
            }
        }
    }
}

fn judge(fixture: &Fixture, got: Result<Wanted, PluginError>, bless: bool) -> Result<bool> {
    let name = &fixture.name;
    let got = match got {
        Ok(got) => got,
        Err(fault) => {
            say::line(format!("FAILED  {name}\n    {fault}"));
            return Ok(false);
        }
    };
    if fixture.wanted.as_ref() == Some(&got) {
        say::line(format!("ok      {name}"));
        return Ok(true);
    }
    if bless {
        fixture.bless(&got)?;
        say::line(format!("blessed {name}"));
        return Ok(true);
    }
    match &fixture.wanted {
        None => say::line(format!(
            "FAILED  {name}\n    it has no result yet; write {name}.out.json, or let --bless do it"
        )),
        Some(wanted) => {
            say::line(format!("FAILED  {name}    (- wanted, + got)"));
            for line in difference(&wanted.text(), &got.text()) {
                say::line(format!("    {line}"));
            }
        }
    }
    Ok(false)
}

fn hostile(bench: &mut Bench<'_>, hook: Hook, example: Option<&Fixture>, tally: &mut Tally) -> Result<()> {
    let setting = example.map(|fixture| fixture.setting.clone()).unwrap_or_default();
    let inputs =
        hostile_inputs(bench.built.manifest.limits(), example.map(|fixture| fixture.body.as_slice()));
    let count = inputs.len();
    let failed_before = tally.failed;
    for input in inputs {
        let given = bench.call(&setting, hook, &input.body)?;
        let failure = given.err().filter(PluginError::blames_plugin);
        if let Some(fault) = &failure {
            say::line(format!("FAILED  hostile input at the hook {hook}: {}\n    {fault}", input.name));
        }
        tally.count(failure.is_none());
    }
    if tally.failed == failed_before {
        say::line(format!("ok      {count} hostile inputs at the hook {hook}"));
    }
    Ok(())
}
