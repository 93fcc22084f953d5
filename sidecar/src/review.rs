//! Reviews of break-glass: closed with a record in the audit trail, and called to mind while they wait too long.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::gauge;
use tokio::sync::watch::Receiver;
use uuid::Uuid;
use varco_core::audit::{
    AuditOutcome, AuditPatient, AuditProcessing, AuditRecord, AuditReview, AuditedEvent, NetworkAddress,
};
use varco_core::requester::{BusinessIdentifier, Requester};

use crate::config::Config;
use crate::pipeline::Gateway;
use crate::store::{AuditRow, CloseError, ReviewDesk, ReviewsWaiting, StoreError};
use crate::telemetry::background;

/// How often the operator is reminded.
const EVERY: Duration = Duration::from_secs(600);
/// What closes a review, as the trail knows clients.
const CLIENT: &str = "varco audit review";

/// Closes an open review in the store of a configuration. `by` and `finding` go into the trail as they stand.
pub fn close(config: &Config, id: &str, by: &str, finding: &str) -> Result<(), CloseError> {
    let mut desk = ReviewDesk::open(&config.store.path)?;
    let review = desk.find(id)?;
    let now = Timestamp::now();
    let patient = match review.patient.rsplit_once('|') {
        Some((system, value)) => {
            AuditPatient { reference: None, identifier: Some(BusinessIdentifier::new(system, value)) }
        }
        None => AuditPatient { reference: Some(review.patient.clone()), identifier: None },
    };
    let record = AuditRecord {
        id: Uuid::now_v7().to_string(),
        recorded: now,
        event: AuditedEvent::Review,
        outcome: AuditOutcome::Success,
        outcome_description: None,
        requester: Arc::new(Requester {
            client_id: CLIENT.to_owned(),
            subject: Some(BusinessIdentifier::new("", "")),
            subject_name: Some(by.to_owned()),
            ..Requester::default()
        }),
        token_id: None,
        client_address: NetworkAddress::MachineName("localhost".to_owned()),
        recorder: config.site.recorder(),
        patients: vec![patient],
        resources: Vec::new(),
        query: None,
        request_id: None,
        consents: Vec::new(),
        processing: AuditProcessing {
            review: Some(AuditReview { id: id.to_owned(), finding: finding.to_owned() }),
            ..AuditProcessing::default()
        },
    };
    desk.close(id, &format!("{now:.3}"), by, finding, &AuditRow::of(&record))
}

/// How many reviews wait, and how many for longer than the configuration says; none where it has no rules for emergencies.
pub fn waiting(gateway: &Gateway) -> Result<Option<ReviewsWaiting>, StoreError> {
    let Some(rules) = &gateway.config().break_glass else { return Ok(None) };
    let hours = i64::try_from(rules.review_hours).unwrap_or(i64::MAX / 3600);
    let due = Timestamp::now().saturating_sub(SignedDuration::from_hours(hours));
    let due = due.unwrap_or(Timestamp::MIN);
    gateway.store().reviews_waiting(&format!("{due:.3}")).map(Some)
}

/// Sets the gauges, before metrics are rendered.
pub fn observe(gateway: &Gateway) {
    if let Ok(Some(waiting)) = waiting(gateway) {
        gauge!("varco_break_glass_reviews_open").set(waiting.open as f64);
        gauge!("varco_break_glass_reviews_overdue").set(waiting.overdue as f64);
    }
}

/// Reminds the operator of reviews that wait too long, until the sidecar stops.
pub async fn watch(gateway: Arc<Gateway>, mut stopping: Receiver<bool>) {
    if gateway.config().break_glass.is_none() {
        return;
    }
    loop {
        match waiting(&gateway) {
            Ok(Some(waiting)) if waiting.overdue > 0 => tracing::warn!(
                open = waiting.open,
                overdue = waiting.overdue,
                "uses of break-glass wait too long for their review: `varco audit review` lists them"
            ),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the review queue can't be read"),
        }
        background::done(Some(EVERY));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = stopping.changed() => {
                if changed.is_err() || *stopping.borrow() {
                    return;
                }
            }
        }
    }
}
