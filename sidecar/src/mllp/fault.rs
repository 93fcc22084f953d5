//! Why a message is not taken: one table from the cause to MSA-1, ERR and the operator's words.
//!
//! Invariant: no text holds a value of the message. Places and rules are named; what stands there is the sender's to
//! look up.

use varco_core::audit::AuditOutcome;
use varco_core::hl7v2::{AcknowledgmentCode, ErrorCode, Hl7v2Error, Hl7v2ErrorKind, MessageError};
use varco_core::mapping::hl7v2::ConversionError;

use super::sender::Unknown;
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// Which answer a fault gets (HL7 v2.5.1 §2.9.2.2, §2.9.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The header asks for what is not done here: `AR`, `CR`. Sending it again won't help.
    Header,
    /// The content: `AE`, `CE`. Sending it again as it is won't help.
    Content,
    /// Nothing that the message is at fault for: `AR`, `CE`. Send it again later.
    Later,
}

/// A message that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub class: Class,
    /// Its name in logs and metrics.
    pub cause: &'static str,
    /// What the ERR segment says.
    pub error: MessageError,
    /// What the operator is told beside it.
    pub detail: Option<String>,
}

impl Fault {
    fn new(
        class: Class,
        cause: &'static str,
        code: ErrorCode,
        place: &str,
        text: impl Into<String>,
    ) -> Fault {
        let error = MessageError { place: place.parse().ok(), code, text: text.into() };
        Fault { class, cause, error, detail: None }
    }

    /// MSA-1 of the application's answer.
    pub fn application(&self) -> AcknowledgmentCode {
        match self.class {
            Class::Content => AcknowledgmentCode::Error,
            Class::Header | Class::Later => AcknowledgmentCode::Reject,
        }
    }

    /// MSA-1 of enhanced mode's first answer.
    pub fn commit(&self) -> AcknowledgmentCode {
        match self.class {
            Class::Header => AcknowledgmentCode::CommitReject,
            Class::Content | Class::Later => AcknowledgmentCode::CommitError,
        }
    }

    /// How it is audited.
    pub fn outcome(&self) -> AuditOutcome {
        match self.class {
            Class::Header | Class::Content => AuditOutcome::MinorFailure,
            Class::Later => AuditOutcome::SeriousFailure,
        }
    }

    /// For the operator: place, text and detail.
    pub fn told(&self) -> String {
        let place = self.error.place.map(|place| format!("{place}: ")).unwrap_or_default();
        let detail = self.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        format!("{place}{}{detail}", self.error.text)
    }

    /// Bytes that are no message.
    pub fn syntax(message: &[u8], error: &Hl7v2Error) -> Fault {
        let code = match error.kind {
            Hl7v2ErrorKind::NoHeader | Hl7v2ErrorKind::SegmentName | Hl7v2ErrorKind::TooManySegments => {
                ErrorCode::SegmentSequence
            }
            Hl7v2ErrorKind::TooLarge => ErrorCode::Internal,
            _ => ErrorCode::DataType,
        };
        let place = error.place_in(message).unwrap_or_default();
        Fault::new(Class::Content, "syntax", code, &place, error.to_string())
    }

    /// More bytes than a message may have.
    pub fn too_large(most: usize) -> Fault {
        let text = format!("a message may have {most} bytes here, and this one has more");
        Fault::new(Class::Header, "too-large", ErrorCode::Internal, "", text)
    }

    /// Two messages where one should be.
    pub fn several() -> Fault {
        let text = "one frame holds one message: send each in a frame of its own";
        Fault::new(Class::Content, "syntax", ErrorCode::SegmentSequence, "", text)
    }

    /// No sender.
    pub fn sender(unknown: Unknown) -> Fault {
        let (cause, text) = match unknown {
            Unknown::Unlisted => (
                "unlisted-sender",
                "the sending application and facility (MSH-3, MSH-4) are not on this site's list",
            ),
            Unknown::Unproven => (
                "unproven-sender",
                "this connection's certificate or address is not the one of the sender that MSH-3 and MSH-4 name",
            ),
        };
        Fault::new(Class::Header, cause, ErrorCode::UnknownKey, "MSH-3", text)
    }

    /// A header field that isn't there or can't be.
    pub fn control_id(missing: bool) -> Fault {
        let (code, text) = match missing {
            true => (ErrorCode::RequiredField, "a message needs a control id"),
            false => (ErrorCode::DataType, "a control id has at most 199 characters"),
        };
        Fault::new(Class::Content, "control-id", code, "MSH-10", text)
    }

    /// Not a version 2.
    pub fn version() -> Fault {
        Fault::new(
            Class::Header,
            "version",
            ErrorCode::Version,
            "MSH-12",
            "versions 2.1 to 2.9 of HL7 are read here",
        )
    }

    /// A test message at a site at work, or the other way round.
    pub fn processing(taken: &[String]) -> Fault {
        let text = format!("messages with this processing id are not taken here, only {}", taken.join(", "));
        Fault::new(Class::Header, "processing-id", ErrorCode::ProcessingId, "MSH-11", text)
    }

    /// A type that this sender may not send.
    pub fn not_allowed() -> Fault {
        let text = "messages of this type are not taken from this sender";
        Fault::new(Class::Header, "type-not-allowed", ErrorCode::MessageType, "MSH-9", text)
    }

    /// A message that the maps can't turn into FHIR.
    pub fn conversion(message: &[u8], error: &ConversionError) -> Fault {
        match error {
            ConversionError::UnknownMessage(_) => {
                let text = "messages of this type are not converted; known are ADT^A01, A04, A08 and A40, ORU^R01, \
                            ORM^O01, MDM^T02, SIU^S12 to S26 and VXU^V04";
                Fault::new(Class::Header, "type", ErrorCode::MessageType, "MSH-9", text)
            }
            ConversionError::Structure(error) => {
                let place = error.place_in(message).unwrap_or_default();
                Fault::new(Class::Content, "structure", ErrorCode::SegmentSequence, &place, error.to_string())
            }
            ConversionError::Rule { place, error } => {
                let text = format!(
                    "what stands here can't be taken over into FHIR: it is not what its type or table allows (rule {})",
                    error.rule
                );
                Fault::new(Class::Content, "mapping", ErrorCode::DataType, place, text)
            }
            _ => {
                let text = "the message can't be mapped: it is too large or nested too deep";
                Fault::new(Class::Content, "mapping", ErrorCode::Internal, "", text)
            }
        }
    }

    /// FHIR resources that are not valid; `first` names a rule and an element.
    pub fn invalid(first: &str, errors: usize) -> Fault {
        let others = if errors > 1 { format!(", and {} more", errors - 1) } else { String::new() };
        let text = format!("what the message becomes in FHIR is not valid: {first}{others}");
        Fault::new(Class::Content, "invalid", ErrorCode::TableValue, "", text)
    }

    /// The store, before or after the work.
    pub fn store(error: &StoreError) -> Fault {
        let text = "this site can't keep its records now: send the message again later";
        Fault {
            detail: Some(error.to_string()),
            ..Fault::new(Class::Later, "store", ErrorCode::Internal, "", text)
        }
    }

    /// No answer of the server, or one that can't be understood.
    pub fn upstream(error: &UpstreamError) -> Fault {
        let text = "the FHIR server behind this site can't be reached or did not answer as it should: send the message \
                    again later";
        Fault {
            detail: Some(error.to_string()),
            ..Fault::new(Class::Later, "upstream", ErrorCode::Internal, "", text)
        }
    }

    /// The server refused the transaction for what it says.
    pub fn refused(cause: &'static str, code: ErrorCode, status: u16, text: &str) -> Fault {
        let text = format!("the FHIR server behind this site answered {status}: {text}");
        Fault::new(Class::Content, cause, code, "", text)
    }

    /// More than its rate allows, for longer than it can be held back.
    pub fn too_fast() -> Fault {
        let text = "this sender sends more than its site allows it: send the message again later, and slower";
        Fault::new(Class::Later, "rate", ErrorCode::Internal, "", text)
    }

    /// More than its day allows.
    pub fn quota(most: u64, resets: u64) -> Fault {
        let text = format!(
            "this sender may send {most} messages a day, and has: send the message again after midnight, in {resets} seconds"
        );
        Fault::new(Class::Later, "quota", ErrorCode::Internal, "", text)
    }

    /// No place to work on it.
    pub fn busy() -> Fault {
        let text = "this site has more to do than it can: send the message again later";
        Fault::new(Class::Later, "busy", ErrorCode::Internal, "", text)
    }

    /// A fault of this program.
    pub fn internal() -> Fault {
        let text = "this site failed; its operator has the cause";
        Fault::new(Class::Later, "internal", ErrorCode::Internal, "", text)
    }
}
