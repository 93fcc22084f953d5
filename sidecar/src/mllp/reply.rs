//! The answer to a message: which acknowledgments its header asks for (HL7 v2.5.1 §2.9.2, §2.9.3), in their frames.
//!
//! Original mode, MSH-15 and MSH-16 both empty: one answer, `AA`, `AE` or `AR`. Enhanced mode: MSH-15 asks for `CA`, `CE` or
//! `CR`, MSH-16 for the application's answer. Both are sent on the connection that the message came by, first the one and then
//! the other; after `CE` or `CR` nothing more is said.

use jiff::Timestamp;
use uuid::Uuid;
use varco_core::hl7v2::{Acknowledgment, AcknowledgmentCode, Message, Reading, mllp_frame};

use super::fault::Fault;

/// When an acknowledgment is wanted (table 0155).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Always,
    Never,
    OnError,
    OnSuccess,
}

impl Wanted {
    /// Whoever writes something else is answered.
    fn parse(text: &str) -> Wanted {
        match text {
            "NE" | "" => Wanted::Never,
            "ER" => Wanted::OnError,
            "SU" => Wanted::OnSuccess,
            _ => Wanted::Always,
        }
    }

    fn holds(self, failed: bool) -> bool {
        match self {
            Wanted::Always => true,
            Wanted::Never => false,
            Wanted::OnError => failed,
            Wanted::OnSuccess => !failed,
        }
    }
}

/// The answer's bytes, frames included: none where the header wants none. `message` is what was received.
pub(super) fn answer(message: &[u8], fault: Option<&Fault>) -> Vec<u8> {
    let line = message.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let reading = Reading { bytes: usize::MAX, ..Reading::LENIENT };
    let header = Message::parse(line, &reading).ok();
    let field = |number| {
        let part = header.as_ref().and_then(|header| header.header(number));
        part.and_then(|part| part.value()).unwrap_or_default()
    };
    let (accept, application) = match (&*field(15), &*field(16)) {
        ("", "") => (Wanted::Never, Wanted::Always),
        (accept, application) => (Wanted::parse(accept), Wanted::parse(application)),
    };
    let failed = fault.is_some();
    let mut codes = Vec::new();
    if accept.holds(failed) {
        codes.push(fault.map_or(AcknowledgmentCode::CommitAccept, Fault::commit));
    }
    if application.holds(failed) && !(failed && accept.holds(true)) {
        codes.push(fault.map_or(AcknowledgmentCode::Accept, Fault::application));
    }
    let time = Timestamp::now().strftime("%Y%m%d%H%M%S+0000").to_string();
    let errors: Vec<_> = fault.map(|fault| fault.error.clone()).into_iter().collect();
    let framed = codes.into_iter().flat_map(|code| {
        let acknowledgment = Acknowledgment { code, errors: errors.clone() };
        mllp_frame(acknowledgment.write(header.as_ref(), &time, &control_id()).as_bytes())
    });
    framed.collect()
}

/// A control id of an answer: 20 characters, what MSH-10 may have (HL7 v2.5.1 §2.15.9.10).
fn control_id() -> String {
    let id = Uuid::now_v7().simple().to_string();
    let (time, rest) = id.split_at(12);
    format!("{time}{}", rest.get(12..).unwrap_or(rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// MSA-1 of each answer to a message with these MSH-15 and MSH-16.
    fn codes(accept: &str, application: &str, fault: Option<&Fault>) -> Vec<String> {
        let message =
            format!("MSH|^~\\&|LAB|A|VARCO|B|2026||ORU^R01|77|P|2.5.1|||{accept}|{application}\rPID|1\r");
        let bytes = answer(message.as_bytes(), fault);
        let frames = bytes.split(|byte| *byte == 0x0B).skip(1);
        let text = frames.map(|frame| {
            let frame = std::str::from_utf8(frame.strip_suffix(b"\x1c\r").unwrap()).unwrap();
            let read = Message::parse(frame.as_bytes(), &Reading::STRICT).unwrap();
            let msa = read.first("MSA").unwrap();
            assert_eq!((msa.text(2).unwrap().as_ref(), read.first("ERR").is_some()), ("77", fault.is_some()));
            assert_eq!(read.header(10).unwrap().raw().len(), 20);
            msa.text(1).unwrap().into_owned()
        });
        text.collect()
    }

    #[test]
    fn what_is_answered_is_what_the_header_asks_for() {
        let (content, header, later) = (Fault::several(), Fault::version(), Fault::internal());
        let cases: [(&str, &str, Option<&Fault>, &[&str]); 16] = [
            ("", "", None, &["AA"]),
            ("", "", Some(&content), &["AE"]),
            ("", "", Some(&header), &["AR"]),
            ("", "", Some(&later), &["AR"]),
            ("AL", "NE", None, &["CA"]),
            ("AL", "NE", Some(&content), &["CE"]),
            ("AL", "NE", Some(&header), &["CR"]),
            ("AL", "NE", Some(&later), &["CE"]),
            ("AL", "AL", None, &["CA", "AA"]),
            ("AL", "AL", Some(&content), &["CE"]),
            ("NE", "AL", None, &["AA"]),
            ("NE", "NE", Some(&content), &[]),
            ("ER", "", None, &[]),
            ("SU", "ER", Some(&content), &["AE"]),
            ("SU", "ER", None, &["CA"]),
            ("ER", "SU", None, &["AA"]),
        ];
        for (accept, application, fault, expected) in cases {
            assert_eq!(codes(accept, application, fault), expected, "{accept}|{application}");
        }
    }

    #[test]
    fn what_has_no_header_is_answered_without_one() {
        let bytes = answer(b"PID|1\r", Some(&Fault::several()));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("MSA|AE|\r") && text.starts_with("\x0bMSH|^~\\&|"), "{text}");
    }
}
