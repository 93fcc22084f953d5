//! A message as a document that maps can read: groups and segments by name, fields as `f5`, components as `c1`,
//! further subcomponents as `c1_2`.
//!
//! ```text
//! {"structure": "ORU_R01", "MSH": [{"place": "MSH", "f9": [{"c1": "ORU", "c2": "R01"}], …}],
//!  "PATIENT_RESULT": [{"PATIENT": [{"PID": [{"place": "PID", "f3": [{"c1": "4711", "c4": "030924"}], …}]}], …}]}
//! ```
//!
//! Everything repeats, so every member is an array but the values. Escapes are resolved; what isn't sent is absent;
//! what is sent as `""` is `{"null": true}`. Of each segment, `place` says where it stands, for messages to people, and
//! `url` is a name for what it becomes: the same for the same place of the same message, however often it is sent.

use std::collections::HashMap;
use std::fmt::Write;

use fhir_models::document::Value;
use sha2::{Digest, Sha256};

use super::message::{Message, Segment};
use super::part::Part;
use super::structure::{Group, Grouped, Member, Structure};

/// The message as JSON.
pub fn message_document(message: &Message<'_>, grouped: &Grouped<'_>, structure: &Structure) -> String {
    // Sending application, facility and control id: what tells a message from all others (§2.15.9.10).
    let identity = [3, 4, 10].map(|field| message.header(field).map_or("", |part| part.raw())).join("\r");
    let mut writer = Writer { out: String::with_capacity(4096), seen: HashMap::new(), identity };
    writer.out.push_str("{\"structure\":");
    writer.string(structure.name());
    writer.group(&grouped.root);
    if !grouped.misplaced.is_empty() {
        writer.out.push_str(",\"misplaced\":[");
        for (index, segment) in grouped.misplaced.iter().enumerate() {
            writer.comma(index);
            writer.segment(*segment, Some(segment.name()));
        }
        writer.out.push(']');
    }
    writer.out.push('}');
    writer.out
}

/// The place in the message of a value of its document, as people write it: `OBX[2]-5.1`. `None` for what stands
/// in no segment.
pub fn place_of(value: Value<'_>) -> Option<String> {
    let mut here = value.document().root();
    let mut place: Option<String> = None;
    let mut name = String::new();
    let mut index = 0;
    loop {
        if let Some(found) = here.get_key("place") {
            place = found.as_str().map(|text| text.into_owned());
        } else if let Some(place) = &mut place
            && let Some(number) = name.strip_prefix('f').filter(|_| here.is_object())
        {
            // The item of a field's array: the only repetition is not numbered.
            let _ = write!(place, "-{number}");
            if index > 0 {
                let _ = write!(place, "[{}]", index + 1);
            }
        } else if let (Some(place), Some(number)) = (&mut place, name.strip_prefix('c')) {
            let _ = write!(place, ".{}", number.replace('_', "."));
        }
        if here.id() == value.id() {
            return place;
        }
        let target = value.span();
        let next = here.children().enumerate().find(|(_, child)| {
            let span = child.span();
            span.start <= target.start && target.end <= span.end
        });
        let (position, child) = next?;
        if let Some(key) = child.key() {
            name = key.into_owned();
        }
        index = if here.is_array() { position } else { 0 };
        here = child;
    }
}

/// A UUID from a name (version 8 of RFC 9562 §5.8, by SHA-256), as a URN.
pub(crate) fn urn(identity: &str, place: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(identity);
    hash.update("\n");
    hash.update(place);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut out = String::from("urn:uuid:");
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}

struct Writer<'a> {
    out: String,
    /// How many segments of a name there were.
    seen: HashMap<&'a str, usize>,
    /// What tells the message from all others.
    identity: String,
}

impl<'a> Writer<'a> {
    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
    }

    /// The members of a group, those of one name together, each name preceded by a comma.
    fn group(&mut self, group: &Group<'a>) {
        let name_of = |member: &Member<'a>| match member {
            Member::Segment(segment) => segment.name(),
            Member::Group(name, _) => name,
        };
        let mut together: Vec<(&str, Vec<&Member<'a>>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for member in &group.members {
            let name = name_of(member);
            let place = *places.entry(name).or_insert(together.len());
            match together.get_mut(place) {
                Some((_, members)) => members.push(member),
                None => together.push((name, vec![member])),
            }
        }
        for (name, members) in together {
            self.out.push(',');
            self.string(name);
            self.out.push_str(":[");
            for (index, member) in members.into_iter().enumerate() {
                self.comma(index);
                match member {
                    Member::Segment(segment) => self.segment(*segment, None),
                    Member::Group(_, group) => self.inner(group),
                }
            }
            self.out.push(']');
        }
    }

    fn inner(&mut self, group: &Group<'a>) {
        self.out.push('{');
        let start = self.out.len();
        self.group(group);
        // The comma before the first member.
        if self.out.len() > start {
            self.out.remove(start);
        }
        self.out.push('}');
    }

    fn segment(&mut self, segment: Segment<'a>, name: Option<&str>) {
        let count = self.seen.entry(segment.name()).or_default();
        *count += 1;
        let place = match *count {
            1 => segment.name().to_owned(),
            count => format!("{}[{count}]", segment.name()),
        };
        self.out.push_str("{\"place\":");
        self.string(&place);
        self.out.push_str(",\"url\":");
        self.string(&urn(&self.identity, &place));
        if let Some(name) = name {
            self.out.push_str(",\"name\":");
            self.string(name);
        }
        for number in 1..=segment.field_count() {
            let Some(field) = segment.field(number) else { continue };
            let _ = write!(self.out, ",\"f{number}\":[");
            for (index, repetition) in field.repetitions().enumerate() {
                self.comma(index);
                self.repetition(repetition);
            }
            self.out.push(']');
        }
        self.out.push('}');
    }

    fn repetition(&mut self, repetition: Part<'_>) {
        self.out.push('{');
        let mut written = 0;
        if repetition.is_null() {
            self.out.push_str("\"null\":true");
        }
        for (component, part) in repetition.components().enumerate() {
            for (subcomponent, leaf) in part.subcomponents().enumerate() {
                let Some(value) = leaf.value() else { continue };
                self.comma(written);
                written += 1;
                let _ = match subcomponent {
                    0 => write!(self.out, "\"c{}\":", component + 1),
                    _ => write!(self.out, "\"c{}_{}\":", component + 1, subcomponent + 1),
                };
                self.string(&value);
            }
        }
        self.out.push('}');
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for one in text.chars() {
            match one {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                control if u32::from(control) < 0x20 => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(control));
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::super::{Message, Reading};
    use super::*;

    const RESULT: &str = "MSH|^~\\&|LAB|030924|||20260301||ORU^R01|1|P|2.5.1\rPID|1||4711^^^030924&1.2.3&ISO^MR\r\
        OBR|1\rOBX|1|NM|14957-5^Microalbumina^LN||12.5|mg/L\rNTE|1||riga \"uno\"\\.br\\due\rOBX|2|ST|x||\"\"~b\rZZZ|1\r";

    fn document() -> OwnedDocument {
        let message = Message::parse(RESULT.as_bytes(), &Reading::STRICT).unwrap();
        let structure = Structure::of(&message).unwrap();
        let grouped = Grouped::fit(&message, structure).unwrap();
        OwnedDocument::parse_json(message_document(&message, &grouped, structure), &Limits::default())
            .unwrap()
    }

    #[test]
    fn groups_segments_fields_and_components_have_names() {
        let document = document();
        let text = document.text();
        assert!(
            text.starts_with("{\"structure\":\"ORU_R01\",\"MSH\":[{\"place\":\"MSH\",\"url\":\"urn:uuid:")
        );
        assert!(text.contains("\"f3\":[{\"c1\":\"4711\",\"c4\":\"030924\",\"c4_2\":\"1.2.3\",\"c4_3\":\"ISO\",\"c5\":\"MR\"}]"), "{text}");
        assert!(
            text.contains("\"f1\":[{\"c1\":\"1\"}],\"f3\":[{\"c1\":\"riga \\\"uno\\\"\\ndue\"}]}]"),
            "{text}"
        );
        assert!(text.contains("\"f5\":[{\"null\":true},{\"c1\":\"b\"}]"), "{text}");
        assert!(text.contains("\"ZZZ\":[{\"place\":\"ZZZ\""), "{text}");
        let urls: Vec<&str> =
            text.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(urls.len(), 7);
        let distinct: std::collections::HashSet<_> = urls.iter().collect();
        assert_eq!(distinct.len(), 7);
        assert!(urls.iter().all(|url| url.len() == 45 && url.as_bytes()[23] == b'8'), "{urls:?}");
    }

    #[test]
    fn a_value_knows_its_place_in_the_message() {
        let document = document();
        let place = |raw: &str| {
            let value = document.root().descendants().find(|value| value.raw() == raw).unwrap();
            place_of(value).unwrap()
        };
        assert_eq!(place("\"4711\""), "PID-3.1");
        assert_eq!(place("\"1.2.3\""), "PID-3.4.2");
        assert_eq!(place("\"12.5\""), "OBX-5.1");
        assert_eq!(place("\"b\""), "OBX[2]-5[2].1");
        assert_eq!(place_of(document.root()), None);
    }
}
