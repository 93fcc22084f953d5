//! What is told of a request that has ended: the line in the log, the counts, the access log and the trace.

use std::time::Duration;

use http::request::Parts;

use super::account::Account;
use super::answer::Answer;
use super::report::Seen;
use super::tally::Outcome;
use super::{Gateway, Refusal, template};
use crate::config;
use crate::telemetry::traces;

impl Gateway {
    /// The line in the log, and the counts.
    pub(super) fn tell(&self, account: &Account, outcome: &Result<Answer, Refusal>, took: Duration) {
        let status = outcome.as_ref().map_or_else(|refusal| refusal.row().status, |answer| answer.status);
        let client = account.requester.as_ref().map_or("", |requester| requester.client_id.as_str());
        let interaction = account.interaction_name();
        let (request_id, trace_id) = (account.request_id.as_str(), account.trace.trace_id.as_str());
        let (resource_type, micros) = (account.resource_type(), took.as_micros() as u64);
        let (released, withheld) = (account.released.len(), account.withheld);
        let status_code = status.as_u16();
        let result = match outcome {
            Ok(_) => {
                tracing::info!(
                    request_id,
                    trace_id,
                    client,
                    interaction,
                    resource_type,
                    status = status_code,
                    released,
                    withheld,
                    mapped = account.mapped,
                    micros,
                    mode = "enforce",
                    "answered"
                );
                Outcome::Answered
            }
            Err(refusal) if refusal.is_operational() => {
                tracing::error!(
                    request_id, trace_id, client, interaction, resource_type, status = status_code, cause = %refusal,
                    micros, mode = "enforce", "failed"
                );
                Outcome::Failed
            }
            // Told once a second: a line for each would be most of the work.
            Err(Refusal::Shed(_)) => Outcome::Refused,
            Err(refusal) => {
                tracing::info!(
                    request_id, trace_id, client, interaction, resource_type, status = status_code, cause = %refusal,
                    released, withheld, micros, mode = "enforce", "refused"
                );
                Outcome::Refused
            }
        };
        self.tally.request(interaction, status, result, took);
        self.tally.resources(released, withheld);
        if let Some(requester) = account.requester.as_ref().filter(|_| !self.config.route.is_empty()) {
            let takes = |it: &config::Route| it.takes(resource_type, &requester.client_id);
            self.tally.route(self.config.route.iter().position(takes), result, took);
        }
        if let Err(refusal) = outcome {
            self.tally.refusal(refusal.word());
        }
    }

    /// The line in the access log, and the trace.
    pub(super) fn observe_end(
        &self,
        head: &Parts,
        account: &mut Account,
        answer: &Answer,
        cause: Option<&'static str>,
        took: Duration,
    ) {
        let base = self.config.site.base_path();
        let spans = account.spans.take();
        let request = traces::Request {
            method: template::method(&head.method),
            scheme: self.scheme(),
            protocol: template::protocol(head.version),
            route: account.interaction.as_ref().map(|interaction| template::of(interaction, base)),
            status: answer.status.as_u16(),
            cause,
            interaction: account.interaction_name(),
            resource_type: account.resource_type().to_owned(),
            request_id: account.request_id.clone(),
            bytes: answer.body.len(),
            released: account.released.len(),
            plugins: account.plugins.len(),
        };
        let client = account.requester.as_ref().map_or("", |requester| requester.client_id.as_str());
        let (received, address) = (account.received, account.client.ip());
        self.report(Seen { received, address, client, took, spans, request });
    }
}
