//! Files and batches of messages (HL7 v2.5.1 §2.10.3): FHS, BHS, messages, BTS, FTS. A file of messages one after
//! another, without envelopes, is taken too.

use super::error::{Hl7v2Error, Hl7v2ErrorKind};

/// The messages of a batch, as bytes. A text that is one message gives that one.
///
/// # Errors
/// [`Hl7v2ErrorKind::NoHeader`] where no message begins, [`Hl7v2ErrorKind::BatchCount`] where BTS-1 counts others.
pub fn split_batch(bytes: &[u8]) -> Result<Vec<&[u8]>, Hl7v2Error> {
    let mut messages = Vec::new();
    let mut begun: Option<usize> = None;
    let mut counted = 0;
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().position(|byte| *byte == b'\r' || *byte == b'\n');
        let end = length.map_or(bytes.len(), |length| at + length);
        let line = &bytes[at..end];
        let (envelope, message) = match line.get(..3) {
            Some(b"FHS" | b"BHS" | b"BTS" | b"FTS") => (true, false),
            Some(b"MSH") => (false, true),
            _ => (false, false),
        };
        if (envelope || message)
            && let Some(start) = begun.take()
        {
            messages.push(trim(&bytes[start..at]));
        }
        if message {
            begun = Some(at);
        }
        if line.starts_with(b"BTS") {
            let said = declared(line);
            let held = messages.len() - counted;
            counted = messages.len();
            if said.is_some_and(|said| said != held) {
                return Err(Hl7v2Error {
                    kind: Hl7v2ErrorKind::BatchCount,
                    offset: at,
                    segment: 0,
                    field: 0,
                });
            }
        }
        at = end + 1;
    }
    if let Some(start) = begun {
        messages.push(trim(&bytes[start..]));
    }
    if messages.is_empty() {
        return Err(Hl7v2Error { kind: Hl7v2ErrorKind::NoHeader, offset: 0, segment: 0, field: 0 });
    }
    Ok(messages)
}

/// BTS-1, the count of messages, where it is sent.
fn declared(line: &[u8]) -> Option<usize> {
    let separator = *line.get(3)?;
    let field = line[4..].split(|byte| *byte == separator).next()?;
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

/// Without the blank lines after a message.
fn trim(bytes: &[u8]) -> &[u8] {
    let kept = bytes.iter().rposition(|byte| *byte != b'\r' && *byte != b'\n').map_or(0, |last| last + 1);
    &bytes[..kept]
}
