//! Faults that a test injects, and the requests that a test looks at afterwards.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Version};

/// What goes wrong.
#[derive(Clone)]
#[non_exhaustive]
pub enum Effect {
    /// The answer comes later; the request is then handled as usual.
    Delay(Duration),
    /// This status with an OperationOutcome; the request has no other effect.
    Status(u16),
    /// The connection is closed without an answer (HTTP/2: the stream is reset).
    Drop,
    /// This answer instead, whatever was asked: a body that is not FHIR, a wrong type, an empty 200.
    Reply {
        /// The HTTP status.
        status: u16,
        /// The `Content-Type`; none where empty.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// The request is handled, then its answer is changed.
    Alter(Alteration),
}

/// A change to an answer.
pub type Alteration = Arc<dyn Fn(&mut Response<Bytes>) + Send + Sync>;

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Delay(time) => f.debug_tuple("Delay").field(time).finish(),
            Effect::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Effect::Drop => f.write_str("Drop"),
            Effect::Reply { status, .. } => {
                f.debug_struct("Reply").field("status", status).finish_non_exhaustive()
            }
            Effect::Alter(_) => f.write_str("Alter"),
        }
    }
}

/// A fault: an effect, and the requests that meet it.
#[derive(Debug, Clone)]
pub struct Fault {
    effect: Effect,
    method: Option<Method>,
    path: Option<String>,
    times: Option<u32>,
}

impl Fault {
    /// A fault that every request meets until it is cleared.
    pub fn new(effect: Effect) -> Fault {
        Fault { effect, method: None, path: None, times: None }
    }

    /// Only requests with this method.
    pub fn on_method(self, method: Method) -> Fault {
        Fault { method: Some(method), ..self }
    }

    /// Only requests whose path below the base URL begins with this text, such as `/Patient/`.
    pub fn on_path(self, prefix: impl Into<String>) -> Fault {
        Fault { path: Some(prefix.into()), ..self }
    }

    /// Only the next `times` requests that it fits.
    pub fn times(self, times: u32) -> Fault {
        Fault { times: Some(times), ..self }
    }

    fn fits(&self, method: &Method, path: &str) -> bool {
        self.times != Some(0)
            && self.method.as_ref().is_none_or(|own| own == method)
            && self.path.as_ref().is_none_or(|own| path.starts_with(own.as_str()))
    }
}

/// A request as the hospital received it.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// The method.
    pub method: Method,
    /// The path and query, as written.
    pub target: String,
    /// The HTTP version.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty until it has been read to its end.
    pub body: Bytes,
}

/// Faults and seen requests of one hospital.
#[derive(Debug)]
pub(super) struct Control {
    inner: Mutex<Inner>,
    remembered: usize,
}

#[derive(Debug, Default)]
struct Inner {
    faults: Vec<Fault>,
    /// All requests since the last reset, remembered or not.
    count: u64,
    seen: VecDeque<(u64, SeenRequest)>,
}

impl Control {
    pub(super) fn new(remembered: usize) -> Control {
        Control { inner: Mutex::default(), remembered }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    pub(super) fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    pub(super) fn seen(&self) -> Vec<SeenRequest> {
        self.lock().seen.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(super) fn forget(&self) {
        let mut inner = self.lock();
        inner.count = 0;
        inner.seen.clear();
    }

    /// Notes a request and gives the number under which its body is noted later.
    pub(super) fn note(&self, request: SeenRequest) -> u64 {
        let mut inner = self.lock();
        inner.count = inner.count.saturating_add(1);
        let number = inner.count;
        inner.seen.push_back((number, request));
        while inner.seen.len() > self.remembered {
            inner.seen.pop_front();
        }
        number
    }

    pub(super) fn note_body(&self, number: u64, body: &Bytes) {
        if let Some((_, request)) = self.lock().seen.iter_mut().rev().find(|(own, _)| *own == number) {
            request.body = body.clone();
        }
    }

    /// The effects that this request meets, in the order of injection; each counts as one of its times.
    pub(super) fn effects(&self, method: &Method, path: &str) -> Vec<Effect> {
        let mut inner = self.lock();
        let mut met = Vec::new();
        for fault in inner.faults.iter_mut().filter(|fault| fault.fits(method, path)) {
            fault.times = fault.times.map(|left| left.saturating_sub(1));
            met.push(fault.effect.clone());
        }
        inner.faults.retain(|fault| fault.times != Some(0));
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_what_it_fits_and_wears_off() {
        let control = Control::new(10);
        control.inject(Fault::new(Effect::Status(503)).on_method(Method::GET).on_path("/Patient").times(2));
        assert!(control.effects(&Method::POST, "/Patient").is_empty());
        assert!(control.effects(&Method::GET, "/Observation").is_empty());
        assert_eq!(control.effects(&Method::GET, "/Patient/1").len(), 1);
        assert_eq!(control.effects(&Method::GET, "/Patient/1").len(), 1);
        assert!(control.effects(&Method::GET, "/Patient/1").is_empty());
    }
}
