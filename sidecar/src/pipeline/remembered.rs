//! Answers of the hospital's server that are at hand ([`crate::cache::Answers`]), on routes that allow it.
//!
//! Only the caller's own reads and searches use them: what a write decides by, and what is looked up around a resource, is
//! asked each time. What comes is kept at the end of the request, once it is known that all of it was released.

use std::time::{Duration, Instant};

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, StatusCode};
use varco_core::interaction::{Interaction, UpstreamRequest};

use super::Gateway;
use super::account::Account;
use super::exchange::Exchange;
use crate::cache::{Found, Kept, Key};
use crate::upstream::UpstreamAnswer;

/// Most answers of one request that are kept.
const MOST: usize = 4;

/// What of a request has to do with what is kept.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Answers that may be kept where all is released.
    came: Vec<(Key, Kept)>,
    /// Answers that were at hand.
    used: Vec<Key>,
}

/// How a question may be answered from what is kept, and its answer kept.
pub(super) struct Plan {
    key: Key,
    most: Duration,
    stale: Option<UpstreamAnswer>,
}

/// What is at hand for a question.
pub(super) enum AtHand {
    /// The answer.
    Answer(UpstreamAnswer),
    /// Nothing that stands for itself: the server is asked, and what it says may be kept by this plan.
    Ask(Option<Plan>),
}

impl Exchange<'_> {
    /// What is at hand for this question; `headers` get what the server is to be asked by.
    pub(super) fn at_hand(
        &mut self,
        interaction: &Interaction,
        request: &UpstreamRequest,
        headers: &mut HeaderMap,
    ) -> AtHand {
        let asked = self.account.interaction.as_ref();
        let (Interaction::Read(_) | Interaction::SearchType(_)) = interaction else {
            return AtHand::Ask(None);
        };
        if !asked.is_some_and(|own| matches!(own, Interaction::Read(_) | Interaction::SearchType(_)))
            || request.form.is_some()
        {
            return AtHand::Ask(None);
        }
        let seconds = self.route().map_or(0, |route| route.cache_seconds);
        // Of what another process writes nothing is known here.
        let seconds = if self.gateway.store.overlap().is_shared() { 0 } else { seconds };
        // What comes along with what was asked is of other types, and asked for each time.
        let own_type = interaction.resource_type().filter(|own| own.as_str() == self.account.resource_type());
        let Some(resource_type) = own_type.filter(|_| seconds > 0) else { return AtHand::Ask(None) };
        let gateway = self.gateway;
        let consents = gateway.store.consent_revision();
        let key =
            gateway.answers.key(&request.path_and_query, resource_type.as_str(), &self.requester, consents);
        let stale = match gateway.answers.find(&key, Instant::now()) {
            Found::Fresh(answer) => {
                self.account.remembered.used.push(key);
                return AtHand::Answer(answer);
            }
            Found::Stale(answer, tag) => {
                headers.insert(IF_NONE_MATCH, tag);
                Some(answer)
            }
            Found::Nothing => None,
        };
        AtHand::Ask(Some(Plan { key, most: Duration::from_secs(seconds), stale }))
    }

    /// Notes what came, to be kept; where the server says that what is at hand still holds, that is the answer.
    pub(super) fn came(&mut self, plan: Option<Plan>, answer: UpstreamAnswer) -> UpstreamAnswer {
        let Some(Plan { key, most, stale }) = plan else { return answer };
        let now = Instant::now();
        let (answer, kept) = match stale.filter(|_| answer.status == StatusCode::NOT_MODIFIED) {
            Some(stale) => {
                let kept = Kept::still_holds(&stale, &answer.headers, most, now);
                (stale, kept)
            }
            None => {
                let kept = Kept::may_be_kept(&answer, most, now);
                (answer, kept)
            }
        };
        if let Some(kept) = kept.filter(|_| self.account.remembered.came.len() < MOST) {
            self.account.remembered.came.push((key, kept));
        }
        answer
    }

    /// Makes answers that a write may have changed unreachable.
    pub(super) fn wrote(&self, interaction: &Interaction) {
        if !interaction.is_write() {
            return;
        }
        match interaction.resource_type() {
            Some(own) => self.gateway.answers.wrote(own.as_str()),
            None => self.gateway.answers.wrote_any(),
        }
    }
}

impl Gateway {
    /// Keeps what came to a request that ended so: where something was withheld, nothing of it, and nothing that was kept.
    pub(super) fn remember(&self, account: &mut Account, answered: bool) {
        let Remembered { came, used } = std::mem::take(&mut account.remembered);
        if answered && account.withheld == 0 && account.left_out == 0 {
            came.into_iter().for_each(|(key, kept)| self.answers.keep(key, kept));
        } else {
            used.iter().for_each(|key| self.answers.forget(key));
        }
    }
}
