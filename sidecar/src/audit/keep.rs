//! Removing what is older than `audit.keep`, while the writer has nothing else to do.
//!
//! A record is old from the day on that the rule says, by the calendar of the hospital: so at most once a day there is
//! something to remove. What is exported stays until the external store has it. Bounds: 500 records a commit, a pause between two.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use metrics::counter;
use tokio::sync::watch;
use uuid::Uuid;

use crate::config::Config;
use crate::pipeline::Gateway;
use crate::store::{Removal, Store, StoreError};
use crate::telemetry::background;

/// How often it is looked whether a new day has made records old.
const EVERY: Duration = Duration::from_secs(60);
/// Between two steps, so that requests find the writer free.
const PAUSE: Duration = Duration::from_millis(50);

/// Removes old records until `stopping` becomes true.
pub async fn watch(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let config = gateway.config();
    let Some(kept) = config.audit.kept_for() else { return };
    let zone = TimeZone::get(&config.consent.time_zone).unwrap_or(TimeZone::UTC);
    loop {
        let pause = match oldest_kept(&Timestamp::now().to_zoned(zone.clone()), kept) {
            Some(before) => match step(gateway.store(), config, before).await {
                Ok(more) => {
                    let pause = if more { PAUSE } else { EVERY };
                    background::done(Some(pause));
                    pause
                }
                Err(error) => {
                    background::failed(&error.to_string(), Some(EVERY));
                    tracing::error!(%error, "old audit records can't be removed; it is tried again");
                    EVERY
                }
            },
            None => EVERY,
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Records of before this instant are old.
fn oldest_kept(now: &Zoned, kept: Span) -> Option<String> {
    let first = now.checked_sub(kept).ok()?.start_of_day().ok()?;
    Some(format!("{:.0}", first.timestamp()).trim_end_matches('Z').to_owned())
}

/// One step, where there is something to remove and the writer is idle; true where more may be left.
async fn step(store: &Store, config: &Config, before: String) -> Result<bool, StoreError> {
    let exported_to = config.audit.export.as_ref().map(|export| export.place().to_owned());
    if !store.removable(&before, exported_to.as_deref())? {
        return Ok(false);
    }
    if store.writer().waiting() > 0 {
        return Ok(true);
    }
    let removal = Removal {
        before,
        rule: format!("keep = \"{}\"", config.audit.keep.clone().unwrap_or_default()),
        exported_to,
        id: Uuid::now_v7().to_string(),
        at: Timestamp::now(),
        recorder: config.site.recorder(),
    };
    store.remove(removal).await?;
    if let Some(anchor) = store.anchor()? {
        let removed = anchor.removed;
        tracing::info!(
            records = removed.count,
            through = removed.through,
            rule = removed.rule,
            "old audit records were removed"
        );
        counter!("varco_audit_removed_total").increment(removed.count);
    }
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Audit;

    #[test]
    fn a_record_is_old_by_the_calendar_of_the_hospital() {
        for (keep, now, before) in [
            ("5 years", "2031-11-22T10:30:00+01:00[Europe/Rome]", "2026-11-21T23:00:00"),
            ("1 year", "2028-02-29T00:00:00+01:00[Europe/Rome]", "2027-02-27T23:00:00"),
            ("90 days", "2026-06-30T00:30:00+02:00[Europe/Rome]", "2026-03-31T22:00:00"),
            ("2 weeks", "2026-06-30T12:00:00+02:00[Europe/Rome]", "2026-06-15T22:00:00"),
        ] {
            let kept = Audit { keep: Some(keep.to_owned()), ..Audit::default() }.kept_for().unwrap();
            assert_eq!(oldest_kept(&now.parse().unwrap(), kept).as_deref(), Some(before), "{keep}");
        }
        for keep in ["5", "0 years", "5 centuries", "99999999 years", ""] {
            assert!(Audit { keep: Some(keep.to_owned()), ..Audit::default() }.kept_for().is_none(), "{keep}");
        }
    }
}
