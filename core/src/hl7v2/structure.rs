//! Message structures: which segments follow which, in which groups (HL7 v2.5.1 chapters 3, 4, 7, 9, 10).
//!
//! A structure is written in one line: segments and `NAME( … )` groups in order, `?` for optional, `*` for any number,
//! `+` for one or more. A message is fitted to its structure in one pass without going back.

use std::sync::LazyLock;

use super::error::{Hl7v2Error, Hl7v2ErrorKind};
use super::message::{Message, Segment};

/// The structures that are known, by MSH-9.3.
const STRUCTURES: &[(&str, &str)] = &[
    (
        "ADT_A01",
        "MSH SFT* EVN PID PD1? ROL* NK1* PV1 PV2? ROL* DB1* OBX* AL1* DG1* DRG? PROCEDURE( PR1 ROL* )* GT1* \
         INSURANCE( IN1 IN2? IN3* ROL* )* ACC? UB1? UB2? PDA?",
    ),
    ("ADT_A39", "MSH SFT* EVN PATIENT( PID PD1? MRG PV1? )+"),
    (
        "ORU_R01",
        "MSH SFT* PATIENT_RESULT( PATIENT( PID PD1? NTE* NK1* VISIT( PV1 PV2? )? )? \
         ORDER_OBSERVATION( ORC? OBR NTE* TIMING( TQ1 TQ2* )* CTD? OBSERVATION( OBX NTE* )* FT1* CTI* \
         SPECIMEN( SPM OBX* )* )+ )+ DSC?",
    ),
    (
        "ORM_O01",
        "MSH NTE* PATIENT( PID PD1? NTE* VISIT( PV1 PV2? )? INSURANCE( IN1 IN2? IN3? )* GT1? AL1* )? \
         ORDER( ORC OBR? RQD? RQ1? RXO? ODS? ODT? NTE* CTD? DG1* OBSERVATION( OBX NTE* )* FT1* CTI* BLG? )+",
    ),
    ("MDM_T02", "MSH SFT* EVN PID PV1 COMMON_ORDER( ORC? OBR NTE* )* TXA OBSERVATION( OBX NTE* )+"),
    (
        "SIU_S12",
        "MSH SCH TQ1* NTE* PATIENT( PID PD1? PV1? PV2? OBX* DG1* )* \
         RESOURCES( RGS SERVICE( AIS NTE* )* GENERAL( AIG NTE* )* LOCATION( AIL NTE* )* PERSONNEL( AIP NTE* )* )+",
    ),
    (
        "VXU_V04",
        "MSH SFT* PID PD1? NK1* PATIENT( PV1 PV2? )? GT1* INSURANCE( IN1 IN2? IN3? )* \
         ORDER( ORC TIMING( TQ1 TQ2* )* RXA RXR? OBSERVATION( OBX NTE* )* )*",
    ),
];

/// The structure of each event that names none in MSH-9.3 (table 0354).
const EVENTS: &[(&str, &[&str], &str)] = &[
    ("ADT", &["A01", "A04", "A08", "A13"], "ADT_A01"),
    ("ADT", &["A40"], "ADT_A39"),
    ("ORU", &["R01"], "ORU_R01"),
    ("ORM", &["O01"], "ORM_O01"),
    ("MDM", &["T02"], "MDM_T02"),
    (
        "SIU",
        &["S12", "S13", "S14", "S15", "S16", "S17", "S18", "S19", "S20", "S21", "S22", "S23", "S24", "S26"],
        "SIU_S12",
    ),
    ("VXU", &["V04"], "VXU_V04"),
];

/// The known structures, parsed.
static PARSED: LazyLock<Vec<Structure>> = LazyLock::new(|| {
    STRUCTURES
        .iter()
        .map(|(name, text)| Structure { name, items: items(&mut text.split_whitespace()) })
        .collect()
});

/// One message structure.
#[derive(Debug)]
pub struct Structure {
    name: &'static str,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    name: &'static str,
    required: bool,
    repeats: bool,
    /// The content of a group; empty for a segment.
    items: Vec<Item>,
}

fn items(words: &mut dyn Iterator<Item = &'static str>) -> Vec<Item> {
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let (name, inner) = match word.strip_suffix('(') {
            Some(name) => (name, Some(items(words))),
            None => (word, None),
        };
        // The mark of a group stands at the parenthesis that closes it, which the inner call met.
        if let Some(mark) = word.strip_prefix(')') {
            found.push(Item { name: mark, required: false, repeats: false, items: Vec::new() });
            return found;
        }
        let (name, mark, inner) = match inner {
            None => {
                let bare = name.trim_end_matches(['?', '*', '+']);
                (bare, &name[bare.len()..], Vec::new())
            }
            Some(mut inner) => {
                let mark = inner.pop().map_or("", |closing| closing.name);
                (name, mark, inner)
            }
        };
        found.push(Item {
            name,
            required: matches!(mark, "" | "+"),
            repeats: matches!(mark, "*" | "+"),
            items: inner,
        });
    }
    found
}

impl Item {
    fn is_group(&self) -> bool {
        !self.items.is_empty()
    }

    /// True where the item may begin with this segment.
    fn begins_with(&self, segment: &str) -> bool {
        if !self.is_group() {
            return self.name == segment;
        }
        for item in &self.items {
            if item.begins_with(segment) {
                return true;
            }
            if item.required {
                return false;
            }
        }
        false
    }
}

impl Structure {
    /// The structure with this name, as MSH-9.3 has it.
    pub fn named(name: &str) -> Option<&'static Structure> {
        PARSED.iter().find(|structure| structure.name == name)
    }

    /// All that are known.
    pub fn all() -> impl Iterator<Item = &'static Structure> {
        PARSED.iter()
    }

    /// The structure of a message: by its event, which says more than MSH-9.3 where the two differ.
    pub fn of(message: &Message<'_>) -> Option<&'static Structure> {
        let kind = message.message_type();
        let by_event =
            EVENTS.iter().find(|(code, events, _)| *code == kind.code && events.contains(&&*kind.event));
        Structure::named(by_event.map_or(&*kind.structure, |(.., structure)| *structure))
    }

    /// Its name, such as `ORU_R01`.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A message fitted to its structure.
#[derive(Debug)]
pub struct Grouped<'a> {
    /// The whole message as a group.
    pub root: Group<'a>,
    /// Segments that can't stand where they stand; site segments (`Z…`) are not among them.
    pub misplaced: Vec<Segment<'a>>,
}

/// A group of segments.
#[derive(Debug, Default)]
pub struct Group<'a> {
    /// What it holds, in order.
    pub members: Vec<Member<'a>>,
}

/// A segment or group, and its name.
#[derive(Debug)]
pub enum Member<'a> {
    /// A segment.
    Segment(Segment<'a>),
    /// A group, such as `OBSERVATION`.
    Group(&'static str, Group<'a>),
}

impl<'a> Grouped<'a> {
    /// Fits a message to its structure.
    ///
    /// # Errors
    /// [`Hl7v2ErrorKind::MissingSegment`] where a required segment is absent.
    pub fn fit(message: &'a Message<'_>, structure: &'static Structure) -> Result<Grouped<'a>, Hl7v2Error> {
        let mut fitting = Fitting { segments: message.segments().collect(), at: 0, misplaced: Vec::new() };
        let mut root = Group::default();
        fitting.group(&structure.items, &mut root)?;
        // What is left can't stand here: pass one by one, and go on with what fits from there.
        while fitting.at < fitting.segments.len() {
            let segment = fitting.segments[fitting.at];
            let resumed =
                structure.items.iter().position(|item| item.repeats && item.begins_with(segment.name()));
            match resumed {
                Some(index) => fitting.group(&structure.items[index..], &mut root)?,
                None => {
                    fitting.misplaced.push(segment);
                    fitting.at += 1;
                }
            }
        }
        Ok(Grouped { root, misplaced: fitting.misplaced })
    }
}

struct Fitting<'a> {
    segments: Vec<Segment<'a>>,
    at: usize,
    misplaced: Vec<Segment<'a>>,
}

impl<'a> Fitting<'a> {
    fn group(&mut self, items: &[Item], into: &mut Group<'a>) -> Result<(), Hl7v2Error> {
        for item in items {
            let mut count = 0;
            loop {
                self.site_segments(into);
                let Some(segment) = self.segments.get(self.at).copied() else { break };
                if !item.begins_with(segment.name()) || (count > 0 && !item.repeats) {
                    break;
                }
                if item.is_group() {
                    let mut group = Group::default();
                    self.group(&item.items, &mut group)?;
                    into.members.push(Member::Group(item.name, group));
                } else {
                    into.members.push(Member::Segment(segment));
                    self.at += 1;
                }
                count += 1;
            }
            if count == 0 && item.required {
                self.passed_over(item, into)?;
            }
        }
        self.site_segments(into);
        Ok(())
    }

    /// Where a required item is missing: it may come after segments that can't stand here.
    fn passed_over(&mut self, item: &Item, into: &mut Group<'a>) -> Result<(), Hl7v2Error> {
        let later = self.segments[self.at..].iter().position(|segment| item.begins_with(segment.name()));
        match later {
            Some(distance) => {
                let stray = self.segments[self.at..self.at + distance].iter();
                self.misplaced.extend(stray.copied().filter(|segment| !segment.name().starts_with('Z')));
                self.at += distance;
                let one = std::slice::from_ref(item);
                self.group(one, into)
            }
            None => {
                let here = self.segments.get(self.at).or(self.segments.last());
                Err(Hl7v2Error {
                    kind: Hl7v2ErrorKind::MissingSegment(first_of(item)),
                    offset: here.map_or(0, |segment| segment.offset()),
                    segment: here.map_or(0, |segment| segment.position()),
                    field: 0,
                })
            }
        }
    }

    /// Segments that a site has defined stay with the group in which they stand.
    fn site_segments(&mut self, into: &mut Group<'a>) {
        while let Some(segment) = self.segments.get(self.at).filter(|segment| segment.name().starts_with('Z'))
        {
            into.members.push(Member::Segment(*segment));
            self.at += 1;
        }
    }
}

/// The first required segment of an item.
fn first_of(item: &Item) -> &'static str {
    match item.items.iter().find(|item| item.required) {
        Some(first) => first_of(first),
        None => item.name,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Reading;
    use super::*;

    fn shape(group: &Group<'_>) -> String {
        let member = |member: &Member<'_>| match member {
            Member::Segment(segment) => segment.name().to_owned(),
            Member::Group(name, group) => format!("{name}({})", shape(group)),
        };
        group.members.iter().map(member).collect::<Vec<_>>().join(" ")
    }

    fn fit(event: &str, segments: &str) -> Result<(String, Vec<String>), Hl7v2Error> {
        let rest: String =
            segments.split(' ').filter(|name| !name.is_empty()).map(|name| format!("\r{name}|1")).collect();
        let text = format!("MSH|^~\\&|A|B|C|D|2026||{event}|1|P|2.5.1{rest}");
        let message = Message::parse(text.as_bytes(), &Reading::STRICT).unwrap();
        let grouped = Grouped::fit(&message, Structure::of(&message).unwrap())?;
        Ok((
            shape(&grouped.root),
            grouped.misplaced.iter().map(|segment| segment.name().to_owned()).collect(),
        ))
    }

    #[test]
    fn results_are_grouped_by_order_and_observation() {
        let (shape, misplaced) =
            fit("ORU^R01", "PID PV1 ORC OBR NTE OBX NTE OBX ZXX OBR OBX SPM OBX").unwrap();
        assert_eq!(
            shape,
            "MSH PATIENT_RESULT(PATIENT(PID VISIT(PV1)) ORDER_OBSERVATION(ORC OBR NTE OBSERVATION(OBX NTE) \
             OBSERVATION(OBX ZXX)) ORDER_OBSERVATION(OBR OBSERVATION(OBX) SPECIMEN(SPM OBX)))"
        );
        assert!(misplaced.is_empty());
    }

    #[test]
    fn the_event_tells_the_structure() {
        assert_eq!(fit("ADT^A08", "EVN PID PV1 IN1 IN2").unwrap().0, "MSH EVN PID PV1 INSURANCE(IN1 IN2)");
        assert_eq!(
            fit("ADT^A40", "EVN PID MRG PID MRG").unwrap().0,
            "MSH EVN PATIENT(PID MRG) PATIENT(PID MRG)"
        );
        assert_eq!(
            fit("SIU^S14", "SCH PID RGS AIS AIL").unwrap().0,
            "MSH SCH PATIENT(PID) RESOURCES(RGS SERVICE(AIS) LOCATION(AIL))"
        );
        assert!(Structure::named("XYZ_X01").is_none());
    }

    #[test]
    fn a_missing_segment_is_named_and_a_misplaced_one_is_kept_apart() {
        let missing = fit("ADT^A01", "EVN PV1").unwrap_err();
        assert_eq!(missing.kind, Hl7v2ErrorKind::MissingSegment("PID"));
        assert_eq!(missing.segment, 3);
        assert_eq!(fit("ORU^R01", "PID").unwrap_err().kind, Hl7v2ErrorKind::MissingSegment("OBR"));
        let (shape, misplaced) = fit("ADT^A01", "EVN GT1 PID PV1 PV1").unwrap();
        assert_eq!(shape, "MSH EVN PID PV1");
        assert_eq!(misplaced, ["GT1", "PV1"]);
    }

    #[test]
    fn every_structure_is_well_written() {
        for (name, text) in STRUCTURES {
            assert_eq!(text.matches('(').count(), text.matches(')').count(), "{name}");
            let structure = Structure::named(name).unwrap();
            assert_eq!(structure.items[0].name, "MSH");
            fn check(items: &[Item]) {
                for item in items {
                    assert!(
                        item.name
                            .chars()
                            .all(|one| one.is_ascii_uppercase() || one.is_ascii_digit() || one == '_'),
                        "{}",
                        item.name
                    );
                    check(&item.items);
                }
            }
            check(&structure.items);
        }
        assert!(EVENTS.iter().all(|(.., structure)| Structure::named(structure).is_some()));
    }
}
