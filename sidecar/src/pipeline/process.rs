//! A request's way on the FHIR plane, from its head to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Either;
use varco_core::access::{ScopeDecision, Scopes};
use varco_core::interaction::headers::{RequestHeaders, check_form, handling};
use varco_core::interaction::{Interaction, InteractionError};

use super::account::Account;
use super::answer::Answer;
use super::exchange::{self, Exchange};
use super::{Gateway, Refusal, Reply, batch, inspect, own, page, receive};
use crate::identify::TokenError;
use crate::limit::{self, Shape};
use crate::listen::hurry::Hurry;
use crate::listen::workers::{self, Side};
use crate::listen::{Alarm, Coming, Peer};
use crate::telemetry::stage::Stage;

impl Gateway {
    /// Not an `async fn`: that would keep room for the request and for its parts.
    pub(super) fn process(
        self: Arc<Self>,
        request: Request<Coming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Reply>> + Send {
        let (head, body) = request.into_parts();
        async move { self.process_parts(&head, body, peer).await }
    }

    async fn process_parts(self: Arc<Self>, head: &Parts, body: Coming, peer: Peer) -> Response<Reply> {
        let started = Instant::now();
        let mut account = Account::open(head, peer, &self.reporting);
        let answered = self.answer(head, body, peer, &mut account).await;
        let audit = account.enter(Stage::Audit);
        let outcome = match answered {
            Ok(answer) => self.record(&account, answer.status, None).await.map(|()| answer),
            Err(refusal) => {
                // What was judged fit to be released did not leave.
                account.released.clear();
                let status = refusal.row().status;
                let recorded = match account.owed {
                    _ if matches!(refusal, Refusal::Shed(_)) => {
                        self.count_shed(&account, &refusal);
                        Ok(())
                    }
                    true => self.record(&account, status, Some(&refusal)).await,
                    false => self.count_refused(&account, &refusal).await,
                };
                recorded.and(Err(refusal))
            }
        };
        account.leave(&audit);
        self.remember(&mut account, outcome.is_ok());
        let close = outcome.as_ref().is_err_and(|refusal| refusal.ends_connection());
        let took = started.elapsed();
        self.tell(&account, &outcome, took);
        account.tell_policies(&self.tally);
        let cause = outcome.as_ref().err().map(Refusal::word);
        let within_limits = !matches!(outcome, Err(Refusal::Rate(_) | Refusal::Unauthorized(_)));
        let alarm = account.owed && account.is_urgent() && within_limits;
        let mut answer = outcome.unwrap_or_else(|refusal| Answer::refused(&refusal));
        inspect::tell(&account.warnings, &mut answer);
        // A refusal for a limit tells of that one.
        if answer.status != StatusCode::TOO_MANY_REQUESTS {
            answer.headers.extend(limit::headers(&account.standings));
        }
        if account.spans.is_some() || self.reporting.access_log.is_some() {
            self.observe_end(head, &mut account, &answer, cause, took);
        }
        let mut response = answer.into_response(&account.request_id, close);
        if alarm {
            response.extensions_mut().insert(Alarm);
        }
        response.map(Either::Left)
    }

    async fn answer(
        &self,
        head: &Parts,
        body: Coming,
        peer: Peer,
        account: &mut Account,
    ) -> Result<Answer, Refusal> {
        receive::check_framing(head)?;
        let path = self.below_base(head.uri.path())?;
        let method = head.method.as_str();
        if path == "/metadata" && method == "GET" {
            let parsed = Interaction::parse(method, path, head.uri.query(), None, &self.schema);
            account.understood(parsed.map_err(Refusal::Interaction)?);
            return Ok(own::capabilities(self));
        }
        let shape = Shape::of(method, path);
        let authorization = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let requester = self.admit_caller(head, peer, &shape, authorization, account).await?;
        let _hurry = account.is_urgent().then(Hurry::begin);
        let now = u64::try_from(account.received.as_second()).unwrap_or_default();
        self.admit(account, &requester, now);
        account.policy = self.as_policies_see(&requester, account);

        let raw_headers = || head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let within = Duration::from_secs(self.config.listen.body_seconds);
        let receiving = account.enter(Stage::Body);
        let body = receive::body(body, self.config.limits.body_bytes, within).await?;
        account.leave(&receiving);
        // The next steps wait for disk and server, each for its turn among all that is ready on its thread.
        workers::cross(if account.is_urgent() { Side::Alarms } else { Side::Ordinary }).await;
        let form = Interaction::expects_form(method, path).then_some(&*body);
        if form.is_some() {
            check_form(raw_headers()).map_err(Refusal::Interaction)?;
        }
        let page = match page::token_of(head.uri.query()) {
            Some(token) if method == "GET" => Some(self.seal.open(token, path, &requester, now)?),
            _ => None,
        };
        let query = page.as_ref().map_or(head.uri.query(), |page| Some(page.query.as_str()));
        let preferred = handling(raw_headers());
        let mut interaction = Interaction::parse_with(method, path, query, form, &self.schema, preferred)
            .map_err(Refusal::Interaction)?;
        account.understood(interaction.clone());
        let format_given = Interaction::asks_format(query, form);
        let mut headers =
            RequestHeaders::parse(raw_headers(), &interaction, format_given).map_err(Refusal::Interaction)?;
        if let Some(criteria) = headers.if_none_exist.take() {
            interaction = interaction.unless_exists(&criteria, &self.schema).map_err(Refusal::Interaction)?;
            account.understood(interaction.clone());
        }
        if let Some(signed) = &requester.fse {
            signed
                .check(&interaction, &body)
                .map_err(|differs| Refusal::Unauthorized(TokenError::Signed(differs)))?;
        }
        self.admit_subjects(&requester, &interaction, &body, account)?;
        let scopes = Scopes::of(requester.scopes.iter().map(String::as_str));
        let confined_to = match scopes.allows(&interaction, requester.patient.as_ref()) {
            ScopeDecision::Allowed => None,
            ScopeDecision::AllowedForPatient(patient) if exchange::can_be_confined(&interaction) => {
                Some(patient)
            }
            ScopeDecision::AllowedForPatient(_) | ScopeDecision::Denied => return Err(Refusal::Scope),
        };
        let mut exchange = Exchange { gateway: self, requester, headers, account, confined_to };
        let offset = page.map_or(0, |page| page.offset);
        if interaction == Interaction::Batch {
            return Box::pin(batch::batch(&mut exchange, body, preferred)).await;
        }
        exchange.serve(interaction, body, offset).await
    }

    /// The path below the FHIR base, compared by segment: `/fhir-admin` is not below `/fhir`.
    fn below_base<'p>(&self, path: &'p str) -> Result<&'p str, Refusal> {
        path.strip_prefix(self.config.site.base_path())
            .filter(|rest| rest.starts_with('/') || rest.is_empty())
            .ok_or(Refusal::Interaction(InteractionError::UnknownInteraction))
    }
}
