//! One entry of a transaction on its way.

use bytes::Bytes;
use uuid::Uuid;
use varco_core::interaction::batch::{Asked, BatchEntry};
use varco_core::interaction::headers::RequestHeaders;
use varco_core::interaction::transaction::turn;
use varco_core::interaction::{Instance, Interaction, ResourceType, Search};

use super::super::account::Account;
use super::super::answer::Answer;
use super::super::batch::body_of;
use super::super::exchange::Exchange;
use super::super::write::Ready;
use super::Refusal;

/// Where the resource of an entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At the hospital's server.
    Known(Instance),
    /// Nowhere yet: it is known by a UUID until the server has chosen an id.
    New { resource_type: ResourceType, uuid: String },
}

impl Place {
    fn new(resource_type: ResourceType) -> Place {
        Place::New { resource_type, uuid: Uuid::new_v4().to_string() }
    }

    pub fn id(&self) -> &str {
        match self {
            Place::Known(instance) => instance.id.as_str(),
            Place::New { uuid, .. } => uuid,
        }
    }

    /// `[type]/[id]`
    pub fn reference(&self) -> String {
        match self {
            Place::Known(instance) => format!("{}/{}", instance.resource_type, instance.id.as_str()),
            Place::New { resource_type, uuid } => format!("{resource_type}/{uuid}"),
        }
    }

    pub fn is_new(&self) -> bool {
        matches!(self, Place::New { .. })
    }
}

/// An entry.
pub(super) struct Entry {
    /// Its place in the caller's Bundle, from 0.
    pub at: usize,
    pub full_url: Option<String>,
    interaction: Result<Interaction, Option<Refusal>>,
    pub headers: RequestHeaders,
    /// The resource or patch that it carries.
    pub body: Bytes,
    pub account: Account,
    pub place: Option<Place>,
    /// The write, once it was judged fit.
    pub ready: Option<Box<Ready>>,
    /// What came of it.
    pub outcome: Option<Result<Answer, Refusal>>,
}

impl Entry {
    pub fn new(exchange: &Exchange<'_>, at: usize, entry: BatchEntry<'_>) -> Entry {
        let mut account = exchange.account.of_entry();
        let BatchEntry { full_url, asked, resource } = entry;
        let read = asked.map_err(Refusal::Interaction).and_then(|asked| {
            let body = resource.map_or(Ok(Bytes::new()), |resource| body_of(&asked, resource))?;
            Ok((asked, body))
        });
        let (interaction, mut headers, body) = match read {
            Ok((Asked { interaction, headers }, body)) => (Ok(interaction), headers, body),
            Err(refusal) => (Err(Some(refusal)), RequestHeaders::default(), Bytes::new()),
        };
        headers.prefer = exchange.headers.prefer;
        account.interaction = interaction.as_ref().ok().cloned();
        Entry { at, full_url, interaction, headers, body, account, place: None, ready: None, outcome: None }
    }

    /// What it asks, or why that is refused.
    pub fn asked(&mut self) -> Result<&Interaction, Refusal> {
        match &mut self.interaction {
            Ok(interaction) => Ok(interaction),
            Err(refusal) => Err(refusal.take().unwrap_or(Refusal::Internal)),
        }
    }

    /// The criteria that it stands under.
    pub fn condition(&self) -> Option<&Search> {
        self.interaction.as_ref().ok().and_then(Interaction::condition)
    }

    /// When it is processed. What becomes a create is one; people come before what is about them.
    pub fn turn(&self) -> (u8, bool, usize) {
        let turn = match (&self.interaction, &self.place) {
            (Err(_), _) => 0,
            (Ok(_), Some(Place::New { .. })) => 1,
            (Ok(interaction), _) => turn(interaction),
        };
        (turn, !self.is_of("Patient"), self.at)
    }

    pub fn is_of(&self, resource_type: &str) -> bool {
        let own = self.interaction.as_ref().ok().and_then(Interaction::resource_type);
        own.is_some_and(|own| own.as_str() == resource_type)
    }

    /// Notes what its condition found, and so where it stands.
    pub fn find_place(&mut self, met: Option<Instance>) {
        let Ok(interaction) = &self.interaction else { return };
        self.place = match (interaction, met) {
            (_, Some(instance)) => Some(Place::Known(instance)),
            (Interaction::Create(resource_type), None) => Some(Place::new(resource_type.clone())),
            (Interaction::ConditionalCreate(search) | Interaction::ConditionalUpdate(search), None) => {
                Some(Place::new(search.resource_type.clone()))
            }
            (interaction, None) if interaction.is_write() => {
                interaction.instance().cloned().map(Place::Known)
            }
            _ => None,
        };
    }

    /// The resource that its condition found.
    pub fn met(&self) -> Option<Instance> {
        match &self.place {
            Some(Place::Known(instance)) if self.condition().is_some() => Some(instance.clone()),
            _ => None,
        }
    }

    /// True where it changes something: a create of what exists does not.
    pub fn writes(&self) -> bool {
        match (&self.interaction, &self.place) {
            (Ok(Interaction::ConditionalCreate(_)), Some(Place::Known(_))) => false,
            (Ok(interaction), _) => interaction.is_write(),
            (Err(_), _) => false,
        }
    }

    pub fn deletes(&self) -> bool {
        matches!(self.interaction, Ok(Interaction::Delete(_) | Interaction::ConditionalDelete(_)))
    }

    /// It as a request of its own.
    pub fn alone<'e>(&'e mut self, whole: &Exchange<'e>) -> Exchange<'e> {
        Exchange {
            gateway: whole.gateway,
            requester: whole.requester.clone(),
            headers: self.headers.clone(),
            account: &mut self.account,
            confined_to: None,
        }
    }

    /// Its answer; `room` is how many bytes all answers may still have together.
    pub fn answer(self, room: &mut usize) -> Answer {
        let writes = self.writes();
        let mut answer = match self.outcome {
            Some(Ok(answer)) => answer,
            Some(Err(refusal)) => Answer::refused(&refusal),
            None => Answer::refused(&Refusal::Internal),
        };
        match room.checked_sub(answer.body.len()) {
            Some(left) => *room = left,
            // What was written was written; what was read can be asked for again.
            None if writes => answer.body = Bytes::new(),
            None => answer = Answer::refused(&Refusal::TooMuchAnswer),
        }
        answer
    }
}
