//! The score of a group in a MeasureReport suits the scoring of its measure (FHIR R4 §9.10,
//! `MeasureReport.group.measureScore`).

use fhir_models::document::{Value, name};

use crate::outcome::IssueType;

use super::super::walk::Walk;
use super::broken;
use super::measure_report::Report;

/// Checks the score of a group.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, report: &Report, group: Value<'d>) {
    let score = group.get_key("measureScore");
    let scoring = report.scoring.as_deref().unwrap_or_default();
    if let Some(score) = score {
        if report.kind == "data-collection" {
            let message = "a report of type data-collection has no scores";
            return broken(walk, score, IssueType::BusinessRule, message);
        }
        if scoring == "cohort" {
            let message = "a cohort measure has no score: it only counts its population";
            return broken(walk, score, IssueType::BusinessRule, message);
        }
        if scoring == "proportion" {
            proportion(walk, score);
        }
    } else if report.complete
        && report.kind != "data-collection"
        && matches!(scoring, "proportion" | "ratio" | "continuous-variable")
    {
        let message = format!("a complete report on a {scoring} measure has a score for each group");
        broken(walk, group, IssueType::Required, message);
    }
}

/// A proportion is a number between 0 and 1.
fn proportion<'d>(walk: &mut Walk<'_, 'd>, score: Value<'d>) {
    let unit = score.get(name::CODE).filter(|it| !it.is_str("1") && !it.is_str("%"));
    if let Some(place) = unit {
        broken(walk, place, IssueType::BusinessRule, "the score of a proportion measure has no unit");
        return;
    }
    let percent = score.get(name::CODE).is_some_and(|it| it.is_str("%"));
    let Some(place) = score.get(name::VALUE) else { return };
    let number = place.as_number().and_then(|it| it.parse::<f64>().ok());
    let most = if percent { 100.0 } else { 1.0 };
    if number.is_some_and(|it| !(0.0..=most).contains(&it)) {
        let message = format!("the score of a proportion measure is between 0 and {most}");
        broken(walk, place, IssueType::Value, message);
    }
}
