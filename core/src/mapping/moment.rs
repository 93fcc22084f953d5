//! `dateOp(value, 'hl7v2', zone)`: a date or time as HL7 v2 writes it, in the spelling of FHIR. No edition of FHIR
//! defines what `dateOp` does; this is the one form that is taken here, and any other is refused.
//!
//! The zone, `Europe/Rome` or `+01:00`, gives the offset of times that were sent without one. What is no date or time
//! fails the map with the value's place, as every other transform does.

use std::borrow::Cow;

use fhir_models::document::Kind;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::compile::{Compiler, Scope};
use super::error::MapFault;
use super::program::{ParameterCode, ValueCode};
use super::run::{Frame, Item, Ran, Run};
use super::run_error::RunFault;
use super::syntax::Transform;
use super::tree::Scalar;
use super::types::TypeId;
use crate::hl7v2::{Moment, time_of_day};

/// The form of date that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MomentForm {
    Date,
    DateTime,
    Instant,
    Time,
}

const FORMS: [(MomentForm, &str); 4] = [
    (MomentForm::Date, "date"),
    (MomentForm::DateTime, "dateTime"),
    (MomentForm::Instant, "instant"),
    (MomentForm::Time, "time"),
];

impl Compiler<'_> {
    /// The value and the type that it has in an element that may be of these types.
    pub(super) fn moment(
        &mut self,
        scope: &mut Scope,
        transform: &Transform,
        near: &[TypeId],
    ) -> Option<(ValueCode, Vec<TypeId>)> {
        self.count(scope, transform, 2, 3, "a value, 'hl7v2' or 'hl7v2-time', and a time zone")?;
        let value = transform.parameters.first()?;
        let (from, _) = self.parameter(scope, &value.value, false, value.at)?;
        let format = self.text_of(scope, transform, 1, "the format 'hl7v2' or 'hl7v2-time' in quotes")?;
        let zone = match transform.parameters.get(2) {
            None => None,
            Some(_) => Some(self.text_of(scope, transform, 2, "a time zone in quotes")?),
        };
        let mut refuse = |needs| {
            let fault = MapFault::WrongParameter { transform: "dateOp", needs };
            self.fail(scope.file, transform.at, fault);
        };
        let zone = match zone.map(|name| zone_of(&name)) {
            Some(None) => {
                refuse("a time zone in quotes, such as 'Europe/Rome' or '+01:00'");
                return None;
            }
            Some(zone) => zone,
            None => None,
        };
        let fits = |name: &str| near.iter().any(|id| self.types.get(*id).is_some_and(|ty| &*ty.name == name));
        let form = match format.as_str() {
            "hl7v2-time" => MomentForm::Time,
            // Where several can stand, the one that takes every precision.
            "hl7v2" if fits("dateTime") || near.is_empty() => MomentForm::DateTime,
            "hl7v2" => {
                FORMS.iter().find(|(_, name)| fits(name)).map_or(MomentForm::DateTime, |(form, _)| *form)
            }
            _ => {
                self.fail(scope.file, transform.at, MapFault::DateOp);
                return None;
            }
        };
        let name = FORMS.iter().find(|(own, _)| *own == form).map_or("dateTime", |(_, name)| name);
        let to = self.types.find(name);
        Some((ValueCode::Moment { from, form, to, zone: zone.map(Box::new) }, vec![to]))
    }
}

/// A zone by its name in the IANA database, or a fixed offset.
pub(super) fn zone_of(name: &str) -> Option<TimeZone> {
    if let Some((sign, rest)) =
        name.strip_prefix('+').map(|rest| (1, rest)).or(name.strip_prefix('-').map(|rest| (-1, rest)))
    {
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let seconds = (0..=14).contains(&hours).then_some((hours * 60 + minutes) * 60 * sign)?;
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

/// Minutes east of UTC that a clock on the wall showed there; of two in autumn, the first.
fn offset_at(zone: &TimeZone, local: DateTime) -> Option<i16> {
    let timestamp = zone.to_ambiguous_timestamp(local).compatible().ok()?;
    i16::try_from(zone.to_offset(timestamp).seconds() / 60).ok()
}

impl<'a> Run<'_, 'a> {
    /// The value as FHIR writes it; nothing where there is none.
    pub(super) fn moment(
        &mut self,
        from: &'a ParameterCode,
        (form, to): (MomentForm, TypeId),
        zone: Option<&TimeZone>,
        frame: &Frame<'a>,
    ) -> Ran<Item<'a>> {
        let item = self.argument(from, frame);
        let Some(scalar) = self.scalar(&item) else { return Ok(Item::Nothing) };
        let told = if form == MomentForm::Time {
            time_of_day(&scalar.text)
        } else {
            Moment::parse(&scalar.text).and_then(|moment| {
                let assumed = moment.local().zip(zone).and_then(|(local, zone)| offset_at(zone, local));
                match form {
                    MomentForm::Date => Ok(moment.date()),
                    MomentForm::Instant => moment.instant(assumed),
                    _ => moment.date_time(assumed),
                }
            })
        };
        match told {
            Ok(text) => Ok(Item::Scalar(Scalar { ty: to, kind: Kind::String, text: Cow::Owned(text) })),
            Err(_) => {
                let value = scalar.text.into_owned();
                let needs =
                    "needs a date or time as HL7 v2 writes it, with an offset where the map has no zone";
                Err(self.fault(RunFault::WrongParameter { transform: "dateOp", needs, value }))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_gives_the_offset_of_summer_and_winter() {
        let rome = zone_of("Europe/Rome").unwrap();
        let at = |text: &str| offset_at(&rome, text.parse().unwrap()).unwrap();
        assert_eq!(at("2026-01-15T10:00:00"), 60);
        assert_eq!(at("2026-07-15T10:00:00"), 120);
        // The hour that the clock shows twice.
        assert_eq!(at("2026-10-25T02:30:00"), 120);
        assert_eq!(
            offset_at(&zone_of("-03:30").unwrap(), "2026-01-15T10:00:00".parse().unwrap()),
            Some(-210)
        );
        for bad in ["", "Rome", "+25:00", "+1"] {
            assert!(zone_of(bad).is_none(), "{bad}");
        }
    }
}
