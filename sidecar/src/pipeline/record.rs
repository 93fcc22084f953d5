//! The audit record of a request (IHE BALP): made from its account, and on disk before the answer leaves.
//!
//! Owed by every request whose caller is known and within its rate, answered or refused. The others are counted, and the
//! counts recorded ([`super::refused`]): an unknown caller must not be able to fill the trail.
//!
//! A write has two records. The first, its intent, is on disk before the hospital's server is asked; the second says how
//! it ended and names the first. Where the first can't be written nothing is forwarded; where the second is missing, the
//! trail shows that the end is not known.

use http::StatusCode;
use varco_core::audit::{
    AuditOutcome, AuditPatient, AuditProcessing, AuditRecord, AuditResource, AuditedEvent, NetworkAddress,
};
use varco_core::interaction::{HistoryOf, Interaction};
use varco_core::requester::BusinessIdentifier;

use super::account::Account;
use super::{Gateway, Refusal};
use crate::store::{ReviewUse, intent_before};

impl Gateway {
    /// Makes what happened durable; `refusal` is set where the request was refused.
    pub(super) async fn record(
        &self,
        account: &Account,
        status: StatusCode,
        refusal: Option<&Refusal>,
    ) -> Result<(), Refusal> {
        let records = self.records_of(account, status, refusal);
        self.append_reviewed(records, self.uses(account), account.is_urgent()).await
    }

    /// The records of what happened.
    pub(super) fn records_of(
        &self,
        account: &Account,
        status: StatusCode,
        refusal: Option<&Refusal>,
    ) -> Vec<AuditRecord> {
        let refusal = refusal.map(Refusal::cause);
        let description = refusal.map(|refusal| describe(account, refusal));
        self.records(account, outcome(account, status, refusal), description)
    }

    /// Makes durable what is about to be written, before the hospital's server is asked for it: one commit for all
    /// of `accounts`. Without it nothing may be forwarded.
    pub(super) async fn record_intents(&self, accounts: &mut [&mut Account]) -> Result<(), Refusal> {
        let open = |account: &&mut Account| {
            let told = "about to be written: what came of it is not on record".to_owned();
            self.records(account, AuditOutcome::Open, Some(told))
        };
        let urgent = accounts.iter().any(|account| account.is_urgent());
        self.append_reviewed(accounts.iter().flat_map(open).collect(), Vec::new(), urgent).await?;
        for account in accounts {
            account.intent = Some(intent_before(&account.record_id));
        }
        Ok(())
    }

    /// Makes records durable: all of them or none, in one commit.
    pub(super) async fn append(&self, records: Vec<AuditRecord>) -> Result<(), Refusal> {
        self.append_reviewed(records, Vec::new(), false).await
    }

    /// The same, with the uses of break-glass that they are about; those of an alarm wait for nobody else's.
    pub(super) async fn append_reviewed(
        &self,
        records: Vec<AuditRecord>,
        uses: Vec<ReviewUse>,
        urgent: bool,
    ) -> Result<(), Refusal> {
        if records.is_empty() {
            return Ok(());
        }
        let writer = self.store.writer();
        let appended = match urgent {
            true => writer.append_at_once(records, uses).await,
            false => writer.append_reviewed(records, uses).await,
        };
        appended.map_err(Refusal::Store)
    }

    /// The records of one account, one for each patient; none where none is owed.
    pub(super) fn records(
        &self,
        account: &Account,
        outcome: AuditOutcome,
        description: Option<String>,
    ) -> Vec<AuditRecord> {
        let (true, Some(requester)) = (account.owed, &account.requester) else { return Vec::new() };
        let open = outcome == AuditOutcome::Open;
        let record = AuditRecord {
            id: if open { intent_before(&account.record_id) } else { account.record_id.clone() },
            recorded: account.received,
            event: event(account.interaction.as_ref()),
            outcome,
            outcome_description: description,
            requester: requester.clone(),
            token_id: requester.token_id.clone(),
            client_address: NetworkAddress::Ip(account.client.ip().to_string()),
            recorder: self.recorder.clone(),
            patients: account.patients.iter().map(|key| audited(key)).collect(),
            resources: self.resources(account),
            query: self.query(account),
            request_id: Some(account.request_id.clone()),
            consents: account.consents.clone(),
            processing: AuditProcessing {
                trace: Some(account.trace.trace_id.clone()),
                mapped: mapped(account),
                policies: account.deciding_policies(),
                returned: Some(account.released.len() as u64),
                withheld: Some(account.withheld as u64),
                intent: account.intent.clone(),
                emergency: account.glass.told(requester),
                review: None,
            },
        };
        record.per_patient()
    }

    /// The resource that was asked for or written. A search has none: BALP records what was asked, not what was found.
    fn resources(&self, account: &Account) -> Vec<AuditResource> {
        let asked = account.interaction.as_ref().and_then(Interaction::instance);
        let asked = asked.map(|instance| format!("{}/{}", instance.resource_type, instance.id.as_str()));
        let reference = account.written.clone().or(asked);
        reference.into_iter().map(|reference| AuditResource { reference, labels: Vec::new() }).collect()
    }

    fn query(&self, account: &Account) -> Option<String> {
        if let Some(asked) = &account.matched {
            return Some(format!("POST {}/Patient/$match\n\n{asked}", self.config.site.base()));
        }
        Some(format!("GET {}{}", self.config.site.base(), account.interaction.as_ref()?.question()?))
    }
}

/// A patient by the key that data or consents are kept under: `Patient/1`, or `system|value`.
fn audited(key: &str) -> AuditPatient {
    match key.rsplit_once('|') {
        Some((system, value)) => {
            AuditPatient { reference: None, identifier: Some(BusinessIdentifier::new(system, value)) }
        }
        None => AuditPatient { reference: Some(key.to_owned()), identifier: None },
    }
}

fn mapped(account: &Account) -> Vec<String> {
    let identifiers = (account.mapped > 0).then(|| format!("identifier systems: {}", account.mapped));
    let maps = account.maps.iter().map(|map| format!("map: {map}"));
    let plugins = account.plugins.iter().map(|plugin| format!("plugin: {plugin}"));
    let skipped = account.plugins_skipped.iter();
    let skipped = skipped.map(|(plugin, kind)| format!("plugin skipped: {plugin} ({kind})"));
    identifiers.into_iter().chain(maps).chain(plugins).chain(skipped).collect()
}

/// A request that was not understood is recorded as an operation: BALP has no word for it.
fn event(interaction: Option<&Interaction>) -> AuditedEvent {
    match interaction {
        Some(Interaction::Capabilities) => AuditedEvent::Capabilities,
        Some(Interaction::Read(_)) => AuditedEvent::Read,
        Some(Interaction::Vread(..)) => AuditedEvent::Vread,
        Some(Interaction::History(history)) => match history.of {
            HistoryOf::Instance(_) => AuditedEvent::HistoryInstance,
            HistoryOf::Type(_) => AuditedEvent::HistoryType,
            HistoryOf::System => AuditedEvent::HistorySystem,
        },
        Some(Interaction::SearchType(_)) => AuditedEvent::SearchType,
        Some(Interaction::Create(_) | Interaction::ConditionalCreate(_)) => AuditedEvent::Create,
        Some(Interaction::Update(_) | Interaction::ConditionalUpdate(_)) => AuditedEvent::Update,
        Some(Interaction::Patch(_) | Interaction::ConditionalPatch(_)) => AuditedEvent::Patch,
        Some(Interaction::Delete(_) | Interaction::ConditionalDelete(_)) => AuditedEvent::Delete,
        Some(Interaction::Batch) => AuditedEvent::Batch,
        Some(Interaction::Transaction) => AuditedEvent::Transaction,
        // A patient that is looked for is a query (IHE PDQm ITI-119 §3.119.5.1).
        Some(Interaction::Match(..) | Interaction::LastN(_) | Interaction::DocRef(_)) => {
            AuditedEvent::SearchType
        }
        Some(
            Interaction::Validate(_)
            | Interaction::Everything(_)
            | Interaction::PatientSummary(_)
            | Interaction::Transform(..)
            | Interaction::Translate(..),
        )
        | None => AuditedEvent::Operation,
    }
}

fn outcome(account: &Account, status: StatusCode, refusal: Option<&Refusal>) -> AuditOutcome {
    match refusal {
        None if status.is_success() || status == StatusCode::NOT_MODIFIED => AuditOutcome::Success,
        Some(refusal) if refusal.is_operational() => AuditOutcome::SeriousFailure,
        Some(Refusal::Scope | Refusal::Consent | Refusal::Policy(_)) => AuditOutcome::SeriousFailure,
        Some(Refusal::Absent) if account.withheld > 0 => AuditOutcome::SeriousFailure,
        _ => AuditOutcome::MinorFailure,
    }
}

/// Why, for those who review accesses: they may know what the caller may not.
fn describe(account: &Account, refusal: &Refusal) -> String {
    match (refusal, account.decided_by) {
        (Refusal::Absent, Some(why)) => format!("hidden from the caller: {why}"),
        (Refusal::Absent, None) if account.withheld > 0 => "hidden from the caller by consent".to_owned(),
        (Refusal::Absent, None) => "there is no such resource".to_owned(),
        (Refusal::Consent, Some(why)) => format!("the write is not permitted: {why}"),
        (refusal, _) => refusal.to_string(),
    }
}
