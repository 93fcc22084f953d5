//! What happens with one message, from its bytes to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fhir_models::definition::Definitions;
use metrics::{counter, histogram};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use varco_core::audit::{AuditOutcome, NetworkAddress};
use varco_core::hl7v2::FrameError;
use varco_core::mapping::hl7v2::{ConverterError, Hl7v2Converter};

use super::fault::Fault;
use super::hold::Hold;
use super::outcome::{self, Done};
use super::prepare::{Header, Prepared, prepare};
use super::reply;
use super::sender::Peer;
use crate::config::{Mllp, MllpSender, ValidationMode};
use crate::pipeline::feed::{Fed, Feed};
use crate::reload::Current;
use crate::store::{ReceivedRow, Seen};
use crate::telemetry::course::Course;
use crate::telemetry::stage::Stage;
use crate::telemetry::traces::Hl7v2Message;
use crate::validation::{Source, Subject};

/// A message that is larger is mapped off the connection's thread, in bytes.
const INLINE: usize = 64 << 10;

/// Takes messages. Immutable but for the turns.
pub struct Intake {
    current: Arc<Current>,
    converter: Hl7v2Converter,
    settings: Mllp,
    /// One for each sender: who holds it is at work.
    turns: Vec<Mutex<()>>,
    /// What each sender may send.
    holds: Vec<Hold>,
}

/// How a message ended.
enum Ended {
    Accepted,
    /// It was done before; the control id, sender and content are the same.
    Duplicate,
    Refused(Fault),
}

impl Ended {
    fn name(&self) -> &'static str {
        match self {
            Ended::Accepted => "accepted",
            Ended::Duplicate => "duplicate",
            Ended::Refused(_) => "refused",
        }
    }

    fn fault(&self) -> Option<&Fault> {
        match self {
            Ended::Refused(fault) => Some(fault),
            Ended::Accepted | Ended::Duplicate => None,
        }
    }
}

impl Intake {
    /// Compiles the maps of HL7 v2.
    pub fn new(current: Arc<Current>, settings: Mllp) -> Result<Intake, ConverterError> {
        let converter = Hl7v2Converter::new(Definitions::r4(), &settings.zone)?;
        let turns = settings.sender.iter().map(|_| Mutex::new(())).collect();
        let quotas = current.gateway().quotas().clone();
        let holds = settings.sender.iter().map(|sender| Hold::new(sender, quotas.clone())).collect();
        Ok(Intake { current, converter, settings, turns, holds })
    }

    /// Its configuration.
    pub fn settings(&self) -> &Mllp {
        &self.settings
    }

    pub(super) fn senders(&self) -> &[MllpSender] {
        &self.settings.sender
    }

    /// Does what a message says, and gives the bytes of its answer. Runs in a task of its own: a sender that hangs up
    /// does not stop what it began, so that nothing happens at the server without its record.
    pub(super) async fn take(self: &Arc<Self>, message: Bytes, peer: Arc<Peer>) -> Vec<u8> {
        match tokio::spawn(self.clone().process(message.clone(), peer)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a message's task ended badly");
                reply::answer(&message, Some(&Fault::internal()))
            }
        }
    }

    /// The answer to bytes that are no frame, as far as they have a header; and a note for the operator.
    pub(super) fn broken(&self, begun: &[u8], error: FrameError, peer: &Peer) -> Vec<u8> {
        let cause = match error {
            FrameError::TooLarge => "too-large",
            _ => "framing",
        };
        counter!("varco_mllp_broken_total", "cause" => cause).increment(1);
        tracing::warn!(address = %peer.address, cause = %error, "an MLLP connection broke the rules and was closed");
        if error == FrameError::TooLarge {
            reply::answer(begun, Some(&Fault::too_large(self.settings.message_bytes)))
        } else {
            Vec::new()
        }
    }

    async fn process(self: Arc<Self>, message: Bytes, peer: Arc<Peer>) -> Vec<u8> {
        let gateway = self.current.gateway();
        let (started, (feed, mut course)) = (Instant::now(), gateway.begin_feed());
        let header = Header::read(&message, self.settings.lenient);
        let identified = header.as_ref().map_err(Clone::clone).and_then(|header| {
            let number = peer.sender(self.senders(), &header.application, &header.facility);
            number.map_err(Fault::sender).map(|number| (header, number))
        });
        let sender = identified.as_ref().ok().and_then(|(_, number)| self.senders().get(*number));
        let sender = sender.map_or("unknown", |sender| sender.name.as_str());
        if let Some(ticket) = &course.ticket {
            ticket.client(sender);
            ticket.interaction("transaction");
        }
        let (ended, answer) = match identified {
            Err(fault) => {
                let answer = reply::answer(&message, Some(&fault));
                (Ended::Refused(fault), answer)
            }
            Ok((header, number)) => self.in_turn(number, header, &message, &peer, (&feed, &mut course)).await,
        };
        self.tell(sender, header.as_ref().ok(), &feed, &ended, started.elapsed());
        let kind = course.kind.take();
        gateway.end_feed(
            course,
            Hl7v2Message {
                kind,
                sender: sender.to_owned(),
                outcome: ended.name(),
                cause: ended.fault().map(|fault| fault.cause),
                failed: ended.fault().is_some_and(|fault| fault.outcome() == AuditOutcome::SeriousFailure),
                request_id: feed.request_id,
            },
        );
        answer
    }

    /// The work on a message whose sender is known, and its answer.
    async fn in_turn(
        self: &Arc<Self>,
        number: usize,
        header: &Header,
        message: &Bytes,
        peer: &Peer,
        (feed, course): (&Feed, &mut Course),
    ) -> (Ended, Vec<u8>) {
        let refuse = |fault: Fault| {
            let answer = reply::answer(message, Some(&fault));
            (Ended::Refused(fault), answer)
        };
        let (Some(sender), Some(turn), Some(hold)) =
            (self.senders().get(number), self.turns.get(number), self.holds.get(number))
        else {
            return refuse(Fault::internal());
        };
        let _turn = turn.lock().await;
        let digest: [u8; 32] = Sha256::digest(message).into();
        let at = feed.received.as_second();
        let since = at.saturating_sub(i64::from(self.settings.remember_hours).saturating_mul(3_600));
        match self.current.gateway().store().seen(&sender.name, &header.control_id, &digest, since) {
            Ok(Seen::Done(answer)) => {
                course.kind = Some(header.kind());
                return (Ended::Duplicate, answer);
            }
            Ok(Seen::Other) => {
                counter!("varco_mllp_reused_control_ids_total", "sender" => sender.name.clone()).increment(1);
                tracing::warn!(
                    request_id = feed.request_id,
                    sender = sender.name,
                    "a control id was that of another message: the sender should count on"
                );
            }
            Ok(Seen::Never) => {}
            Err(error) => return refuse(Fault::store(&error)),
        }
        let gateway = self.current.gateway();
        let within = course.enter(Stage::Held);
        let place = hold.wait(sender, &gateway).await;
        course.leave(&within);
        let _place = match place {
            Ok(place) => place,
            Err(fault) => return refuse(fault),
        };
        let mut fed = Fed {
            requester: peer.requester(sender),
            client: NetworkAddress::Ip(peer.address.ip().to_canonical().to_string()),
            outcome: AuditOutcome::Success,
            cause: None,
            patients: Vec::new(),
            written: Vec::new(),
            mapped: Vec::new(),
        };
        match self.work(sender, header, message, (feed, course), &mut fed).await {
            Ok(()) => {
                let answer = reply::answer(message, None);
                let row = ReceivedRow {
                    sender: sender.name.clone(),
                    control: header.control_id.clone(),
                    digest,
                    at,
                    answer: answer.clone(),
                    forget_before: since,
                };
                let within = course.enter(Stage::Audit);
                let recorded = self.current.gateway().record_feed(feed, fed, Some(row)).await;
                course.leave(&within);
                match recorded {
                    Ok(()) => (Ended::Accepted, answer),
                    Err(error) => refuse(Fault::store(&error)),
                }
            }
            Err(fault) => {
                fed.outcome = fault.outcome();
                fed.cause = Some(fault.told());
                match self.current.gateway().record_feed(feed, fed, None).await {
                    Ok(()) => refuse(fault),
                    Err(error) => refuse(Fault::store(&error)),
                }
            }
        }
    }

    /// Maps, validates and sends; what is known for the record is left in `fed`.
    async fn work(
        self: &Arc<Self>,
        sender: &MllpSender,
        header: &Header,
        message: &Bytes,
        (feed, course): (&Feed, &mut Course),
        fed: &mut Fed,
    ) -> Result<(), Fault> {
        header.check(sender, &self.settings)?;
        let within = course.enter(Stage::Map);
        let prepared = self.prepare(message).await;
        course.leave(&within);
        let prepared = prepared?;
        course.kind = Some(header.kind());
        fed.patients = prepared.patients();
        fed.mapped.push(format!("hl7v2: {}", header.kind()));
        if prepared.renamed > 0 {
            fed.mapped.push(format!("identifier systems: {}", prepared.renamed));
        }
        self.validate(&prepared, sender, feed, course).await?;
        let bundle = Bytes::from(prepared.bundle.text().to_owned());
        let answer = self
            .current
            .gateway()
            .transact(feed, course, bundle)
            .await
            .map_err(|error| Fault::upstream(&error))?;
        let Done { patients, written } = outcome::read(&answer, &prepared.sent)?;
        fed.patients = patients;
        fed.written = written;
        Ok(())
    }

    async fn prepare(self: &Arc<Self>, message: &Bytes) -> Result<Prepared, Fault> {
        let (own, message) = (self.clone(), message.clone());
        let small = message.len() <= INLINE;
        let work = move || prepare(&message, &own.settings, &own.converter, &own.current.gateway());
        if small {
            return work();
        }
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Fault::internal()))
    }

    async fn validate(
        &self,
        prepared: &Prepared,
        sender: &MllpSender,
        feed: &Feed,
        course: &mut Course,
    ) -> Result<(), Fault> {
        if self.settings.validation == ValidationMode::Off {
            return Ok(());
        }
        let subject = Subject { source: Source::Document(prepared.bundle.clone()), profiles: Vec::new() };
        let (within, calls) = (course.enter(Stage::Validate), course.calls());
        let reports = self.current.gateway().validation().reports(vec![subject], calls.clone()).await;
        course.made(calls);
        course.leave(&within);
        let report = reports.ok().and_then(|mut reports| reports.pop()).ok_or_else(Fault::internal)?;
        let errors: Vec<_> = report.issues.iter().filter(|issue| issue.severity.is_error()).collect();
        let result = if errors.is_empty() && !report.truncated { "valid" } else { "invalid" };
        counter!("varco_validation_total", "route" => "mllp", "direction" => "requests",
            "mode" => self.settings.validation.name(), "result" => result)
        .increment(1);
        if result == "valid" {
            return Ok(());
        }
        let first = errors.first().map_or_else(String::new, |issue| {
            let place = issue.expression.as_deref().unwrap_or("Bundle");
            format!("rule {} at {place}", issue.rule.unwrap_or("form"))
        });
        if self.settings.validation == ValidationMode::Enforce {
            return Err(Fault::invalid(&first, errors.len()));
        }
        let errors = errors.len();
        tracing::info!(
            request_id = feed.request_id,
            sender = sender.name,
            errors,
            first,
            "what a message becomes in FHIR is not valid"
        );
        Ok(())
    }

    /// The line in the log, and the counts.
    fn tell(&self, sender: &str, header: Option<&Header>, feed: &Feed, ended: &Ended, took: Duration) {
        let (request_id, micros) = (feed.request_id.as_str(), took.as_micros() as u64);
        let control_id = header.map_or("", |header| header.control_id.as_str());
        let kind = header.map(Header::kind).unwrap_or_default();
        let (outcome, cause) = (ended.name(), ended.fault().map_or("", |fault| fault.cause));
        match ended {
            Ended::Refused(fault) => {
                let told = fault.told();
                if fault.outcome() == AuditOutcome::SeriousFailure {
                    tracing::error!(
                        request_id,
                        sender,
                        kind,
                        control_id,
                        cause,
                        told,
                        micros,
                        "a message failed"
                    );
                } else {
                    tracing::info!(
                        request_id,
                        sender,
                        kind,
                        control_id,
                        cause,
                        told,
                        micros,
                        "a message was refused"
                    );
                }
            }
            _ => tracing::info!(
                request_id,
                sender,
                kind,
                control_id,
                outcome,
                micros,
                "a message was answered"
            ),
        }
        counter!("varco_mllp_messages_total", "sender" => sender.to_owned(), "outcome" => outcome, "cause" => cause)
            .increment(1);
        histogram!("varco_mllp_message_seconds", "outcome" => outcome).record(took.as_secs_f64());
    }
}
