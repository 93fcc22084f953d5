//! What one request came to: gathered along its way, for the audit record, the log line and the metrics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use uuid::Uuid;
use varco_core::audit::AuditConsent;
use varco_core::interaction::Interaction;
use varco_core::policy::{PolicyDecision, PolicyRequest};
use varco_core::requester::Requester;

use super::glass::Glass;
use super::inspect::Summary;
use super::judge::Judgement;
use super::remembered::Remembered;
use super::surroundings::Surroundings;
use super::trace::Trace;
use crate::config::Direction;
use crate::limit::{ClientPlace, Lane, Place, Standing};
use crate::listen::Peer;
use crate::mapping::MapSet;
use crate::telemetry::course::{self, Within};
use crate::telemetry::reporting::Reporting;
use crate::telemetry::spans::Spans;
use crate::telemetry::stage::Stage;
use crate::telemetry::under_way::Ticket;

/// Most provisions that one record names.
const MOST_CONSENTS: usize = 100;

/// The account of one request.
#[derive(Debug)]
pub(super) struct Account {
    pub request_id: String,
    /// The id of its audit record: another one for each entry of a batch.
    pub record_id: String,
    pub trace: Trace,
    /// Its spans, where it is traced.
    pub spans: Option<Box<Spans>>,
    /// Its place among what is under way; an entry of a batch has none.
    pub ticket: Option<Ticket>,
    pub received: Timestamp,
    pub client: SocketAddr,
    /// The id of the record of what was about to be written, once that is on disk.
    pub intent: Option<String>,
    /// Set once the caller is known.
    pub requester: Option<Arc<Requester>>,
    /// Set once the request is understood.
    pub interaction: Option<Interaction>,
    /// The resource that a write made or changed.
    pub written: Option<String>,
    /// References of the resources that were released.
    pub released: Vec<String>,
    /// How many resources were judged and not released.
    pub withheld: usize,
    /// Patients whose data was released, written or withheld.
    pub patients: BTreeSet<String>,
    /// The provisions that decided.
    pub consents: Vec<AuditConsent>,
    /// What decided where no provision did, in words.
    pub decided_by: Option<&'static str>,
    /// What an emergency came to.
    pub glass: Glass,
    /// The request as the site's policies see it, where there are any.
    pub policy: Option<PolicyRequest>,
    /// What the site's policies decided.
    pub policies: Vec<Arc<PolicyDecision>>,
    /// How many identifiers were written in another system.
    pub mapped: usize,
    /// Maps that wrote a body.
    pub maps: BTreeSet<String>,
    /// The set of maps that the request works with, once it has used one.
    pub map_set: Option<Arc<MapSet>>,
    /// Resources that the caller may see and that no map could write.
    pub left_out: usize,
    /// Bytes that maps have written.
    pub map_bytes: usize,
    /// The person that was looked for, as the caller described them.
    pub matched: Option<String>,
    /// Plugins that changed a body.
    pub plugins: BTreeSet<Arc<str>>,
    /// Plugins that failed and were skipped, with the kind of failure.
    pub plugins_skipped: BTreeSet<(Arc<str>, &'static str)>,
    /// Faults that the caller is to be told of in a header.
    pub warnings: Vec<(Direction, Summary)>,
    /// What was gathered around the resources that were judged.
    pub surroundings: Surroundings,
    /// What of it has to do with answers that are kept.
    pub remembered: Remembered,
    /// The request's places among all and among its client's, until it is answered.
    pub places: (Option<Place>, Option<ClientPlace>),
    /// What is left of the caller's limits, where that is told.
    pub standings: Vec<Standing>,
    /// True where an audit record is owed: the caller is known and within its rate.
    pub owed: bool,
}

impl Account {
    /// A new account.
    pub fn open(head: &Parts, peer: Peer, reporting: &Reporting) -> Account {
        let id = Uuid::now_v7();
        let mut trace = Trace::continue_from(&head.headers);
        let spans = reporting.begin_trace(&mut trace);
        let request_id = id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned();
        Account {
            spans,
            ticket: Some(reporting.tasks.requests.begin(id)),
            ..Account::bare(request_id.clone(), request_id, trace, Timestamp::now(), peer.address)
        }
    }

    /// The account of one entry of a batch: the same request, a record of its own.
    pub fn of_entry(&self) -> Account {
        let record_id = Uuid::now_v7().to_string();
        Account {
            requester: self.requester.clone(),
            glass: self.glass.anew(),
            policy: self.policy.clone(),
            map_set: self.map_set.clone(),
            owed: true,
            ..Account::bare(
                self.request_id.clone(),
                record_id,
                self.trace.clone(),
                self.received,
                self.client,
            )
        }
    }

    fn bare(
        request_id: String,
        record_id: String,
        trace: Trace,
        received: Timestamp,
        client: SocketAddr,
    ) -> Account {
        Account {
            request_id,
            record_id,
            trace,
            spans: None,
            ticket: None,
            received,
            client,
            intent: None,
            requester: None,
            interaction: None,
            written: None,
            released: Vec::new(),
            withheld: 0,
            patients: BTreeSet::new(),
            consents: Vec::new(),
            decided_by: None,
            glass: Glass::default(),
            policy: None,
            policies: Vec::new(),
            mapped: 0,
            maps: BTreeSet::new(),
            map_set: None,
            left_out: 0,
            map_bytes: 0,
            matched: None,
            plugins: BTreeSet::new(),
            plugins_skipped: BTreeSet::new(),
            warnings: Vec::new(),
            surroundings: Surroundings::default(),
            remembered: Remembered::default(),
            places: (None, None),
            standings: Vec::new(),
            owed: false,
        }
    }

    /// Whether it is one of those that pass before others.
    pub fn is_urgent(&self) -> bool {
        self.places.0.as_ref().is_some_and(|place| place.lane() == Lane::Priority)
    }

    /// A stage begins.
    pub fn enter(&mut self, stage: Stage) -> Within {
        course::enter(self.ticket.as_ref(), self.spans.as_deref_mut(), stage)
    }

    /// It ends, and with it what began inside of it.
    pub fn leave(&mut self, within: &Within) {
        course::leave(self.ticket.as_ref(), self.spans.as_deref_mut(), within);
    }

    /// Says what is asked; `/tasks` shows it at once.
    pub fn understood(&mut self, interaction: Interaction) {
        if let Some(ticket) = &self.ticket {
            ticket.interaction(interaction.name());
        }
        self.interaction = Some(interaction);
    }

    /// Takes up what one judgement was about, and what decided it.
    pub fn note(&mut self, judgement: Judgement) {
        self.patients.extend(judgement.patients);
        for consent in judgement.consents {
            if self.consents.len() < MOST_CONSENTS && !self.consents.contains(&consent) {
                self.consents.push(consent);
            }
        }
        judgement.policies.iter().for_each(|decision| self.note_policy(decision));
        self.decided_by = self.decided_by.or(judgement.note);
    }

    /// The interaction's code, or `unknown`.
    pub fn interaction_name(&self) -> &'static str {
        self.interaction.as_ref().map_or("unknown", Interaction::name)
    }

    /// The type that is asked for, or nothing.
    pub fn resource_type(&self) -> &str {
        self.interaction.as_ref().and_then(Interaction::resource_type).map_or("", |name| name.as_str())
    }
}
