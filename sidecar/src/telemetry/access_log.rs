//! The access log: a line for each request of the federation's port, in a file of its own, as JSON or in the "combined" form
//! that web servers write.
//!
//! A request hands its line over and does not wait: where the queue of [`QUEUE`] lines is full, the line is dropped and counted.
//! One task writes. On SIGHUP the file is opened anew, so that a log that was moved away is let go of; a file that can't be
//! written is opened anew too, and its lines are dropped.
//!
//! Invariant: a path is a template, a query is never written, who asked is the application's id and address.
//!
//! Metrics: `varco_access_log_lines_total`, `varco_access_log_dropped_total`.

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use metrics::{Counter, counter};
use serde_json::json;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::background;
use crate::config::AccessLogFormat;

/// Most lines that wait to be written.
const QUEUE: usize = 8192;
/// Most lines that are written at once.
const AT_ONCE: usize = 512;

/// What a line tells.
#[derive(Debug)]
pub struct Line<'l> {
    /// When the request arrived.
    pub received: Timestamp,
    /// Where it came from.
    pub address: IpAddr,
    /// The application's id; empty where it is not known.
    pub client: &'l str,
    /// The method.
    pub method: &'static str,
    /// The path as a template, where the request was understood.
    pub route: Option<&'l str>,
    /// The version of HTTP: `1.1` or `2`.
    pub protocol: &'static str,
    /// The answer's status.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: usize,
    /// How long it took.
    pub took: Duration,
    /// The request's id.
    pub request_id: &'l str,
    /// Why it was not answered as asked.
    pub cause: Option<&'static str>,
}

impl Line<'_> {
    /// The line, with its end.
    fn written(&self, format: AccessLogFormat) -> String {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        match format {
            AccessLogFormat::Json => {
                let line = json!({
                    "time": format!("{:.3}", self.received),
                    "address": self.address.to_string(),
                    "client": self.client,
                    "method": self.method,
                    "path": self.route,
                    "protocol": format!("HTTP/{}", self.protocol),
                    "status": self.status,
                    "bytes": self.bytes,
                    "micros": micros,
                    "request_id": self.request_id,
                    "cause": self.cause,
                });
                format!("{line}\n")
            }
            AccessLogFormat::Combined => {
                let time = strtime::format("%d/%b/%Y:%H:%M:%S +0000", self.received).unwrap_or_default();
                let mut line = format!("{} - ", self.address);
                escape(if self.client.is_empty() { "-" } else { self.client }, &mut line);
                let route = self.route.unwrap_or("-");
                let _ = writeln!(
                    line,
                    " [{time}] \"{} {route} HTTP/{}\" {} {} \"-\" \"-\" {micros} {}",
                    self.method, self.protocol, self.status, self.bytes, self.request_id
                );
                line
            }
        }
    }
}

/// A client's id within a line: what would end a field or a line is written as `\xHH`.
fn escape(text: &str, line: &mut String) {
    for char in text.chars() {
        if char.is_control() || matches!(char, '"' | '\\' | ' ') {
            let _ = write!(line, "\\x{:02x}", u32::from(char));
        } else {
            line.push(char);
        }
    }
}

/// Takes lines.
pub struct AccessLog {
    format: AccessLogFormat,
    lines: mpsc::Sender<String>,
    dropped: Counter,
}

/// Writes them.
pub(super) struct AccessLogFile {
    path: PathBuf,
    lines: mpsc::Receiver<String>,
}

impl AccessLog {
    /// Both ends; the file is made if it is not there.
    pub(super) fn new(path: &Path, format: AccessLogFormat) -> io::Result<(AccessLog, AccessLogFile)> {
        std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        let (sender, lines) = mpsc::channel(QUEUE);
        let dropped = counter!("varco_access_log_dropped_total");
        Ok((AccessLog { format, lines: sender, dropped }, AccessLogFile { path: path.to_owned(), lines }))
    }

    /// Takes a line; never waits.
    pub fn tell(&self, line: &Line<'_>) {
        if self.lines.try_send(line.written(self.format)).is_err() {
            self.dropped.increment(1);
        }
    }
}

impl AccessLogFile {
    /// Writes until the gateway is gone and every line is written.
    pub(super) async fn run(mut self) {
        let mut hangups = signal(SignalKind::hangup()).ok();
        let (written, dropped) =
            (counter!("varco_access_log_lines_total"), counter!("varco_access_log_dropped_total"));
        let mut file: Option<File> = None;
        let mut lines = Vec::new();
        loop {
            let hung_up = async {
                match &mut hangups {
                    Some(hangups) => hangups.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = hung_up => file = None,
                count = self.lines.recv_many(&mut lines, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    let text = lines.concat();
                    lines.clear();
                    match write(&self.path, &mut file, text.as_bytes()).await {
                        Ok(()) => {
                            written.increment(count as u64);
                            background::done(None);
                        }
                        Err(error) => {
                            file = None;
                            dropped.increment(count as u64);
                            let cause = format!("{} can't be written: {error}", self.path.display());
                            tracing::error!(cause, count, "lines of the access log are lost");
                            background::failed(&cause, None);
                        }
                    }
                }
            }
        }
    }
}

async fn write(path: &Path, file: &mut Option<File>, text: &[u8]) -> io::Result<()> {
    let open = match file {
        Some(open) => open,
        None => file.insert(OpenOptions::new().create(true).append(true).open(path).await?),
    };
    open.write_all(text).await?;
    open.flush().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn line<'l>(client: &'l str, route: Option<&'l str>) -> Line<'l> {
        Line {
            received: "2026-11-22T10:00:00.25Z".parse().unwrap(),
            address: Ipv4Addr::LOCALHOST.into(),
            client,
            method: "GET",
            route,
            protocol: "1.1",
            status: 200,
            bytes: 512,
            took: Duration::from_micros(150),
            request_id: "r-1",
            cause: None,
        }
    }

    #[test]
    fn lines_are_those_that_log_readers_know() {
        let own = line("ward-app", Some("/fhir/Patient/{id}"));
        assert_eq!(
            own.written(AccessLogFormat::Combined),
            "127.0.0.1 - ward-app [22/Nov/2026:10:00:00 +0000] \"GET /fhir/Patient/{id} HTTP/1.1\" 200 512 \"-\" \"-\" 150 r-1\n"
        );
        let json: serde_json::Value = serde_json::from_str(&own.written(AccessLogFormat::Json)).unwrap();
        assert_eq!((&json["path"], &json["micros"]), (&json!("/fhir/Patient/{id}"), &json!(150)));
    }

    #[test]
    fn no_client_id_ends_a_line_or_a_field() {
        let own = line("a\" 200 1\n\\x", None).written(AccessLogFormat::Combined);
        assert_eq!(own.matches('\n').count(), 1);
        assert!(own.contains("a\\x22\\x20200\\x201\\x0a\\x5cx ["), "{own}");
        assert!(own.contains("\"GET - HTTP/1.1\""), "{own}");
    }

    #[tokio::test]
    async fn what_was_told_is_written_in_order_and_a_missing_folder_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let (log, file) = AccessLog::new(&path, AccessLogFormat::Combined).unwrap();
        for client in ["one", "two"] {
            log.tell(&line(client, None));
        }
        drop(log);
        file.run().await;
        let text = std::fs::read_to_string(&path).unwrap();
        let clients: Vec<&str> = text.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
        assert_eq!(clients, ["one", "two"]);
        assert!(AccessLog::new(&folder.path().join("none/access.log"), AccessLogFormat::Json).is_err());
    }
}
