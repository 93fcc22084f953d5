//! The spans of one request (OpenTelemetry Trace API): its own and those of its stages, held until it ends.
//!
//! Only a sampled request has them. Bound: [`MOST`] stages, the rest is counted; stages that repeat side by side are one span
//! with a count. Times are nanoseconds since the request began, by a clock that never jumps.
//!
//! Invariant: nothing in here was written by the caller but ids of the trace: a place is a template, never a path.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::calls::{Calls, Made};
use super::stage::Stage;

/// Most stages that are told of one request.
pub const MOST: usize = 48;

/// The ids that a request's spans hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    /// The trace's.
    pub trace: [u8; 16],
    /// The request's own span.
    pub own: [u8; 8],
    /// The caller's span, where it sent one.
    pub parent: Option<[u8; 8]>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub stage: Stage,
    /// Its id.
    pub id: [u8; 8],
    /// The stage that it is part of; `None`: the request's own span.
    pub inside: Option<usize>,
    /// Nanoseconds from the request's beginning to its first beginning.
    pub begins: u64,
    /// The same to its last end.
    pub ends: u64,
    /// How many times it was gone through.
    pub times: u32,
    /// Of an upstream call: what was asked.
    pub call: Option<Call>,
}

/// One question to the hospital's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path with `{id}` for ids, without its query.
    pub template: String,
    /// The answer's status; `None` where there was no whole answer.
    pub status: Option<u16>,
}

/// The spans of a request that is under way.
#[derive(Debug)]
pub struct Spans {
    /// Its ids.
    pub ids: TraceIds,
    began: SystemTime,
    clock: Instant,
    list: Vec<Span>,
    open: Vec<usize>,
    dropped: u32,
}

/// A stage that was entered and is to be left.
#[derive(Debug)]
#[must_use = "a stage that is not left lasts until the request ends"]
pub struct Entered(Option<usize>);

impl Entered {
    /// Of a request without spans.
    pub const NOTHING: Entered = Entered(None);
}

impl Spans {
    /// None yet.
    pub fn begin(ids: TraceIds) -> Spans {
        Spans {
            ids,
            began: SystemTime::now(),
            clock: Instant::now(),
            list: Vec::new(),
            open: Vec::new(),
            dropped: 0,
        }
    }

    /// A stage begins.
    pub fn enter(&mut self, stage: Stage) -> Entered {
        let now = self.now();
        let inside = self.open.last().copied();
        let beside = self.list.iter().rposition(|span| span.inside == inside);
        if let Some(at) = beside.filter(|_| stage.gathers())
            && let Some(last) = self.list.get_mut(at).filter(|last| last.stage == stage)
        {
            last.times = last.times.saturating_add(1);
            self.open.push(at);
            return Entered(Some(at));
        }
        if self.list.len() >= MOST {
            self.dropped = self.dropped.saturating_add(1);
            return Entered::NOTHING;
        }
        let at = self.list.len();
        let id = child_id(self.ids.own, at);
        self.list.push(Span { stage, id, inside, begins: now, ends: now, times: 1, call: None });
        self.open.push(at);
        Entered(Some(at))
    }

    /// It ends, and with it whatever began inside of it and was not left.
    pub fn leave(&mut self, entered: &Entered) {
        let Some(at) = entered.0 else { return };
        let now = self.now();
        let Some(depth) = self.open.iter().rposition(|own| *own == at) else { return };
        for closed in self.open.drain(depth..) {
            if let Some(span) = self.list.get_mut(closed) {
                span.ends = now;
            }
        }
    }

    /// Says what an upstream stage asks.
    pub fn calls(&mut self, entered: &Entered, method: &'static str, template: String) {
        if let Some(span) = entered.0.and_then(|at| self.list.get_mut(at)) {
            span.call = Some(Call { method, template, status: None });
        }
    }

    /// Says what came back.
    pub fn answered(&mut self, entered: &Entered, status: Option<u16>) {
        if let Some(call) = entered.0.and_then(|at| self.list.get_mut(at)?.call.as_mut()) {
            call.status = status;
        }
    }

    /// Where calls are gathered that are made side by side in the stage that is open.
    pub fn beside(&self) -> Calls {
        Calls::new(self.open.last().copied(), self.clock)
    }

    /// Takes up what was gathered: a span for each call to the terminology server.
    pub fn take_up(&mut self, calls: &Calls) {
        let (made, more) = calls.take();
        self.dropped = self.dropped.saturating_add(more);
        for Made { begins, ends, call } in made {
            let at = self.list.len();
            if at >= MOST {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            let (id, inside) = (child_id(self.ids.own, at), calls.inside);
            let stage = Stage::Terminology;
            self.list.push(Span { stage, id, inside, begins, ends, times: 1, call: Some(call) });
        }
    }

    /// The id of the innermost span that is open: what the next hop hangs its own on.
    pub fn current(&self) -> [u8; 8] {
        self.open.last().and_then(|at| self.list.get(*at)).map_or(self.ids.own, |span| span.id)
    }

    /// Ends everything; gives when the request began and ended, in nanoseconds since 1970, its stages, and how many were not
    /// kept.
    pub fn end(mut self) -> Ended {
        let now = self.now();
        for closed in self.open.drain(..) {
            if let Some(span) = self.list.get_mut(closed) {
                span.ends = now;
            }
        }
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = u64::try_from(began.as_nanos()).unwrap_or_default();
        Ended {
            ids: self.ids,
            began,
            ended: began.saturating_add(now),
            stages: self.list,
            dropped: self.dropped,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The spans of a request that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its ids.
    pub ids: TraceIds,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
    /// Its stages, in the order of their first beginnings.
    pub stages: Vec<Span>,
    /// How many stages were not kept.
    pub dropped: u32,
}

/// The id of the n-th stage: it follows from the request's own, which is random, and costs no randomness.
fn child_id(own: [u8; 8], at: usize) -> [u8; 8] {
    // SplitMix64 is a bijection: ids of one request differ.
    let step = (at as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mixed = u64::from_be_bytes(own).wrapping_add(step);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // An id of zeros is none (W3C Trace Context §3.2.2.4).
    mixed.max(1).to_be_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn spans() -> Spans {
        Spans::begin(TraceIds { trace: [1; 16], own: [2; 8], parent: None })
    }

    #[test]
    fn stages_nest_and_what_was_not_left_ends_with_what_holds_it() {
        let mut spans = spans();
        let identify = spans.enter(Stage::Identify);
        spans.leave(&identify);
        let decide = spans.enter(Stage::Decide);
        let upstream = spans.enter(Stage::Upstream);
        spans.calls(&upstream, "GET", "/fhir/Patient/{id}".to_owned());
        assert_eq!(spans.current(), spans.list[2].id, "the next hop hangs on the call");
        spans.answered(&upstream, Some(200));
        spans.leave(&decide);
        assert_eq!(spans.current(), [2; 8]);
        let ended = spans.end();
        let tree: Vec<_> = ended.stages.iter().map(|span| (span.stage, span.inside)).collect();
        assert_eq!(tree, [(Stage::Identify, None), (Stage::Decide, None), (Stage::Upstream, Some(1))]);
        assert_eq!(ended.stages[2].call.as_ref().unwrap().status, Some(200));
        assert!(ended.stages.iter().all(|span| span.begins <= span.ends));
    }

    #[test]
    fn decisions_side_by_side_are_one_span_and_calls_are_not() {
        let mut spans = spans();
        for _ in 0..3 {
            let decide = spans.enter(Stage::Decide);
            let upstream = spans.enter(Stage::Upstream);
            spans.leave(&upstream);
            spans.leave(&decide);
        }
        let ended = spans.end();
        let told: Vec<_> = ended.stages.iter().map(|span| (span.stage, span.times)).collect();
        assert_eq!(told[0], (Stage::Decide, 3));
        assert_eq!(told[1..], [(Stage::Upstream, 1); 3]);
    }

    #[test]
    fn calls_made_side_by_side_are_spans_of_the_stage_that_made_them() {
        let mut spans = spans();
        let validate = spans.enter(Stage::Validate);
        let calls = std::sync::Arc::new(spans.beside());
        std::thread::scope(|scope| {
            for status in [Some(200), None] {
                let calls = calls.clone();
                scope.spawn(move || calls.ended(Instant::now(), "POST", "/ValueSet/$validate-code", status));
            }
        });
        spans.take_up(&calls);
        spans.leave(&validate);
        (0..MOST + 5).for_each(|_| calls.ended(Instant::now(), "POST", "/", Some(200)));
        spans.take_up(&calls);
        let ended = spans.end();
        assert!(ended.stages[1..3].iter().all(|span| span.inside == Some(0) && span.ends >= span.begins));
        assert_eq!((ended.stages.len(), ended.dropped), (MOST, 5 + 3));
    }

    #[test]
    fn there_is_a_bound_and_what_lies_beyond_is_counted() {
        let mut spans = spans();
        for _ in 0..MOST + 5 {
            let call = spans.enter(Stage::Upstream);
            spans.leave(&call);
        }
        let ended = spans.end();
        assert_eq!((ended.stages.len(), ended.dropped), (MOST, 5));
        let ids: HashSet<_> = ended.stages.iter().map(|span| span.id).collect();
        assert_eq!(ids.len(), MOST);
    }
}
