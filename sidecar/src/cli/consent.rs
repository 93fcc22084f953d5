//! `varco consent explain`: which provision decided, and why.
//!
//! Exit codes are a contract: 0 decided (whatever the decision), 2 could not run.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use varco_core::access::{LabelScene, Labels, inherited};
use varco_core::consent::fse::{self, Chains, FseDocument, FseRequest, FseSystems};
use varco_core::consent::{
    Action, BreakGlass, Combining, ComingOfAge, CompiledConsent, Confidentiality, ConsentRequest, Decision,
    Effect, Interval, NotAdmitted, Outcome, Overridden, Question, Reading, ResourceFacts, WithoutConsent,
    decide, is_emergency, refused,
};

use super::say;

/// Decides by consents, and explains the decision.
#[derive(Debug, Args)]
pub struct Consent {
    #[command(subcommand)]
    command: ConsentCommand,
}

#[derive(Debug, Subcommand)]
enum ConsentCommand {
    Explain(Explain),
}

/// Says what consents decide about a request, and which provision decided; exits 0 when decided, 2 if it could
/// not run.
///
/// The consents are those of one patient. Without --resource the decision is that for the request: it may
/// proceed within the residual rules (IHE PCF), of which the last that applies to a resource decides.
#[derive(Debug, Args)]
#[command(after_help = "The request is a JSON object; every member may be left out, be one value or a list:
  {
    \"actor\":        {\"reference\": \"Practitioner/7\",
                     \"identifier\": {\"system\": \"http://hl7.it/sid/codiceFiscale\", \"value\": \"RSSMRA71E01F205E\"}},
    \"role\":         [{\"system\": \"https://example.org/roles\", \"code\": \"APR\"}],
    \"purpose\":      [\"TREAT\"],
    \"organization\": \"http://hl7.it/sid/hsp|030913\",
    \"action\":       \"access\",
    \"reason\":       \"unconscious, no relatives\",
    \"selfCertifications\": 2,
    \"delegations\":  [\"consult\", \"services\"]
  }
  actor, organization   a reference, a token system|value, an Identifier, or an object with both
  role, purpose         a code, a token system|code, a Coding or a CodeableConcept; a purpose without a
                        system is one of v3-ActReason
  action                collect, access (the default), use, disclose or correct
  client                the client's id
  reason                why it is an emergency (with --break-glass)
  selfCertifications    how many the caller has given for an emergency (with --fse)
  delegations           what the patient has delegated to the caller: consult, services (with --fse)

With --output json, one object is printed:
  {\"decision\": \"permit|deny|no-consent\", \"residual\": [...], \"because\": [...]}
  residual   rules that are left where no resource is given, the last that applies to a resource decides:
             {\"type\": \"permit|forbid\", \"consent\", \"provision\", and the conditions of the provision}
  because    {\"consent\", \"provision\", \"effect\": \"permit|deny|withhold|none\", \"text\"}; a rule of FSE 2.0 has
             the consent \"FSE 2.0\" and its name as provision, what an emergency goes over \"break-glass\"

Examples:
  varco consent explain --consent consent.json --request request.json --at 2026-05-01T12:00:00Z
  varco consent explain --consent a.json --consent b.json --request request.json --resource referto.json \\
        --at 2026-05-01T12:00:00+02:00 --combining most-recent --output json
  varco consent explain --consent consent.json --request request.json --resource binary.json --beside referto.json \\
        --at 2026-05-01T12:00:00Z --fse --born 2009-03-01
  varco consent explain --consent consent.json --request emergency.json --at 2026-05-01T12:00:00Z \\
        --break-glass no-consent,withheld")]
struct Explain {
    /// A Consent of the patient; may be given several times, `-` is standard input.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    consent: Vec<PathBuf>,
    /// Who asks for what.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The resource that is asked for.
    #[arg(long, value_name = "FILE")]
    resource: Option<PathBuf>,
    /// Another resource of the patient; may be given several times. Its labels count where it holds the resource
    /// (the DocumentReference of a Binary, a Composition, a report, a Bundle), and with --fse its prescription
    /// number joins the resource's chain.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "resource")]
    beside: Vec<PathBuf>,
    /// The instant that counts: 2026-05-01T12:00:00Z, or a date for its beginning.
    #[arg(long, value_name = "TIME")]
    at: String,
    /// How several consents are combined.
    #[arg(long, value_name = "RULE", default_value = "deny-overrides", value_parser = combining)]
    combining: Combining,
    /// The zone of dates without a time, as a POSIX time zone rule; the default is UTC.
    #[arg(long, value_name = "TZ", value_parser = zone)]
    zone: Option<TimeZone>,
    /// A base URL of the server that holds the data: absolute references under it count as relative ones.
    #[arg(long, value_name = "URL")]
    base: Vec<String>,
    /// The confidentiality of a resource that carries no such label: U, L, M, N, R or V. Without it, such a
    /// resource is undecided, which restricts.
    #[arg(long, value_name = "CODE", value_parser = level)]
    assume: Option<Confidentiality>,
    /// The masking rules of FSE 2.0 hold beside the consents.
    #[arg(long)]
    fse: bool,
    /// A masking system beside FSE's own (with --fse).
    #[arg(long, value_name = "SYSTEM", requires = "fse")]
    masking_system: Vec<String>,
    /// The patient's birth date: what was permitted before the 18th birthday ends with it.
    #[arg(long, value_name = "DATE")]
    born: Option<String>,
    /// What an emergency goes over, as break_glass.overrides has it: no-consent, withheld, denied. The request then needs
    /// a reason; its role is taken for one that may.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = overridden)]
    break_glass: Option<Vec<Overridden>>,
    /// How to print the decision.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs: {"decision", "residual", "because"}.
    Json,
}

fn combining(text: &str) -> Result<Combining, String> {
    let known = || Combining::ALL.iter().map(|rule| rule.code()).collect::<Vec<_>>().join(", ");
    Combining::of_code(text).ok_or_else(|| format!("known are {}", known()))
}

fn zone(text: &str) -> Result<TimeZone, String> {
    let cure = "write a POSIX rule, such as CET-1CEST,M3.5.0,M10.5.0/3 for Rome";
    TimeZone::posix(text).map_err(|_| cure.to_owned())
}

fn overridden(text: &str) -> Result<Overridden, String> {
    let known = || Overridden::ALL.iter().map(|own| own.code()).collect::<Vec<_>>().join(", ");
    Overridden::of_code(text).ok_or_else(|| format!("known are {}", known()))
}

fn level(text: &str) -> Result<Confidentiality, String> {
    Confidentiality::of_code(text).ok_or_else(|| "known are U, L, M, N, R and V".to_owned())
}

impl Consent {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let ConsentCommand::Explain(explain) = self.command;
        match explain.decide() {
            Ok(decision) => {
                explain.print(&decision);
                ExitCode::SUCCESS
            }
            Err(error) => {
                say::note(format!("varco consent explain: {error:#}"));
                ExitCode::from(2)
            }
        }
    }
}

impl Explain {
    fn decide(&self) -> Result<Decision> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let reading = Reading { zone, bases: self.base.clone() };
        let at = instant(&self.at, &reading.zone)?;
        let compile = |path: &PathBuf| {
            let document = document(path)?;
            CompiledConsent::compile(document.root(), &reading).with_context(|| name(path))
        };
        let consents: Vec<CompiledConsent> = self.consent.iter().map(compile).collect::<Result<_>>()?;
        let consents: Vec<&CompiledConsent> = consents.iter().collect();
        let request = ConsentRequest::read(document(&self.request)?.root(), &reading);
        let request = request.with_context(|| name(&self.request))?;
        let beside: Vec<OwnedDocument> =
            self.beside.iter().map(|path| resource(path)).collect::<Result<_>>()?;
        let asked = self.resource.as_ref().map(|path| resource(path)).transpose()?;
        let facts = asked.as_ref().map(|asked| self.facts(asked, &beside, &reading));
        let mut question = request.question(at).of_age(self.of_age(&reading.zone)?);
        question.resource = facts.as_ref();
        let decision = decide(&consents, &question, self.combining);
        let opened = self.in_emergency(decision.clone(), &consents, &question);
        // What is masked is masked in an emergency too, whether the rules of FSE are asked for or not.
        let masked = |facts: &ResourceFacts| {
            FseDocument::of(facts, fse::Chain::Alone, &self.systems()).is_masked_itself()
        };
        let decision = if facts.as_ref().is_some_and(masked) { decision } else { opened };
        if !self.fse {
            return Ok(decision);
        }
        let systems = self.systems();
        let mut chains = Chains::new();
        for other in &beside {
            let facts = self.facts(other, &beside, &reading);
            let own = FseDocument::of(&facts, fse::Chain::Alone, &systems);
            chains.add(other.root(), own.is_masked_itself(), &systems);
        }
        let document = asked.as_ref().zip(facts.as_ref()).map(|(asked, facts)| {
            FseDocument::of(facts, chains.chain_of(asked.root(), true, &systems), &systems)
        });
        let request = FseRequest::of(&request.requester, &systems);
        Ok(fse::beside(decision, &request, document.as_ref()))
    }

    fn systems(&self) -> FseSystems {
        let mut systems = FseSystems::default();
        systems.masking.extend(self.masking_system.iter().cloned());
        systems
    }

    fn in_emergency(
        &self,
        decision: Decision,
        consents: &[&CompiledConsent],
        question: &Question<'_>,
    ) -> Decision {
        let requester = question.requester;
        let Some(overrides) = self.break_glass.as_ref().filter(|_| is_emergency(requester)) else {
            return decision;
        };
        let rules = BreakGlass {
            roles: requester.roles.clone(),
            overrides: overrides.clone(),
            reason_required: true,
            longest: 0,
        };
        if requester.reason.as_deref().is_none_or(|why| why.trim().is_empty()) {
            return refused(decision, NotAdmitted::Reason);
        }
        if question.action != Action::Access {
            return decision;
        }
        rules.beside(decision, consents, question, self.combining, WithoutConsent::Deny)
    }

    fn of_age(&self, zone: &TimeZone) -> Result<Option<ComingOfAge>> {
        let Some(born) = &self.born else { return Ok(None) };
        if Interval::of_date_time(born, zone).is_none() {
            bail!("--born {born}: write a date, such as 2009-03-01");
        }
        Ok(Some(ComingOfAge::of_birth_date(born, 18, zone)))
    }

    /// The resource's facts, with the labels that it has from the resources beside it.
    fn facts(&self, asked: &OwnedDocument, beside: &[OwnedDocument], reading: &Reading) -> ResourceFacts {
        let mut scene = LabelScene::new(&reading.bases);
        beside.iter().for_each(|other| scene.add(other.root()));
        let mut facts = ResourceFacts::of_resource(asked.root(), reading);
        facts.add_labels(&inherited(asked.root(), &Labels::default(), &reading.bases, &scene).labels);
        if let Some(level) = self.assume {
            facts.assume_confidentiality(level);
        }
        facts
    }

    fn print(&self, decision: &Decision) {
        if self.output == Output::Json {
            return say::line(String::from_utf8_lossy(&decision.to_json()));
        }
        say::line(match (decision.outcome, decision.residual.is_empty()) {
            (Outcome::Permit, true) => "permit",
            (Outcome::Permit, false) => "permit, within the residual rules",
            (Outcome::Deny, _) => "deny",
            (Outcome::NoConsent, true) => "no consent: what the site has set for patients without one holds",
            (Outcome::NoConsent, false) => {
                "no consent: what the site has set for patients without one holds, within the residual rules"
            }
        });
        if !decision.residual.is_empty() {
            say::line("\nresidual rules (a forbid wins over a permit)");
            for rule in &decision.residual {
                let effect = if rule.effect == Effect::Permit { "permit" } else { "forbid" };
                say::line(format!(
                    "  {effect:<9} {}  {}  {}",
                    rule.consent,
                    rule.provision,
                    rule.conditions_text()
                ));
            }
            say::line(format!(
                "  {:<9} all other resources",
                match decision.rest {
                    Outcome::Permit => "permit",
                    Outcome::Deny => "forbid",
                    Outcome::NoConsent => "no rule",
                }
            ));
        }
        say::line("\nbecause");
        for reason in &decision.because {
            let origin = [&*reason.consent, &*reason.provision].join("  ");
            say::line(format!("  {:<9} {}", reason.effect.code(), origin.trim()));
            say::line(format!("            {}", reason.text));
        }
    }
}

fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

fn resource(path: &Path) -> Result<OwnedDocument> {
    let document = document(path)?;
    if document.root().resource_type().is_none() {
        bail!("{}: not a FHIR resource: `resourceType` is missing", name(path));
    }
    Ok(document)
}

fn document(path: &Path) -> Result<OwnedDocument> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).with_context(|| name(path))?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("{}: can't be read", name(path)))?;
    }
    OwnedDocument::parse_json(bytes, &Limits::default()).with_context(|| format!("{}: not JSON", name(path)))
}

/// An instant, or the beginning of a day, month or year.
fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let instant = text.parse().ok().or_else(|| Some(Interval::of_date_time(text, zone)?.start));
    instant
        .with_context(|| format!("--at {text}: write an instant with its zone, such as 2026-05-01T12:00:00Z"))
}
