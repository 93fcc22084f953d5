//! Whether a request is worked on now: its place, its caller's limits and quota ([`crate::limit`]).
//!
//! Order: a place first (what is shed uses up nothing of a limit), then buckets and quota, then, once the request is
//! understood, what counts by patient and device. A request that is above one of them ends there; buckets before it have
//! given their token, so that asking on and on does not get faster.

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use varco_core::interaction::Interaction;
use varco_core::requester::Requester;

use super::account::Account;
use super::{Gateway, Refusal};
use crate::limit::{Asked, Exceeded, Lane, Shape, Shed};
use crate::listen::Peer;
use crate::telemetry::stage::Stage;

impl Gateway {
    /// Finds out who asks, within the places and limits that there are; from then on an audit record is owed.
    pub(super) async fn admit_caller(
        &self,
        head: &Parts,
        peer: Peer,
        shape: &Shape<'_>,
        authorization: Option<&[u8]>,
        account: &mut Account,
    ) -> Result<Arc<Requester>, Refusal> {
        let before = self.lanes.before_token(shape, authorization);
        account.places.0 = before.map_err(|shed| self.shed(shed, account))?;
        let now = u64::try_from(account.received.as_second()).unwrap_or_default();
        let identify = account.enter(Stage::Identify);
        let known = self.tokens.identify(&head.headers, peer.certificate.as_ref(), now).await;
        account.leave(&identify);
        let requester = known.map_err(Refusal::Unauthorized)?;
        if let Some(ticket) = &account.ticket {
            ticket.client(&requester.client_id);
        }
        self.admit_request(&requester, shape, authorization, account)?;
        account.requester = Some(requester.clone());
        account.owed = true;
        Ok(requester)
    }

    /// Gives the request a place in its lane and among its client's, and takes what it costs the client.
    fn admit_request(
        &self,
        requester: &Requester,
        shape: &Shape<'_>,
        authorization: Option<&[u8]>,
        account: &mut Account,
    ) -> Result<(), Refusal> {
        let held = account.places.0.take();
        let place = self.lanes.after_token(held, shape, requester).map_err(|shed| {
            if let (Shed(Lane::Bulk), Some(own)) = (shed, authorization) {
                self.lanes.shed_bulk(shape, own);
            }
            self.shed(shed, account)
        })?;
        let asked = Asked { requester, shape: *shape, lane: place.lane() };
        account.places.0 = Some(place);
        account.places.1 = self.limit.place(&asked).map_err(Refusal::Rate)?;
        account.standings = self.limit.admit(&asked).map_err(Refusal::Rate)?;
        // No alarm is lost because the day's bulk used up the quota: alarms are bounded by rate and places alone.
        if asked.lane != Lane::Priority {
            account.standings.extend(self.count_day(requester, account.received).map_err(Refusal::Quota)?);
        }
        Ok(())
    }

    /// Takes what a request costs for the patients and devices that it names.
    pub(super) fn admit_subjects(
        &self,
        requester: &Requester,
        interaction: &Interaction,
        body: &[u8],
        account: &Account,
    ) -> Result<(), Refusal> {
        let lane = account.places.0.as_ref().map_or(Lane::Normal, |place| place.lane());
        let asked = Asked { requester, shape: Shape::of_interaction(interaction), lane };
        self.limit.admit_subjects(&asked, interaction, body).map_err(Refusal::Rate)
    }

    /// Takes what an entry of a Bundle, or a search for one, costs: as much as a request of its own. It has its Bundle's place
    /// and is of no lane but the normal one: what stands in a body gives no priority.
    pub(super) fn admit_entry(
        &self,
        requester: &Requester,
        interaction: &Interaction,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let asked = Asked { requester, shape: Shape::of_interaction(interaction), lane: Lane::Normal };
        self.limit.admit(&asked).map_err(Refusal::Rate)?;
        self.count_day(requester, Timestamp::now()).map_err(Refusal::Quota)?;
        self.limit.admit_subjects(&asked, interaction, body).map_err(Refusal::Rate)
    }

    fn count_day(
        &self,
        requester: &Requester,
        now: Timestamp,
    ) -> Result<Option<crate::limit::Standing>, Box<Exceeded>> {
        self.quotas.count(&self.config.limits, &requester.client_id, now)
    }

    /// The refusal for a request without a place; once a second the log says that there are such.
    pub(super) fn shed(&self, Shed(lane): Shed, account: &Account) -> Refusal {
        if self.lanes.is_news(account.received.as_second()) {
            tracing::warn!(
                lane = lane.name(),
                "requests are shed: more come than are worked on at a time (limits.concurrent, or less while the processors are behind: varco_places); varco_shed_total counts them"
            );
        }
        Refusal::Shed(lane)
    }

    /// Saves what clients have used of their quotas.
    pub async fn save_quotas(&self) {
        if let Err(error) = self.quotas.save().await {
            tracing::error!(cause = %error, "what clients used of their quotas since it was last saved is forgotten");
        }
    }
}
