//! The operator's port: `/live`, `/ready`, `/metrics`, `/tasks`, `/log-level`, `/outbox`. It shows counts and causes, never data.

mod log_level;
mod outbox;
mod tasks;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::fse::Operation;
use crate::listen::{Coming, Handler, Peer};
use crate::reload::Current;

/// Answers on the operator's port.
pub struct Admin {
    /// What is asked about.
    pub current: Arc<Current>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, request: Request<Coming>, _: Peer) -> Response<Full<Bytes>> {
        if request.method() == Method::PUT && request.uri().path() == "/log-level" {
            let (status, text) = log_level::change(request.into_body()).await;
            return answer(status, "text/plain", text);
        }
        if let Some((id, operation)) =
            Operation::of(request.uri().path()).filter(|_| request.method() == Method::POST)
        {
            return outbox::operate(&self.current.gateway(), id, operation).await;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return answer(
                StatusCode::METHOD_NOT_ALLOWED,
                "text/plain",
                "only GET, PUT of /log-level, and POST of /outbox/ID/retry and /outbox/ID/drop\n",
            );
        }
        match request.uri().path() {
            "/live" => answer(StatusCode::OK, "text/plain", "live\n"),
            "/ready" => self.ready(),
            "/outbox" => outbox::show(&self.current.gateway()),
            "/metrics" => {
                self.current.gateway().observe();
                self.metrics.run_upkeep();
                answer(StatusCode::OK, "text/plain; version=0.0.4", self.metrics.render())
            }
            "/tasks" => {
                let told = tasks::told(&self.current.gateway().reporting().tasks);
                answer(StatusCode::OK, "application/json", format!("{told}\n"))
            }
            "/log-level" => {
                let (status, text) = log_level::show();
                answer(status, "text/plain", text)
            }
            _ => answer(
                StatusCode::NOT_FOUND,
                "text/plain",
                "there are /live, /ready, /metrics, /outbox, /tasks and /log-level\n",
            ),
        }
    }
}

impl Admin {
    fn ready(&self) -> Response<Full<Bytes>> {
        let gateway = self.current.gateway();
        let store = gateway.store().is_alive();
        let draining = gateway.is_draining();
        let upstream = gateway.upstream_state();
        let (under_way, waiting) = gateway.upstream_load();
        let (without_keys, issuers) = gateway.tokens().without_keys();
        let keys = match without_keys.as_slice() {
            [] => "at hand".to_owned(),
            names => format!("not at hand or too old: {}", names.join(", ")),
        };
        let ready = store && !draining && without_keys.len() < issuers;
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = json!({
            "ready": ready,
            "draining": draining,
            "store": if store { "works" } else { "does not answer" },
            "keys": keys,
            "upstream": upstream,
            "upstream_requests": { "under_way": under_way, "waiting": waiting },
        });
        answer(status, "application/json", format!("{body}\n"))
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
