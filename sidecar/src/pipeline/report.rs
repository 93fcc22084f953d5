//! The line in the access log, and the trace: of every request, on whatever plane.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::Gateway;
use crate::telemetry::access_log::Line;
use crate::telemetry::spans::Spans;
use crate::telemetry::traces;

/// A request that has ended.
pub(super) struct Seen<'r> {
    pub received: Timestamp,
    pub address: IpAddr,
    /// The application's id; empty where it is not known.
    pub client: &'r str,
    pub took: Duration,
    /// Where it is traced.
    pub spans: Option<Box<Spans>>,
    pub request: traces::Request,
}

impl Gateway {
    /// Tells of a request where that is asked for.
    pub(super) fn report(&self, seen: Seen<'_>) {
        let Seen { received, address, client, took, spans, request } = seen;
        if let Some(log) = &self.reporting.access_log {
            log.tell(&Line {
                received,
                address,
                client,
                method: request.method,
                route: request.route.as_deref(),
                protocol: request.protocol,
                status: request.status,
                bytes: request.bytes,
                took,
                request_id: &request.request_id,
                cause: request.cause,
            });
        }
        if let (Some(tracer), Some(spans)) = (&self.reporting.tracer, spans) {
            tracer.finish(*spans, request);
        }
    }

    /// How callers reach it.
    pub(super) fn scheme(&self) -> &'static str {
        if self.config.listen.tls.is_some() { "https" } else { "http" }
    }
}
