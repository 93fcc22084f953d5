//! Telling a scenario: each step says what was asked, what was decided, mapped and audited, and what must hold.

use std::io::{self, Write};
use std::time::Instant;

use http::Method;
use serde_json::Value;

use super::client::Reply;
use super::network::{Network, Site};
use super::{DemoError, Played, cast};

/// One telling of the scenarios.
pub struct Story<'n> {
    /// Where it plays.
    pub network: &'n Network,
    out: &'n mut dyn Write,
    step: usize,
    played: Played,
}

/// A request of a step.
pub struct Ask<'a> {
    /// Who asks, by the name of their certificate.
    pub member: &'a str,
    /// Their token.
    pub token: &'a str,
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// The resource, for a write.
    pub body: Option<&'a Value>,
    /// The trace that the request belongs to.
    pub traceparent: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// A read or search.
    pub fn get(member: &'a str, token: &'a str, url: impl Into<String>) -> Ask<'a> {
        Ask { member, token, method: Method::GET, url: url.into(), body: None, traceparent: None }
    }
}

impl<'n> Story<'n> {
    /// A story that is told on `out`.
    pub fn new(network: &'n Network, out: &'n mut dyn Write) -> Story<'n> {
        Story { network, out, step: 0, played: Played { held: 0, failed: 0 } }
    }

    /// Who is there.
    pub fn scene(&mut self) -> io::Result<()> {
        writeln!(self.out, "The network: a hub, and a sidecar before each hospital's FHIR server")?;
        writeln!(self.out, "  hub                         {}", self.network.hub)?;
        for site in &self.network.sites {
            let held = site.hospital.resource_count();
            writeln!(self.out, "  {:<27} {}  ({}, {held} resources)", site.name, site.base, site.code)?;
        }
        Ok(())
    }

    /// The hospital that the scenarios play at.
    pub fn niguarda(&self) -> Result<&'n Site, DemoError> {
        self.network.sites.first().ok_or_else(|| DemoError::Other("the network has no hospital".to_owned()))
    }

    /// Begins a scenario.
    pub fn title(&mut self, title: &str) -> io::Result<()> {
        self.step = 0;
        writeln!(self.out, "\n{title}")
    }

    /// Begins a step.
    pub fn step(&mut self, what: &str) -> io::Result<()> {
        self.step += 1;
        writeln!(self.out, "{:>3}  {what}", self.step)
    }

    /// Says something more about the step.
    pub fn say(&mut self, what: &str) -> io::Result<()> {
        writeln!(self.out, "     {what}")
    }

    /// States what must hold, and whether it does.
    pub fn must(&mut self, what: &str, holds: bool) -> io::Result<()> {
        let (mark, count) =
            if holds { ("ok  ", &mut self.played.held) } else { ("FAIL", &mut self.played.failed) };
        *count += 1;
        writeln!(self.out, "     {mark} {what}")
    }

    /// Asks a sidecar, and says what was asked and what came.
    pub async fn ask(&mut self, ask: Ask<'_>) -> Result<Reply, DemoError> {
        let started = Instant::now();
        let body = ask.body.map(|body| ("application/fhir+json", body.to_string().into_bytes()));
        let caller = self.network.caller(ask.member)?;
        let reply = caller.send(ask.method.clone(), &ask.url, Some(ask.token), ask.traceparent, body).await?;
        let site = self.network.sites.iter().find(|site| ask.url.starts_with(&site.base));
        let shown = site.map_or(ask.url.as_str(), |site| &ask.url[site.base.len()..]);
        let shown = shown
            .split_once("_page=")
            .map_or(shown.to_owned(), |(before, _)| format!("{before}_page=(sealed)"));
        let micros = started.elapsed().as_micros();
        self.say(&format!("asked    {} {}", ask.method, shown))?;
        let json = reply.json();
        let what = match (json["resourceType"].as_str(), json["total"].as_u64()) {
            (Some("Bundle"), Some(total)) => format!("Bundle, total {total}"),
            (Some(kind), _) => kind.to_owned(),
            (None, _) => "no body".to_owned(),
        };
        self.say(&format!(
            "answered {} {what}, {} bytes, {micros} µs",
            reply.status.as_u16(),
            reply.body.len()
        ))?;
        Ok(reply)
    }

    /// The audit record of an answered request, as the privacy office finds it; says what it holds.
    pub async fn audited(&mut self, reply: &Reply) -> Result<Value, DemoError> {
        let site = self.niguarda()?;
        let id = reply.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let token = self.network.token(cast::REVIEWER, &site.base, "HOPERAT").await?;
        let url = format!("{}/AuditEvent?entity:identifier=%7C{id}", site.base);
        let found = self
            .network
            .caller(cast::REVIEWER)?
            .send(Method::GET, &url, Some(&token), None, None)
            .await?
            .json();
        let event = found["entry"][0]["resource"].clone();
        self.must("the privacy office finds exactly one audit record of it", found["total"] == 1)?;
        for (about, detail) in details(&event) {
            self.say(&format!("{about:<8} {detail}"))?;
        }
        Ok(event)
    }

    /// The end: how much held.
    pub fn end(self) -> io::Result<Played> {
        let Played { held, failed } = self.played;
        writeln!(self.out, "\n{held} statements held, {failed} failed")?;
        Ok(self.played)
    }
}

/// What an audit record says in words, each with what it is about: `decided`, `mapped` or `audited`.
fn details(event: &Value) -> Vec<(&'static str, String)> {
    let kind = event["subtype"][0]["code"].as_str().unwrap_or("?");
    let outcome = event["outcome"].as_str().unwrap_or("?");
    let mut told = Vec::new();
    let mut facts = vec![format!("{kind}, outcome {outcome}")];
    if let Some(why) = event["outcomeDesc"].as_str() {
        told.push(("decided", why.to_owned()));
    }
    for entity in event["entity"].as_array().into_iter().flatten() {
        let consent =
            entity["what"]["reference"].as_str().filter(|reference| reference.starts_with("Consent/"));
        for detail in entity["detail"].as_array().into_iter().flatten() {
            let (Some(name), Some(value)) = (detail["type"].as_str(), detail["valueString"].as_str()) else {
                continue;
            };
            match (consent, name) {
                (Some(consent), provision) => {
                    told.push(("decided", format!("{value} by {provision} of {consent}")))
                }
                (None, "mapped") => told.push(("mapped", value.to_owned())),
                (None, name) => facts.push(format!("{name} {value}")),
            }
        }
    }
    told.push(("audited", facts.join(", ")));
    told
}
