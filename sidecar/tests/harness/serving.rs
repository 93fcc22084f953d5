//! `varco serve` as a process of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use serde_json::Value;

use super::{Setup, listening};

/// A running `varco serve`; killed with the test.
pub struct Serving(pub Child);

impl Serving {
    /// Starts it, and waits until it answers on the operator's port: then its store is open and its ports are served.
    pub async fn start(setup: &Setup) -> Serving {
        let child = Command::new(env!("CARGO_BIN_EXE_varco"))
            .args(["serve", "--config"])
            .arg(setup.config_file())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let serving = Serving(child);
        listening(setup.admin).await;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, setup.admin)).await.unwrap();
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serving
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `varco serve` of its own process, whose log is read at its end.
pub struct Logged(Child);

impl Logged {
    /// Starts it, and waits until it listens.
    pub async fn start(setup: &Setup) -> Logged {
        let mut command = Command::new(env!("CARGO_BIN_EXE_varco"));
        let command = command.args(["serve", "--config"]).arg(setup.config_file());
        let serving = Logged(command.stdout(Stdio::piped()).spawn().unwrap());
        listening(setup.port).await;
        serving
    }

    /// Ends it; the lines of its log that tell of requests, by request id.
    pub fn log(mut self) -> HashMap<String, Value> {
        // Lines are gathered for some milliseconds before they are written.
        std::thread::sleep(Duration::from_millis(200));
        self.0.kill().unwrap();
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        lines.filter_map(|line| Some((line["request_id"].as_str()?.to_owned(), line))).collect()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
