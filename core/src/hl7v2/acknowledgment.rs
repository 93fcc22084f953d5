//! The answer to a message (HL7 v2.5.1 §2.9): MSH, MSA and one ERR for each fault.
//!
//! Invariant: an acknowledgment is written from the received header alone, with the sender and the receiver
//! exchanged; the time and the control id come from the caller. `AA` is for the caller to give only once the
//! outcome is durable.

use super::delimiters::Delimiters;
use super::escape::escape;
use super::message::Message;
use super::path::Path;

/// MSA-1 (table 0008). `A.` is the answer of the application, in original and enhanced mode; `C.` is enhanced mode's
/// answer about taking the message over (§2.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AcknowledgmentCode {
    /// `AA`: taken, and done.
    Accept,
    /// `AE`: something in the message is wrong; sending it again as it is won't help.
    Error,
    /// `AR`: refused for a cause outside its content (type, version, a store that is down).
    Reject,
    /// `CA`: taken over; the sender need not keep it.
    CommitAccept,
    /// `CE`: not taken over, for a cause outside of its header.
    CommitError,
    /// `CR`: not taken over: its header asks for what isn't done here.
    CommitReject,
}

impl AcknowledgmentCode {
    /// The code as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            AcknowledgmentCode::Accept => "AA",
            AcknowledgmentCode::Error => "AE",
            AcknowledgmentCode::Reject => "AR",
            AcknowledgmentCode::CommitAccept => "CA",
            AcknowledgmentCode::CommitError => "CE",
            AcknowledgmentCode::CommitReject => "CR",
        }
    }
}

/// ERR-3 (table 0357).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 100: segments out of order, or one is missing.
    SegmentSequence,
    /// 101: a required field is missing.
    RequiredField,
    /// 102: a value is not of its type.
    DataType,
    /// 103: a code is not in its table.
    TableValue,
    /// 200: a message type that isn't taken.
    MessageType,
    /// 201: an event that isn't taken.
    EventCode,
    /// 202: a processing id that isn't taken, such as a test message at a site at work.
    ProcessingId,
    /// 203: a version that isn't taken.
    Version,
    /// 204: something that the message refers to is unknown.
    UnknownKey,
    /// 205: it exists already.
    DuplicateKey,
    /// 207: a fault of the receiver.
    Internal,
}

impl ErrorCode {
    /// The code and its meaning in table 0357.
    pub const fn coded(self) -> (&'static str, &'static str) {
        match self {
            ErrorCode::SegmentSequence => ("100", "Segment sequence error"),
            ErrorCode::RequiredField => ("101", "Required field missing"),
            ErrorCode::DataType => ("102", "Data type error"),
            ErrorCode::TableValue => ("103", "Table value not found"),
            ErrorCode::MessageType => ("200", "Unsupported message type"),
            ErrorCode::EventCode => ("201", "Unsupported event code"),
            ErrorCode::ProcessingId => ("202", "Unsupported processing id"),
            ErrorCode::Version => ("203", "Unsupported version id"),
            ErrorCode::UnknownKey => ("204", "Unknown key identifier"),
            ErrorCode::DuplicateKey => ("205", "Duplicate key identifier"),
            ErrorCode::Internal => ("207", "Application internal error"),
        }
    }
}

/// One ERR segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageError {
    /// Where in the message; `None` for the whole of it.
    pub place: Option<Path>,
    /// What kind of fault.
    pub code: ErrorCode,
    /// What to do about it, for the sender's staff. No one's data.
    pub text: String,
}

/// An acknowledgment to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgment {
    /// MSA-1.
    pub code: AcknowledgmentCode,
    /// The ERR segments, in order.
    pub errors: Vec<MessageError>,
}

impl Acknowledgment {
    /// The acknowledgment as a message, each segment ended by CR. `received` is `None` where nothing could be read of
    /// the message; then MSA-2 is empty. `time` is MSH-7 (`YYYYMMDDHHMMSS+ZZZZ`), `control_id` the MSH-10 of this answer.
    pub fn write(&self, received: Option<&Message<'_>>, time: &str, control_id: &str) -> String {
        let delimiters = received.map_or_else(Delimiters::default, |message| *message.delimiters());
        let field =
            |number| received.and_then(|message| message.header(number)).map_or("", |part| part.raw());
        let separator = char::from(delimiters.field);
        let component = char::from(delimiters.component);
        let event = received.map(|message| message.message_type().event.into_owned()).unwrap_or_default();
        let acknowledged = match event.as_str() {
            "" => "ACK".to_owned(),
            event => format!("ACK{component}{}{component}ACK", escape(event, &delimiters)),
        };
        let version = Some(field(12)).filter(|version| !version.is_empty()).unwrap_or("2.5.1");
        let processing = Some(field(11)).filter(|id| !id.is_empty()).unwrap_or("P");
        let encoding = delimiters.encoding_characters();
        let mut header = [
            encoding.as_str(),
            field(5),
            field(6),
            field(3),
            field(4),
            time,
            "",
            acknowledged.as_str(),
            &escape(control_id, &delimiters),
            processing,
            version,
        ]
        .join(&separator.to_string());
        if !header.is_ascii() || !field(10).is_ascii() || self.errors.iter().any(|it| !it.text.is_ascii()) {
            header.push_str(&format!("{0}{0}{0}{0}{0}{0}UNICODE UTF-8", separator));
        }
        let mut out = format!("MSH{separator}{header}\r");
        out.push_str(&format!("MSA{separator}{}{separator}{}\r", self.code.as_str(), field(10)));
        for error in &self.errors {
            let place = error.place.map(|place| place.components(component)).unwrap_or_default();
            let (code, meaning) = error.code.coded();
            let table = format!("{code}{component}{meaning}{component}HL70357");
            let text = escape(&error.text, &delimiters);
            // ERR-2 place, ERR-3 code, ERR-4 severity, ERR-8 text for people.
            out.push_str(&format!("ERR{0}{0}{place}{0}{table}{0}E{0}{0}{0}{0}{text}\r", separator));
        }
        out
    }
}
