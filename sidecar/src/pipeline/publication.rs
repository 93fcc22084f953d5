//! The FSE publication plane, as the operator sees it: its messages stand in `/tasks`, in the access log and in traces as every
//! request does. The message itself is [`crate::fse`]'s.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Body as _;
use jiff::Timestamp;
use uuid::Uuid;

use super::report::Seen;
use super::trace::Trace;
use super::{Gateway, Reply, template};
use crate::fse::{Publication, Route, Told};
use crate::listen::{Coming, Peer};
use crate::telemetry::spans::Spans;
use crate::telemetry::stage::Stage;
use crate::telemetry::traces;

impl Gateway {
    /// Has a message answered, and tells of it.
    pub(super) async fn publish(
        self: Arc<Self>,
        plane: Arc<Publication>,
        route: Arc<Route>,
        request: Request<Coming>,
        peer: Peer,
    ) -> Response<Reply> {
        let (started, received, id) = (Instant::now(), Timestamp::now(), Uuid::now_v7());
        let reporting = &self.reporting;
        let (method, protocol) = (template::method(request.method()), template::protocol(request.version()));
        let mut trace = Trace::continue_from(request.headers());
        let spans = reporting.begin_trace(&mut trace);
        let ticket = reporting.tasks.requests.begin(id);
        ticket.stage(Stage::Upstream);
        let base = route.path().to_owned();
        let response = plane.serve(route, request, peer, id, trace).await;
        drop(ticket);
        if spans.is_none() && reporting.access_log.is_none() {
            return response.map(Either::Left);
        }
        let told = response.extensions().get::<Told>();
        let client = told.map_or("", |told| told.client.as_str());
        let path = told.map(|told| format!("{base}/{{{}}}", told.kind));
        let (status, request_id) = (response.status().as_u16(), id.to_string());
        let bytes = response.body().size_hint().exact().unwrap_or_default();
        let request = traces::Request {
            method,
            scheme: self.scheme(),
            protocol,
            route: path,
            status,
            cause: None,
            interaction: "fse",
            resource_type: String::new(),
            request_id,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            released: 0,
            plugins: 0,
        };
        let took = started.elapsed();
        self.report(Seen { received, address: peer.address.ip(), client, took, spans, request });
        response.map(Either::Left)
    }
}

impl crate::telemetry::reporting::Reporting {
    /// Decides whether a request is traced, says so in its trace, and begins its spans if it is.
    pub(super) fn begin_trace(&self, trace: &mut Trace) -> Option<Box<Spans>> {
        let tracer = self.tracer.as_ref()?;
        let ids = trace.ids()?;
        trace.sampled = tracer.samples(&ids, trace.sampled);
        trace.sampled.then(|| Box::new(Spans::begin(ids)))
    }
}
