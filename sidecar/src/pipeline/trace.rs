//! One trace over all hops (W3C Trace Context, Level 1), and an id for each request.
//!
//! What the caller sends is read by the recommendation's grammar and written anew: a `traceparent` that breaks it begins a new
//! trace, a `tracestate` that breaks it is dropped. Bounds: 32 members and 512 bytes of state (§3.3.1.5); members that don't
//! fit are dropped from the end, long ones first. The state is passed on to the next hop and to nobody else: it is others' text.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::hexadecimal;
use crate::telemetry::spans::TraceIds;

/// Most members of a `tracestate`.
const MEMBERS: usize = 32;
/// Most bytes of a `tracestate` that are passed on.
const STATE: usize = 512;
/// A member longer than this is the first to go.
const LONG_MEMBER: usize = 128;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where a request stands in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    /// The trace's id, 32 hexadecimal digits.
    pub trace_id: String,
    /// This hop's span id, 16 hexadecimal digits.
    pub span_id: String,
    /// The caller's span id, where the trace goes on.
    pub parent: Option<String>,
    /// Whether the next hop is told that this trace is recorded: the caller's word, until something here decides.
    pub sampled: bool,
    /// The caller's `tracestate`, as it is passed on.
    state: Option<Box<str>>,
}

impl Trace {
    /// Goes on with the caller's trace if it sent one, else begins a new one.
    pub fn continue_from(headers: &HeaderMap) -> Trace {
        let mut sent = headers.get_all(TRACEPARENT).iter();
        let parent = match (sent.next(), sent.next()) {
            (Some(value), None) => value.to_str().ok().and_then(Parent::parse),
            _ => None,
        };
        let (new_trace, span_id) = random_ids();
        match parent {
            Some(parent) => Trace {
                trace_id: parent.trace_id.to_owned(),
                span_id,
                parent: Some(parent.span_id.to_owned()),
                sampled: parent.sampled,
                state: state(headers),
            },
            // Nothing has been decided about a new trace: it may be recorded.
            None => Trace {
                trace_id: hexadecimal::write(&new_trace),
                span_id,
                parent: None,
                sampled: true,
                state: None,
            },
        }
    }

    /// Another hop of a trace.
    pub fn next_of(trace_id: &str) -> Trace {
        Trace {
            trace_id: trace_id.to_owned(),
            span_id: random_ids().1,
            parent: None,
            sampled: true,
            state: None,
        }
    }

    /// The header for the next hop.
    pub fn traceparent(&self) -> String {
        self.traceparent_of(&self.span_id)
    }

    fn traceparent_of(&self, span_id: &str) -> String {
        let mut own = String::with_capacity(55);
        for part in ["00-", &self.trace_id, "-", span_id, if self.sampled { "-01" } else { "-00" }] {
            own.push_str(part);
        }
        own
    }

    /// Puts the trace into the headers for the next hop; `span` is the span that the hop is part of, if not the request's own.
    pub fn put_into(&self, span: Option<[u8; 8]>, headers: &mut HeaderMap) {
        let own = match span {
            Some(span) => self.traceparent_of(&hexadecimal::write(&span)),
            None => self.traceparent(),
        };
        if let Ok(value) = HeaderValue::from_str(&own) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(value) = self.state.as_deref().and_then(|state| HeaderValue::from_str(state).ok()) {
            headers.insert(TRACESTATE, value);
        }
    }

    /// The ids as bytes.
    pub fn ids(&self) -> Option<TraceIds> {
        let parent = match &self.parent {
            Some(parent) => Some(hexadecimal::read(parent)?),
            None => None,
        };
        Some(TraceIds {
            trace: hexadecimal::read(&self.trace_id)?,
            own: hexadecimal::read(&self.span_id)?,
            parent,
        })
    }
}

/// A `traceparent` (§3.2).
struct Parent<'h> {
    trace_id: &'h str,
    span_id: &'h str,
    sampled: bool,
}

impl<'h> Parent<'h> {
    /// Version 00 exactly; of a later version its beginning, which has the same form (§3.2.4).
    fn parse(header: &'h str) -> Option<Parent<'h>> {
        let hex = |text: &str, length: usize| {
            let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            text.len() == length && digits
        };
        let known = |text: &str| text.bytes().any(|byte| byte != b'0');
        let mut parts = header.splitn(5, '-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let more = parts.next();
        let form = hex(version, 2) && hex(trace_id, 32) && hex(span_id, 16) && hex(flags, 2);
        let version_holds = version != "ff" && (version != "00" || more.is_none());
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (form && version_holds && known(trace_id) && known(span_id)).then_some(Parent {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

/// The caller's `tracestate`, where every member holds the grammar (§3.3.1).
fn state(headers: &HeaderMap) -> Option<Box<str>> {
    let mut members: Vec<&str> = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        for member in value.to_str().ok()?.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let twice = members.iter().any(|own| own.split_once('=').is_some_and(|(own, _)| own == key));
            if !is_key(key) || !is_value(value) || twice || members.len() == MEMBERS {
                return None;
            }
            members.push(member);
        }
    }
    let size = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>();
    while size(&members) > STATE + 1 {
        let longest = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(longest.unwrap_or(members.len().checked_sub(1)?));
    }
    (!members.is_empty()).then(|| members.join(",").into_boxed_str())
}

/// §3.3.1.3.1: a simple key, or a tenant's.
fn is_key(key: &str) -> bool {
    let part = |text: &str, most: usize, digit_first: bool| {
        let first = text.bytes().next();
        let begins =
            first.is_some_and(|byte| byte.is_ascii_lowercase() || digit_first && byte.is_ascii_digit());
        let within = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
        begins && text.len() <= most && text.bytes().all(within)
    };
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
        None => part(key, 256, false),
    }
}

/// §3.3.1.3.2: printable ASCII without comma and equals sign; no blank at its end.
fn is_value(value: &str) -> bool {
    let within = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(within) && !value.ends_with(' ')
}

/// Ids for a trace and a span, random but for the few bits by which a UUID says that it is (RFC 9562 §5.4): neither is ever
/// all zeros, which would mean none.
fn random_ids() -> ([u8; 16], String) {
    let (trace, span) = (Uuid::new_v4().into_bytes(), Uuid::new_v4());
    (trace, hexadecimal::write(&span.as_u64_pair().1.to_be_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(parents: &[&str], states: &[&str]) -> Trace {
        let mut headers = HeaderMap::new();
        for value in parents {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        for value in states {
            headers.append(TRACESTATE, HeaderValue::from_str(value).unwrap());
        }
        Trace::continue_from(&headers)
    }

    fn passed_on(trace: &Trace) -> Option<String> {
        let mut headers = HeaderMap::new();
        trace.put_into(None, &mut headers);
        Some(headers.get(TRACESTATE)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_trace_goes_on_under_a_span_of_its_own() {
        let trace = of(&[GOOD], &[]);
        assert_eq!(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent.as_deref(), Some("00f067aa0ba902b7"));
        assert_ne!(trace.span_id, "00f067aa0ba902b7");
        assert_eq!(trace.traceparent(), format!("00-{}-{}-01", trace.trace_id, trace.span_id));
        assert!(
            !of(&[&GOOD.replace("-01", "-00")], &[]).sampled,
            "the caller's word counts until one decides here"
        );
        assert!(
            of(&[&GOOD.replace("-01", "-03")], &[]).traceparent().ends_with("-01"),
            "flags that nobody knows end here"
        );
        let ids = trace.ids().unwrap();
        assert_eq!((ids.trace[0], ids.parent.unwrap()[7]), (0x4b, 0xb7));
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        let later = format!("{}-more", GOOD.replacen("00", "01", 1));
        assert_eq!(of(&[&later], &[]).parent.as_deref(), Some("00f067aa0ba902b7"), "a later version");
        for bad in [
            "",
            "00-4bf9-00f0-01",
            &GOOD.replace("4bf9", "4BF9"),
            &format!("{GOOD}-x"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            &GOOD.replace("-01", "-1"),
            &GOOD.replace("-01", "-+1"),
        ] {
            let trace = of(&[bad], &["a=1"]);
            assert_eq!(trace.parent, None, "{bad}");
            assert_eq!(passed_on(&trace), None, "{bad}: a state without a trace is nobody's");
        }
        assert_eq!(of(&[GOOD, GOOD], &[]).parent, None, "two are none");
    }

    #[test]
    fn a_state_is_passed_on_whole_or_not_at_all() {
        let state = |states: &[&str]| passed_on(&of(&[GOOD], states));
        assert_eq!(
            state(&["rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE,"]).unwrap(),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        );
        assert_eq!(state(&["a=1", "fw529a3039@dt=x y"]).unwrap(), "a=1,fw529a3039@dt=x y");
        for bad in ["A=1", "1a=1", "a=", "a", "a=1=2", "a=1,a=2", "a@=1", "@a=1", "a@1b=1", "=1"] {
            assert_eq!(state(&[bad]), None, "{bad}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert_eq!(state(&[&many.join(",")]), None, "33 members");
        assert!(state(&[&many[..32].join(",")]).is_some());
    }

    #[test]
    fn a_long_state_loses_long_members_first_and_then_the_last() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (0..20).map(|n| format!("key{n:02}={}", "v".repeat(20))).collect();
        let kept = passed_on(&of(&[GOOD], &[&format!("{},{long}", short.join(","))])).unwrap();
        assert!(kept.len() <= STATE && !kept.contains("long=") && kept.starts_with("key00="), "{kept}");
    }

    proptest! {
        #[test]
        fn no_header_breaks_it_and_what_is_written_is_read_again(parent in "[0-9a-f-]{0,70}", state in "[ -~]{0,600}") {
            let trace = of(&[&parent], &[&state]);
            let again = of(&[&trace.traceparent()], &[&passed_on(&trace).unwrap_or_default()]);
            prop_assert_eq!(&again.trace_id, &trace.trace_id);
            prop_assert_eq!(again.parent.as_deref(), Some(trace.span_id.as_str()));
            prop_assert_eq!(passed_on(&again), passed_on(&trace));
        }
    }
}
