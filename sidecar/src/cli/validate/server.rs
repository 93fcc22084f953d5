//! The terminology server of a run (`--terminology URL`): its client, and what it said so far.
//!
//! Nothing is asked unless the user names a server. It is left alone when it fails; what it did not say stays
//! unknown, and the run says at its end how much that is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use tokio::runtime::{Builder, Runtime};
use varco::config;
use varco::terminology::{Replies, Terminology};
use varco_core::terminology::{Answer, Answers, Question};

/// The variable that may hold a bearer token.
const TOKEN: &str = "VARCO_TERMINOLOGY_TOKEN";
/// Where systems keep the authorities that they trust, as one PEM file.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Most answers kept beside those that the client remembers.
const MOST_REPLIES: usize = 100_000;

/// A server and its answers.
pub(super) struct Server {
    runtime: Runtime,
    client: Terminology,
    replies: Replies,
    asked: usize,
    answered: usize,
}

impl Answers for Server {
    fn answer(&self, question: &Question) -> Option<Answer> {
        self.replies.answer(question)
    }
}

impl Server {
    /// A client for the server at `url`. Nothing is sent yet.
    pub fn new(url: &str, ca: Option<&Path>, token_file: Option<&Path>) -> Result<Server> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "http" | "https") {
            bail!(
                "--terminology takes `none` or the URL of a FHIR terminology server, such as https://tx.example.org/r4"
            );
        }
        let ca = if scheme == "https" { Some(authorities(ca)?) } else { None };
        let token_env = token_file.is_none().then(|| TOKEN.to_owned());
        let token_env =
            token_env.filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let server = config::Destination {
            ca,
            token_file: token_file.map(Path::to_owned),
            token_env,
            answer_seconds: Some(30),
            ..config::Destination::at(url)
        };
        let config =
            config::Terminology { server, total_seconds: 120, batch: 100, ..config::Terminology::at(url) };
        let runtime =
            Builder::new_current_thread().enable_all().build().context("no clock or network is to be had")?;
        let client = Terminology::new(&config).map_err(|error| anyhow!("{error}"))?;
        Ok(Server { runtime, client, replies: Replies::default(), asked: 0, answered: 0 })
    }

    /// Asks these questions together. Each has an answer afterwards, `unknown` among them.
    pub fn ask(&mut self, questions: &BTreeSet<Question>) {
        if self.replies.len() > MOST_REPLIES {
            self.replies = Replies::default();
        }
        let said = self.runtime.block_on(self.client.ask_at_most(questions, questions.len()));
        self.asked += said.len();
        self.answered += said.certain();
        self.replies.extend(said);
    }

    /// What the run should say of it at its end.
    pub fn told(&self) -> Option<String> {
        let open = self.asked.checked_sub(self.answered).filter(|open| *open > 0)?;
        let cause = self.client.last_failure().map(|cause| format!("; its last failure: {cause}"));
        Some(format!(
            "the terminology server did not tell for {open} of {} codes that it was asked about{}",
            self.asked,
            cause.unwrap_or_default()
        ))
    }
}

/// The authorities that vouch for the server: those asked for, else those of the system.
fn authorities(asked: Option<&Path>) -> Result<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = || AUTHORITIES.iter().map(PathBuf::from).find(|path| path.is_file());
    let found = asked.map(Path::to_owned).or(named).or_else(usual);
    found.context("no file of certificate authorities was found; name one with --terminology-ca")
}
