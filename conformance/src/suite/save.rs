//! Variables taken from an answer.

use fhir_models::document::{Limits, OwnedDocument};

use super::evidence::ResponseEvidence;
use super::model::Save;
use super::path::Place;

/// The value at the place that a suite names; `None` where nothing is there.
pub(super) fn saved(save: &Save, response: &ResponseEvidence) -> Option<String> {
    let at = |place: Result<Place, String>| {
        let document = OwnedDocument::parse_json(response.body.as_str(), &Limits::default()).ok()?;
        let value = place.ok()?.values(document.root()).into_iter().next()?;
        Some(value.as_str().map_or_else(|| value.raw().to_owned(), |text| text.into_owned()))
    };
    match save {
        Save::Known(name) if name == "etag" => response.header("etag"),
        Save::Known(_) => response
            .header("location")
            .and_then(|location| id_in(&location))
            .or_else(|| at(Place::path("id"))),
        Save::Place(place) => match (&place.header, &place.pointer, &place.path) {
            (Some(name), _, _) => response.header(name),
            (None, Some(pointer), _) => at(Place::pointer(pointer)),
            (None, None, path) => at(Place::path(path.as_deref().unwrap_or_default())),
        },
    }
}

/// The logical id in a location: `[base]/[type]/[id]`, with or without a version (FHIR R4 §3.1.0.8).
fn id_in(location: &str) -> Option<String> {
    let plain = location.split_once("/_history/").map_or(location, |(before, _)| before);
    let id = plain.trim_end_matches('/').rsplit('/').next()?;
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_from_a_location_in_each_form() {
        for location in [
            "http://h.test/fhir/Patient/p1/_history/3",
            "Patient/p1",
            "/fhir/Patient/p1",
            "http://h.test/Patient/p1/",
        ] {
            assert_eq!(id_in(location).as_deref(), Some("p1"), "{location}");
        }
        assert_eq!(id_in(""), None);
    }
}
