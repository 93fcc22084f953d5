//! Which stage answers which interaction.

use std::future::ready;
use std::pin::Pin;

use bytes::Bytes;
use varco_core::interaction::{HistoryOf, Interaction};

use super::answer::Answer;
use super::exchange::Exchange;
use super::{
    Refusal, doc_ref, everything, history, last_n, own, patient_match, read, search, summary, timeline,
    trail, transform, translate, validate, write,
};

impl Exchange<'_> {
    /// Answers an interaction that the scopes cover; `offset` says how much stood on the pages before. Boxed: a request's task
    /// is as large as its largest step, is copied when it begins and waits for its audit record when this is done.
    pub(super) fn serve<'e>(
        &'e mut self,
        interaction: Interaction,
        body: Bytes,
        offset: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send + 'e>> {
        if let Err(refusal) = self.admit_by_policy(&interaction) {
            return Box::pin(ready(Err(refusal)));
        }
        let kind = interaction.resource_type().cloned();
        match (kind.as_ref().map(|name| name.as_str()), interaction) {
            (_, Interaction::Validate(asked)) => Box::pin(validate::validate(self, asked, body)),
            (_, Interaction::Transform(_, asked)) => Box::pin(transform::transform(self, asked, body)),
            (_, Interaction::Translate(_, asked)) => Box::pin(translate::translate(self, asked, body)),
            (_, Interaction::Match(on, asked)) => {
                Box::pin(patient_match::patient_match(self, asked, on, body))
            }
            (Some("Consent"), interaction) => Box::pin(own::consent(self, interaction, body)),
            (Some("AuditEvent"), interaction) => Box::pin(trail::audit(self, interaction, offset)),
            (_, Interaction::Read(instance)) => Box::pin(read::read(self, instance)),
            (_, Interaction::Vread(instance, version)) => Box::pin(history::vread(self, instance, version)),
            (_, Interaction::History(asked)) => match asked.of.clone() {
                HistoryOf::Instance(instance) => Box::pin(history::history(self, asked, instance, offset)),
                _ => Box::pin(timeline::timeline(self, asked, offset)),
            },
            (_, Interaction::SearchType(search)) => Box::pin(search::search(self, search, offset)),
            (
                _,
                interaction @ (Interaction::Create(_)
                | Interaction::Update(_)
                | Interaction::Patch(_)
                | Interaction::Delete(_)
                | Interaction::ConditionalCreate(_)
                | Interaction::ConditionalUpdate(_)
                | Interaction::ConditionalPatch(_)
                | Interaction::ConditionalDelete(_)),
            ) => Box::pin(write::write(self, interaction, body)),
            // Taken apart before: no entry is a batch.
            (_, Interaction::Batch | Interaction::Transaction) => Box::pin(ready(Err(Refusal::Internal))),
            (_, Interaction::Everything(asked)) => Box::pin(everything::everything(self, asked, offset)),
            (_, Interaction::PatientSummary(patient)) => Box::pin(summary::summary(self, patient)),
            (_, Interaction::LastN(asked)) => Box::pin(last_n::last_n(self, asked, offset)),
            (_, Interaction::DocRef(asked)) => Box::pin(doc_ref::doc_ref(self, asked, offset)),
            (_, Interaction::Capabilities) => Box::pin(ready(Ok(own::capabilities(self.gateway)))),
        }
    }
}
