//! Masking codes, and under which systems they come.

use super::FseSystems;
use crate::consent::ACT_CODE;
use crate::requester::Code;

/// The system of FSE's masking codes.
pub const MASKING_SYSTEM: &str = "urn:oid:2.16.840.1.113883.2.9.3.3.6.1.3";

/// What a masking code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// `P99`: masked at the patient's wish.
    Masked,
    /// `P00`: the patient has unmasked it.
    Unmasked,
    /// `P97`: hidden from the parent.
    FromParent,
    /// `P98`: hidden from the patient.
    FromPatient,
    /// A masking code that nobody knows.
    Unknown,
}

impl Mask {
    /// The mask that a security label is; `None` for labels of other kinds. Systems that translate FSE's codes
    /// write them as handling caveats of v3-ActCode: `NOPAT`, `NODSCLCD`, `NOAUTH`; the last two mask.
    pub fn of_label(label: &Code, systems: &FseSystems) -> Option<Mask> {
        if systems.masking.contains(&label.system) {
            return Some(Mask::of_code(&label.code).unwrap_or(Mask::Unknown));
        }
        match (label.system.as_str(), label.code.as_str()) {
            (ACT_CODE, "NODSCLCD" | "NOAUTH") => Some(Mask::Masked),
            (ACT_CODE, "NOPAT") => Some(Mask::FromPatient),
            _ => None,
        }
    }

    /// The mask among the codes of a document's events (`DocumentReference.context.event`, XDS eventCodeList),
    /// where the same system also has codes that mask nothing: those do not begin with `P` and a digit.
    pub fn of_event(event: &Code, systems: &FseSystems) -> Option<Mask> {
        let mut letters = event.code.chars();
        let masks = letters.next() == Some('P') && letters.next().is_some_and(|next| next.is_ascii_digit());
        if masks && systems.masking.contains(&event.system) { Mask::of_label(event, systems) } else { None }
    }

    fn of_code(code: &str) -> Option<Mask> {
        Some(match code {
            "P99" => Mask::Masked,
            "P00" => Mask::Unmasked,
            "P97" => Mask::FromParent,
            "P98" => Mask::FromPatient,
            _ => return None,
        })
    }
}
