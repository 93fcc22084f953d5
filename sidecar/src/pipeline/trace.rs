//! One trace over all hops (W3C Trace Context), and an id for each request.

use aws_lc_rs::rand;
use http::HeaderMap;

/// Where a request stands in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    /// The trace's id, 32 hexadecimal digits.
    pub trace_id: String,
    /// This hop's span id, 16 hexadecimal digits.
    pub span_id: String,
}

impl Trace {
    /// Goes on with the caller's trace if it sent one, else begins a new one.
    pub fn continue_from(headers: &HeaderMap) -> Trace {
        let sent = headers.get("traceparent").and_then(|value| trace_id(value.to_str().ok()?));
        Trace { trace_id: sent.unwrap_or_else(random_hex::<16>), span_id: random_hex::<8>() }
    }

    /// The header for the next hop. Sampling is the collector's decision: the flag says "sampled".
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// The trace id of a well-formed `traceparent` of version 00.
fn trace_id(header: &str) -> Option<String> {
    let hex = |text: &str, len| {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        text.len() == len && digits && text.bytes().any(|byte| byte != b'0')
    };
    let mut parts = header.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let well_formed =
        version == "00" && hex(trace, 32) && hex(span, 16) && flags.len() == 2 && parts.next().is_none();
    well_formed.then(|| trace.to_owned())
}

fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        bytes[0] = 1;
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_and_a_broken_one_begins_anew() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id(good).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in ["", "00-4bf9-00f0-01", &good.replace("4bf9", "4BF9"), &format!("{good}-x"), "00-0-0-00"] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
        let trace = Trace::continue_from(&HeaderMap::new());
        assert!(trace_id(&trace.traceparent()).is_some());
    }
}
