//! A sidecar in this process before a server made of bytes.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::Value;
use tokio::runtime::Handle;
use varco::config;
use varco::run::{self, Running};

use crate::harness::{Asking, Reply, Setup};
use crate::server::Server;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// The two of them. Everybody consents, so that nothing but the server decides.
pub struct Site {
    pub setup: Setup,
    pub server: Server,
    pub running: Running,
}

impl Site {
    pub async fn start(upstream: &str, more: &str) -> Site {
        Site::before(upstream, |_| more.to_owned()).await
    }

    /// The same, with settings that name the server.
    pub async fn before(upstream: &str, more: impl Fn(&Server) -> String) -> Site {
        let server = Server::start();
        for _ in 0..5 {
            let more = format!("[consent]\nwithout_consent = \"permit\"\n{}", more(&server));
            let setup = Setup::new(&server.url(), &more);
            setup.replace("answer_seconds = 5\n", upstream);
            // One recorder for all tests of this program.
            let metrics =
                METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).clone();
            match run::start(config::load(&setup.config_file()).unwrap(), metrics).await {
                Ok(running) => return Site { setup, server, running },
                Err(run::StartError::Bind { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no port is free");
    }

    pub fn asking(&self) -> Asking {
        self.setup.client()
    }

    /// Asks on a connection that ends with the answer, so that none is left to be counted.
    pub async fn get_alone(&self, path: &str) -> Reply {
        self.asking().send(Method::GET, path, &[("connection", "close")], Bytes::new()).await
    }

    pub fn records(&self) -> u64 {
        self.running.gateway().store().verify_audit().unwrap().unwrap()
    }

    pub async fn ready(&self) -> Value {
        self.get_alone(&format!("http://127.0.0.1:{}/ready", self.setup.admin)).await.json()
    }

    /// Waits until nothing of a request is left running: neither at the server nor in this program.
    pub async fn is_quiet(&self, tasks: usize) {
        for _ in 0..1000 {
            let alive = Handle::current().metrics().num_alive_tasks();
            if self.running.gateway().upstream_load() == (0, 0) && alive <= tasks {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let alive = Handle::current().metrics().num_alive_tasks();
        panic!(
            "{:?} requests and {alive} tasks are left, of {tasks}",
            self.running.gateway().upstream_load()
        );
    }

    pub async fn stop(self) {
        self.running.stop().await;
        self.server.stop().await;
    }
}
