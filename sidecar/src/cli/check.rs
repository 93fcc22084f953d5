//! `varco check`: every fault of a configuration, with line, cause and cure.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use clap::Args;
use varco::config::{
    self, AuditIncludes, Callers, Config, ConfigError, DEFAULT_ROUTE, Direction, Issuer, IssuerKind, Mllp,
    OnMapFailure, PassedAudit, Passthrough, Policy, PolicyDefault, Publication, Route, RouteMap, SCHEMA,
    ValidationMode,
};
use varco::limit::Lane;
use varco::policy::{TESTS_SCHEMA, load};
use varco_core::policy::{self, PolicyEffect};

use super::{policy_tests, say};

/// Explains every fault of a configuration; exits 0 if there is none, else 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco check --config varco.toml
  varco check --schema > varco-config.schema.json     for an editor that completes and checks TOML
  varco check --config varco.toml --policy-tests policies/tests     carries out tests of the site's policies
  varco check --policy-schema > varco.cedarschema     for an editor that completes and checks policies
  varco check --policy-tests-schema > policy-tests.schema.json     the form of tests

Policies are written in Cedar and named in the configuration; both consent and policy must allow:
  [policy]
  files = [\"policies\"]
  default = \"permit\"     what comes of a request that no policy speaks of; \"deny\" if absent

  @id(\"no-prescriptions-for-the-desk\")
  forbid(principal in Role::\"urn:example:roles|desk\", action, resource)
  when { resource.type == \"MedicationRequest\" };

A test of it, in YAML or TOML:
  tests:
    - name: the desk sees no prescriptions
      caller: { roles: [\"urn:example:roles|desk\"] }
      action: read
      resource: { type: MedicationRequest }     or { file: prescription.json }
      expect: { decision: deny, by: [no-prescriptions-for-the-desk] }")]
pub struct Check {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", required_unless_present_any = ["schema", "policy_schema", "policy_tests_schema"])]
    config: Option<PathBuf>,
    /// Print the JSON Schema of the configuration instead.
    #[arg(long)]
    schema: bool,
    /// Print what policies may speak of (a Cedar schema) instead.
    #[arg(long)]
    policy_schema: bool,
    /// Print the JSON Schema of tests of policies instead.
    #[arg(long)]
    policy_tests_schema: bool,
    /// Carry out tests of the site's policies: a file, or a folder's .yaml, .yml and .toml files. Exits 1 where one does
    /// not come out as expected.
    #[arg(long, value_name = "FILE|DIR", requires = "config")]
    policy_tests: Option<PathBuf>,
}

impl Check {
    pub fn run(self) -> ExitCode {
        for (wanted, text) in [(self.policy_schema, policy::SCHEMA), (self.policy_tests_schema, TESTS_SCHEMA)]
        {
            if wanted {
                say::line(text.trim_end());
                return ExitCode::SUCCESS;
            }
        }
        let Some(path) = self.config.filter(|_| !self.schema) else {
            say::line(SCHEMA.trim_end());
            return ExitCode::SUCCESS;
        };
        match config::load(&path) {
            Ok(config) => {
                say::line(format!("{}: no fault.", path.display()));
                summary(&config);
                match self.policy_tests {
                    Some(tests) => policy_tests::run(&config, &tests),
                    None => ExitCode::SUCCESS,
                }
            }
            Err(error) => show(&error),
        }
    }
}

/// How much is taken at a time, and of one client.
fn limits(config: &Config) {
    let own = &config.limits;
    let alarms = match own.priority.as_slice() {
        [] => String::new(),
        _ => format!(", and beside them {} of the priority lane", own.concurrent_priority),
    };
    let bulk = match own.bulk.as_slice() {
        [] => String::new(),
        _ => format!(", {} of them bulk", own.bulk_places()),
    };
    say::line(format!("  at most {} requests are worked on at a time{bulk}{alarms}", own.concurrent));
    let names: Vec<&str> = own.rule.iter().map(|rule| rule.name.as_str()).collect();
    let more =
        if names.is_empty() { String::new() } else { format!(", within the limits {}", names.join(", ")) };
    let day = own.requests_per_day.map_or(String::new(), |most| format!(", {most} times a day"));
    say::line(format!(
        "  one client may ask {} times a second, {} at once{day}{more}",
        own.requests_per_second, own.burst
    ));
    for route in config.route.iter().filter(|route| route.cache_seconds > 0) {
        say::line(format!(
            "  answers on the route {} are kept for at most {} seconds",
            route.name, route.cache_seconds
        ));
    }
}

/// What the configuration comes to, in plain words.
fn summary(config: &Config) {
    let site = config.site.name.as_deref().unwrap_or(&config.site.id);
    let tls = match &config.listen.tls {
        None => "in the clear",
        Some(tls) if tls.client_ca.is_some() => "over TLS, with client certificates demanded",
        Some(_) => "over TLS",
    };
    let path = config.site.base_path();
    say::line(format!("  {site} answers on {} {tls}, below {}/", config.listen.address, path));
    let own = &config.upstream;
    let at = match own.addresses.as_slice() {
        [] => String::new(),
        some => format!(" at {}", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")),
    };
    let shown = if own.certificate.is_some() { ", which is shown a certificate" } else { "" };
    say::line(format!("  for the FHIR server {}{at}{shown}", own.url));
    say::line(format!(
        "  with at most {} requests to it at a time and {} that wait; it is left alone after {} failures in a row",
        own.concurrency, own.queue, own.breaker.failures
    ));
    limits(config);
    config.issuers().for_each(|issuer| accepted(issuer, config.site.base()));
    let without = match config.consent.without_consent {
        config::WithoutConsent::Deny => "hidden",
        config::WithoutConsent::Permit => "shown",
    };
    say::line(format!(
        "  a patient without consent is {without}; consents and audit are kept in {}",
        config.store.path.display()
    ));
    trail(config);
    if let Some(own) = &config.break_glass {
        let rules = own.rules();
        let over: Vec<&str> = rules.overrides.iter().map(|own| own.code()).collect();
        let over = if over.is_empty() { "nothing".to_owned() } else { over.join(", ") };
        let reason = if own.reason_required { "with a reason" } else { "with or without a reason" };
        say::line(format!(
            "  in an emergency, {} may read over {over}, {reason}, for {} minutes; reviews are due within {} hours",
            own.roles.join(", "),
            own.minutes,
            own.review_hours
        ));
    }
    config.policy.iter().for_each(describe_policies);
    for alias in &config.identity.alias {
        say::line(format!("  {} is written {} towards the federation", alias.local, alias.network));
    }
    if !config.mapping.maps.is_empty() {
        let paths: Vec<String> = config.mapping.maps.iter().map(|path| path.display().to_string()).collect();
        let again = match config.mapping.reload_seconds {
            0 => "read once".to_owned(),
            seconds => format!("read anew when they change, within {seconds} seconds"),
        };
        say::line(format!("  maps of {}, {again}", paths.join(", ")));
    }
    for route in &config.route {
        describe(route);
    }
    if !config.route.is_empty() {
        say::line(format!(
            "  route {DEFAULT_ROUTE} takes everything else: nothing is validated or mapped on it"
        ));
    }
    if let Some(server) = &config.terminology {
        let credential = match (&server.server.token_file, &server.server.token_env) {
            (Some(path), _) => format!(", with the token in {}", path.display()),
            (None, Some(name)) => format!(", with the token in the variable {name}"),
            (None, None) => String::new(),
        };
        say::line(format!(
            "  codes that can't be judged here are asked of {}{credential}",
            server.server.url
        ));
    }
    if let Some(mllp) = &config.mllp {
        messages(mllp);
    }
    config.publication.iter().for_each(publications);
    config.passthrough.iter().for_each(passthrough);
    reported(config);
    for plugin in &config.plugin {
        say::line(format!("  plugin {}", plugin.manifest.display()));
    }
}

/// For how long audit records are kept, and where they are sent.
fn trail(config: &Config) {
    match &config.audit.keep {
        None => say::line("    audit records are kept for ever"),
        Some(keep) => say::line(format!(
            "    audit records are kept for {keep}; older ones are removed, and a record says how many"
        )),
    }
    if let Some(export) = &config.audit.export {
        say::line(format!(
            "    each audit record is sent to {}, and kept until it was taken",
            export.place()
        ));
    }
    if let Some(otlp) = config.telemetry.otlp.as_ref().filter(|otlp| otlp.audit) {
        let includes: Vec<&str> = otlp
            .audit_includes
            .iter()
            .map(|part| match part {
                AuditIncludes::Agents => "who asked",
                AuditIncludes::Patients => "whose data it was",
                AuditIncludes::Record => "the whole record",
            })
            .collect();
        let includes = match includes.as_slice() {
            [] => "without any identity".to_owned(),
            parts => format!("with {}", parts.join(", ")),
        };
        say::line(format!("    audit records are sent as logs to {}, {includes}", otlp.collector.url));
    }
}

/// What the operator's own systems get of requests.
fn reported(config: &Config) {
    if let Some(otlp) = &config.telemetry.otlp {
        let url = &otlp.collector.url;
        if let Some(traces) = &otlp.traces {
            let share = traces.ratio * 100.0;
            let whose = if traces.from_caller { ", of those without a trace of their caller's," } else { "" };
            say::line(format!(
                "  {share} % of requests{whose} are sent as traces to {url}, without paths and identities"
            ));
        }
        if let Some(metrics) = &otlp.metrics {
            say::line(format!("  metrics are sent to {url} every {} seconds", metrics.seconds));
        }
    }
    if let Some(log) = &config.telemetry.access_log {
        say::line(format!(
            "  each request has a line in {}, with its path as a template; SIGHUP opens the file anew",
            log.path.display()
        ));
    }
}

/// How many policies there are, and what holds where none speaks.
fn describe_policies(settings: &Policy) {
    let Ok(loaded) = load(settings) else { return };
    let count = |effect| loaded.policies.policies().filter(|policy| policy.effect == effect).count();
    let default = match settings.default {
        PolicyDefault::Deny => "denied",
        PolicyDefault::Permit => "left to consent",
    };
    say::line(format!(
        "  beside consent, {} policies permit and {} forbid; what none speaks of is {default}",
        count(PolicyEffect::Permit),
        count(PolicyEffect::Forbid)
    ));
}

/// Whose tokens are accepted, and by which keys.
fn accepted(issuer: &Issuer, base: &str) {
    let audience = issuer.audience.as_deref().unwrap_or(base);
    say::line(format!("  callers may come with a token of {}, made for {audience}", issuer.issuer));
    if issuer.kind == IssuerKind::Fse {
        let ca = issuer.ca.as_ref().map_or_else(String::new, |path| path.display().to_string());
        say::line(format!("    and with FSE-JWT-Signature, both signed by a certificate of {ca}"));
        say::line(format!("    for {}", issuer.scopes.join(" ")));
        return;
    }
    let keys = match (&issuer.jwks, &issuer.jwks_url) {
        (Some(path), _) => path.display().to_string(),
        (None, url) => url.clone().unwrap_or_default(),
    };
    let Issuer { refresh_seconds, max_age_seconds, unknown_key_seconds, .. } = issuer;
    say::line(format!(
        "    its keys are read from {keys} every {refresh_seconds} seconds, and for an unknown key at most every \
         {unknown_key_seconds} seconds; they count for {max_age_seconds} seconds"
    ));
    if let Some(longest) = issuer.longest() {
        let once = if issuer.one_time { "counts once and " } else { "" };
        say::line(format!("    a token {once}may be valid for {longest} seconds at most"));
    }
    if !issuer.jwks_networks.is_empty() {
        let networks = issuer.jwks_networks.join(", ");
        say::line(format!("    beside public addresses, {networks} may be asked for them"));
    }
}

/// Which messages go to which national gateway, and what becomes of them while it is silent.
fn publications(publication: &Publication) {
    for route in &publication.route {
        let shown = match &route.certificate {
            Some(path) => format!("with the certificate {}", path.display()),
            None => "without a certificate, which the real one would refuse".to_owned(),
        };
        let callers = match route.callers {
            Callers::Certificates => {
                format!("whoever shows one of {} listed certificates", route.certificates.len())
            }
            Callers::Tokens => format!("holders of two tokens made for {}", route.gateway),
            Callers::Network => format!(
                "whoever calls from {}: anything there publishes in this hospital's name, so nothing else should be there",
                route.networks.join(", ")
            ),
        };
        say::line(format!(
            "  FSE messages below {}/ go to {} as they are, {shown}",
            route.path, route.gateway
        ));
        say::line(format!("    callers: {callers}"));
        if let Some(told) = route.limits.told() {
            say::line(format!("    each of them may send {told}; what is above it is refused with 429"));
        }
    }
    say::line(format!(
        "    publications that a gateway can't take wait for {} days, {} of them and {} bytes at most, and are sent in order",
        publication.days, publication.records, publication.bytes
    ));
}

/// What is handed on as it is, loudly: nobody decides about it.
fn passthrough(own: &Passthrough) {
    let record = match own.audit {
        PassedAudit::Each => "a record for each request",
        PassedAudit::Minute => "a record for each client and minute, and one that counts its requests",
    };
    say::line(format!(
        "  PASS-THROUGH {}: requests below {}/ are handed to {} as they are, and its answers back",
        own.name, own.path, own.server.url
    ));
    say::line(
        "    NOBODY DECIDES about what passes: no consent, label, policy, map, validation or plugin looks at it",
    );
    say::line(format!("    the reason given: {}", own.reason));
    say::line(format!("    {} by {}; {record}", own.methods.join(", "), own.clients.join(", ")));
    say::line(format!(
        "    bodies of {} bytes at most, answers of {} bytes and {} seconds at most",
        own.body_bytes, own.answer_bytes, own.server.answer_seconds
    ));
    if !own.headers.is_empty() {
        say::line(format!("    beside the usual headers, {} pass both ways", own.headers.join(", ")));
    }
}

/// Where HL7 v2 messages arrive, and from whom.
fn messages(mllp: &Mllp) {
    let way = match &mllp.tls {
        None => "in the clear",
        Some(tls) if tls.client_ca.is_some() => "over TLS, with client certificates demanded",
        Some(_) => "over TLS",
    };
    let reading = if mllp.lenient { "leniently" } else { "strictly" };
    say::line(format!(
        "  HL7 v2 messages arrive on {} {way}, are read {reading}, with times in {}",
        mllp.address, mllp.zone
    ));
    let invalid = match mllp.validation {
        ValidationMode::Off => "is not validated",
        ValidationMode::Enforce => "is validated; what is not valid is refused with AE",
        ValidationMode::Log | ValidationMode::Warn => "is validated; faults are counted and logged by rule",
    };
    say::line(format!("    what they become in FHIR {invalid}"));
    for sender in &mllp.sender {
        let facility =
            sender.facility.as_ref().map_or("any facility".to_owned(), |own| format!("facility {own}"));
        let mut proofs = Vec::new();
        if let Some(name) = &sender.certificate_name {
            proofs.push(format!("a certificate for {name}"));
        }
        if sender.certificate_sha256.is_some() {
            proofs.push("its own certificate".to_owned());
        }
        if !sender.addresses.is_empty() {
            let addresses: Vec<String> = sender.addresses.iter().map(ToString::to_string).collect();
            proofs.push(format!("the address {}", addresses.join(" or ")));
        }
        let proof = if proofs.is_empty() { "its header alone".to_owned() } else { proofs.join(" and ") };
        let types =
            if sender.types.is_empty() { "all that are mapped".to_owned() } else { sender.types.join(", ") };
        say::line(format!(
            "    {}: application {}, {facility}, told by {proof}; types: {types}",
            sender.name, sender.application
        ));
        if let Some(told) = sender.limits.told() {
            say::line(format!("      at most {told}; what is faster is acknowledged later"));
        }
        if sender.lane != Lane::Normal {
            say::line(format!("      its messages take places of the {} lane", sender.lane.name()));
        }
    }
}

/// What a route takes, and what comes of a resource that is not valid.
fn describe(route: &Route) {
    let some = |list: &[String], all: &str| if list.is_empty() { all.to_owned() } else { list.join(", ") };
    let (types, clients) = (some(&route.types, "all types"), some(&route.clients, "all clients"));
    say::line(format!("  route {}: {types}; {clients}", route.name));
    for direction in [Direction::Requests, Direction::Responses] {
        let what = match (direction, route.validation.mode(direction)) {
            (_, ValidationMode::Off) => "are not validated",
            (_, ValidationMode::Log) => "are validated; faults are counted and logged by rule",
            (_, ValidationMode::Warn) => {
                "are validated; faults are logged, and told in the header Varco-Validation"
            }
            (Direction::Requests, ValidationMode::Enforce) => {
                "are validated; what is not valid is refused with 422 and the findings"
            }
            (Direction::Responses, ValidationMode::Enforce) => {
                "are validated; what is not valid is replaced by 502 without the findings"
            }
        };
        say::line(format!("    {} {what}", direction.name()));
    }
    route.map.iter().for_each(describe_map);
    for profile in &route.validation.profile {
        let direction = profile.direction.map_or("both directions", |own| own.name());
        say::line(format!("    {} must obey {} ({direction})", profile.resource_type, profile.canonical));
    }
}

/// What a route's map does.
fn describe_map(map: &RouteMap) {
    let RouteMap { resource_type, canonical, .. } = map;
    let what = match (map.direction, map.on_failure) {
        (Direction::Requests, _) => "that is written is mapped first by",
        (Direction::Responses, _) => "that may be shown is mapped by",
    };
    let fails = match (map.direction, map.on_failure) {
        (Direction::Requests, _) => "refused with 422 and the cause",
        (Direction::Responses, OnMapFailure::Refuse) => "replaced by 502 without the cause",
        (Direction::Responses, OnMapFailure::LeaveOut) => "left out of searches, which say so",
    };
    say::line(format!("    a {resource_type} {what} {canonical}; what can't be mapped is {fails}"));
}

/// Shows a configuration's faults on standard error: the line, a caret, cause and cure.
pub fn show(error: &ConfigError) -> ExitCode {
    let ConfigError::Faulty { path, text, faults } = error else { return say::failed(error) };
    let renderer = if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    let name = path.display().to_string();
    for fault in faults {
        // A fault that stands in another file is shown there.
        let other =
            fault.elsewhere.as_ref().map(|at| (at.path.display().to_string(), at.text.as_str(), &at.span));
        let (name, text, span) = match &other {
            Some((name, text, span)) => (name.as_str(), *text, *span),
            None => (name.as_str(), text.as_str(), &fault.span),
        };
        let end =
            text[span.start.min(text.len())..].find(['\r', '\n']).map_or(text.len(), |at| span.start + at);
        let span = span.start..span.end.min(end).max(span.start);
        let title = if fault.setting.is_empty() {
            fault.cause.clone()
        } else {
            format!("{}: {}", fault.setting, fault.cause)
        };
        let snippet = Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(span));
        let report = [Level::ERROR
            .primary_title(title.as_str())
            .element(snippet)
            .element(Level::HELP.message(fault.cure.as_str()))];
        say::note(renderer.render(&report));
    }
    let count = faults.len();
    say::note(format!(
        "{name}: {count} {}; nothing was started.",
        if count == 1 { "fault" } else { "faults" }
    ));
    ExitCode::FAILURE
}
