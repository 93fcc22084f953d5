//! Audit records of what passes (IHE BALP, as an operation: nobody knows what is read or written by it).
//!
//! Each request has a record, or each client's minute has: on disk before anything is handed on. What came of a request is not
//! known then; it stands in the log line, under the same id.

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;
use varco_core::audit::{AuditOutcome, AuditProcessing, AuditRecord, AuditedEvent, NetworkAddress};
use varco_core::requester::Requester;

use super::Route;
use super::minutes::{Closed, minute_of};
use crate::config::PassedAudit;
use crate::pipeline::account::Account;
use crate::pipeline::{Gateway, Refusal};

/// How often it is looked for minutes that have ended.
const LOOK: std::time::Duration = std::time::Duration::from_secs(10);

/// What a record says beside who and where.
struct Said {
    id: String,
    request: String,
    recorded: Timestamp,
    trace: Option<String>,
    client: Option<String>,
    outcome: AuditOutcome,
    description: String,
    query: Option<String>,
    returned: Option<u64>,
}

impl Route {
    /// Counts a request of this client, if its minute is on record.
    pub(super) fn counted(&self, client: usize, received: Timestamp) -> bool {
        self.minutes.get(client).is_some_and(|own| own.counted(minute_of(received)))
    }
}

impl Gateway {
    /// Puts a request on record that is about to be handed on.
    pub(super) async fn record_passage(
        &self,
        route: &Route,
        head: &Parts,
        account: &Account,
    ) -> Result<(), Refusal> {
        let told = format!("handed on by the pass-through {}: no consent was asked about", route.config.name);
        let query = Some(self.asked(head));
        self.append(self.passage_record(account, AuditOutcome::Success, told, query)).await
    }

    /// The same for one that was refused; where its caller is not known it is counted.
    pub(super) async fn record_refused_passage(
        self: &Arc<Self>,
        route: &Route,
        head: &Parts,
        account: &mut Account,
        refusal: &Refusal,
    ) -> Result<(), Refusal> {
        match refusal {
            Refusal::Shed(_) => {
                self.count_shed(account, refusal);
                Ok(())
            }
            _ if account.owed => {
                let outcome = match refusal.is_operational() || matches!(refusal, Refusal::Policy(_)) {
                    true => AuditOutcome::SeriousFailure,
                    false => AuditOutcome::MinorFailure,
                };
                let told = format!("not handed on by the pass-through {}: {refusal}", route.config.name);
                let query = Some(self.asked(head));
                // The request may have a record already, of being handed on.
                account.record_id = Uuid::now_v7().to_string();
                self.append(self.passage_record(account, outcome, told, query)).await
            }
            _ => self.count_refused(account, refusal).await,
        }
    }

    /// Puts the minute of a request on record that is about to be handed on, and counts it, whatever becomes of its caller
    /// meanwhile.
    pub(super) async fn count_passage(
        self: &Arc<Self>,
        route: &Arc<Route>,
        client: usize,
        account: &Account,
    ) -> Result<(), Refusal> {
        let minute = minute_of(account.received);
        let told = format!(
            "uses the pass-through {} in this minute: no consent was asked about; another record counts its requests",
            route.config.name
        );
        let mut records = self.passage_record(account, AuditOutcome::Success, told, None);
        let (gateway, route) = (self.clone(), route.clone());
        let opened = tokio::spawn(async move {
            let Some(minutes) = route.minutes.get(client) else { return Err(Refusal::Internal) };
            let record = async |before: Option<Closed>| {
                records.extend(before.map(|before| gateway.minute_record(&route, client, before)));
                gateway.append(records).await
            };
            minutes.count(minute, record).await
        });
        opened.await.unwrap_or(Err(Refusal::Internal))
    }

    /// True where minutes must be closed.
    pub fn counts_minutes(&self) -> bool {
        self.passthroughs.routes.iter().any(|route| route.config.audit == PassedAudit::Minute)
    }

    /// Records what minutes came to, when they have ended and when this gateway is no longer the present one.
    pub async fn close_minutes(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        loop {
            let stopped = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                _ = stopping.wait_for(|stop| *stop) => true,
            };
            self.end_minutes(stopped).await;
            if stopped {
                return;
            }
        }
    }

    /// Records what minutes came to: of those that have ended, or of all.
    pub async fn end_minutes(&self, all: bool) {
        let now = if all { i64::MAX } else { minute_of(Timestamp::now()) };
        for route in self.passthroughs.routes.iter().filter(|own| own.config.audit == PassedAudit::Minute) {
            for (client, minutes) in route.minutes.iter().enumerate() {
                let record =
                    async |closed| self.append(vec![self.minute_record(route, client, closed)]).await;
                if let Err(error) = minutes.close(now, record).await {
                    let name = &route.config.name;
                    tracing::error!(cause = %error, route = name, "the requests of a minute are not on record yet; they are kept in memory");
                }
            }
        }
    }

    fn asked(&self, head: &Parts) -> String {
        let target = head.uri.path_and_query().map_or("", |own| own.as_str());
        format!("{} {}{target}", head.method, self.passthroughs.origin)
    }

    fn passage_record(
        &self,
        account: &Account,
        outcome: AuditOutcome,
        description: String,
        query: Option<String>,
    ) -> Vec<AuditRecord> {
        let Some(requester) = account.requester.clone() else { return Vec::new() };
        let said = Said {
            id: account.record_id.clone(),
            request: account.request_id.clone(),
            recorded: account.received,
            trace: Some(account.trace.trace_id.clone()),
            client: Some(account.client.ip().to_string()),
            outcome,
            description,
            query,
            returned: None,
        };
        vec![self.said(requester, said)]
    }

    /// The record of a minute that has ended. Whoever came from where is in the minute's first.
    fn minute_record(
        &self,
        route: &Route,
        client: usize,
        Closed { minute, requests }: Closed,
    ) -> AuditRecord {
        let client_id = route.config.clients.get(client).cloned().unwrap_or_default();
        let (id, name) = (Uuid::now_v7().to_string(), &route.config.name);
        let begun = Timestamp::from_second(minute.saturating_mul(60)).unwrap_or_default();
        tracing::info!(route = name, client = client_id, requests, minute = %begun, mode = "pass-through", "passed in a minute");
        let said = Said {
            request: id.clone(),
            id,
            recorded: Timestamp::now(),
            trace: None,
            client: None,
            outcome: AuditOutcome::Success,
            description: format!(
                "handed on by the pass-through {name} in the minute from {begun}: {requests} requests"
            ),
            query: None,
            returned: Some(requests),
        };
        self.said(Arc::new(Requester { client_id, ..Requester::default() }), said)
    }

    fn said(&self, requester: Arc<Requester>, said: Said) -> AuditRecord {
        let client = said.client.map_or_else(|| self.recorder.server.address.clone(), NetworkAddress::Ip);
        AuditRecord {
            id: said.id,
            recorded: said.recorded,
            event: AuditedEvent::Operation,
            outcome: said.outcome,
            outcome_description: Some(said.description),
            token_id: requester.token_id.clone(),
            requester,
            client_address: client,
            recorder: self.recorder.clone(),
            patients: Vec::new(),
            resources: Vec::new(),
            query: said.query,
            request_id: Some(said.request),
            consents: Vec::new(),
            processing: AuditProcessing {
                trace: said.trace,
                returned: said.returned,
                ..AuditProcessing::default()
            },
        }
    }
}
