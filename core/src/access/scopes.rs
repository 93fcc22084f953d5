//! SMART App Launch scopes: what a token lets an application do at all.
//!
//! Versions 1 (`patient/Observation.read`) and 2 (`patient/Observation.rs`) are read, each by its exact grammar
//! (SMART App Launch 1.0.0 "Scopes for requesting clinical data" and 2.0.0 §3.0.1). Invariant: a scope that
//! can't be read to the letter, or that restricts by search parameters (`?category=…`), grants nothing.

use crate::interaction::{HistoryOf, Id, Interaction, ResourceType, Search};

/// In whose name access is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScopeContext {
    /// `patient/`: data of the one patient in context.
    Patient,
    /// `user/`: what the user behind the call may see.
    User,
    /// `system/`: what the calling system may see.
    System,
}

/// A scope that grants access to resources.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// In whose name.
    pub context: ScopeContext,
    /// The resource type; `None` for `*`.
    pub resource_type: Option<Box<str>>,
    permissions: u8,
}

const CREATE: u8 = 1;
const READ: u8 = 2;
const UPDATE: u8 = 4;
const DELETE: u8 = 8;
const SEARCH: u8 = 16;
const LETTERS: [(char, u8); 5] = [('c', CREATE), ('r', READ), ('u', UPDATE), ('d', DELETE), ('s', SEARCH)];

impl Scope {
    /// Reads a scope of version 1 or 2; `None` for anything else, scopes with search parameters included.
    pub fn parse(text: &str) -> Option<Scope> {
        let (context, rest) = text.split_once('/')?;
        let context = match context {
            "patient" => ScopeContext::Patient,
            "user" => ScopeContext::User,
            "system" => ScopeContext::System,
            _ => return None,
        };
        let (resource_type, permissions) = rest.split_once('.')?;
        let named = resource_type.starts_with(|first: char| first.is_ascii_uppercase())
            && resource_type.bytes().all(|byte| byte.is_ascii_alphabetic());
        let resource_type = match resource_type {
            "*" => None,
            name if named => Some(name.into()),
            _ => return None,
        };
        let permissions = match permissions {
            "read" => READ | SEARCH,
            "write" => CREATE | UPDATE | DELETE,
            "*" => CREATE | READ | UPDATE | DELETE | SEARCH,
            letters => letters_of(letters)?,
        };
        Some(Scope { context, resource_type, permissions })
    }

    /// The permissions that it grants on a type; on the whole server where none is named.
    fn on(&self, resource_type: Option<&str>) -> u8 {
        match (&self.resource_type, resource_type) {
            (None, _) => self.permissions,
            (Some(own), Some(asked)) if **own == *asked => self.permissions,
            _ => 0,
        }
    }
}

/// The permissions that a request needs, all of them; `None` where any will do.
fn needed(interaction: &Interaction) -> Option<u8> {
    Some(match interaction {
        Interaction::Read(_) | Interaction::Vread(..) => READ,
        // The history of many finds resources, as a search does (SMART App Launch 2.0.0 §3.0.1).
        Interaction::History(history) => match history.of {
            HistoryOf::Instance(_) => READ,
            HistoryOf::Type(_) | HistoryOf::System => SEARCH,
        },
        // A match finds patients, as a search does.
        Interaction::SearchType(_)
        | Interaction::Match(..)
        | Interaction::LastN(_)
        | Interaction::DocRef(_) => SEARCH,
        Interaction::Create(_) => CREATE,
        Interaction::Update(_) => UPDATE,
        // The answer holds what stands there.
        Interaction::Patch(_) => READ | UPDATE,
        Interaction::Delete(_) => DELETE,
        Interaction::ConditionalCreate(_) => SEARCH | CREATE,
        Interaction::ConditionalUpdate(_) => SEARCH | CREATE | UPDATE,
        Interaction::ConditionalPatch(_) => SEARCH | READ | UPDATE,
        Interaction::ConditionalDelete(_) => SEARCH | DELETE,
        Interaction::Everything(_) | Interaction::PatientSummary(_) => READ | SEARCH,
        // These tell nothing but what definitions and maps say: any access to the type is enough. Each entry of a
        // batch is a request of its own.
        Interaction::Validate(_)
        | Interaction::Transform(..)
        | Interaction::Translate(..)
        | Interaction::Batch
        | Interaction::Transaction
        | Interaction::Capabilities => return None,
    })
}

/// Letters of `cruds`, each at most once and in that order.
fn letters_of(text: &str) -> Option<u8> {
    let mut rest = text;
    let mut permissions = 0;
    for (letter, permission) in LETTERS {
        if let Some(after) = rest.strip_prefix(letter) {
            permissions |= permission;
            rest = after;
        }
    }
    (rest.is_empty() && permissions != 0).then_some(permissions)
}

/// What the scopes of a token say about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeDecision {
    /// No scope covers the request.
    Denied,
    /// A scope covers the request only for data in this patient's compartment.
    AllowedForPatient(Id),
    /// A scope covers the request.
    Allowed,
}

/// All scopes of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    granted: Vec<Scope>,
    unread: usize,
}

impl Scopes {
    /// Reads the scopes of a token, one each.
    ///
    /// ```
    /// use varco_core::access::{ScopeDecision, Scopes};
    /// use varco_core::interaction::{Id, Interaction, SearchSchema};
    ///
    /// let schema = SearchSchema::new(["Observation"], |_| Vec::new());
    /// let search = Interaction::parse("GET", "/Observation", None, None, &schema)?;
    /// let read = Interaction::parse("GET", "/Observation/1", None, None, &schema)?;
    /// let scopes = Scopes::of(["openid", "user/Observation.r"]);
    /// assert_eq!(scopes.allows(&read, None), ScopeDecision::Allowed);
    /// assert_eq!(scopes.allows(&search, None), ScopeDecision::Denied);
    /// # Ok::<(), varco_core::interaction::InteractionError>(())
    /// ```
    pub fn of<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Scopes {
        let mut own = Scopes::default();
        for text in scopes {
            match Scope::parse(text) {
                Some(scope) => own.granted.push(scope),
                None if text.contains('/') => own.unread += 1,
                None => {}
            }
        }
        own
    }

    /// How many scopes look like access to resources but grant nothing, because they can't be read or
    /// restrict by search parameters: worth a line in the log.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// Whether the scopes cover a request. `patient` is the patient in context, from a claim of the token;
    /// without one, `patient/` scopes grant nothing. The capability statement is open to everybody.
    pub fn allows(&self, interaction: &Interaction, patient: Option<&Id>) -> ScopeDecision {
        if *interaction == Interaction::Capabilities {
            return ScopeDecision::Allowed;
        }
        let resource_type = interaction.resource_type().map(ResourceType::as_str);
        let granted = |fit: fn(&Scope) -> bool| {
            let scopes = self.granted.iter().filter(|scope| fit(scope));
            match interaction {
                // Its entries are of any type.
                Interaction::Batch | Interaction::Transaction => {
                    scopes.fold(0, |all, scope| all | scope.permissions)
                }
                _ => scopes.fold(0, |all, scope| all | scope.on(resource_type)),
            }
        };
        let enough = |granted: u8| match needed(interaction) {
            Some(needed) => granted & needed == needed,
            None => granted != 0,
        };
        if enough(granted(|scope| scope.context != ScopeContext::Patient)) {
            return ScopeDecision::Allowed;
        }
        match patient {
            Some(patient) if enough(granted(|_| true)) => ScopeDecision::AllowedForPatient(patient.clone()),
            _ => ScopeDecision::Denied,
        }
    }

    /// Whether the scopes cover a search of a type, as a request joins it to its own.
    pub fn allows_search_of(&self, resource_type: &ResourceType, patient: Option<&Id>) -> ScopeDecision {
        self.allows(&Interaction::SearchType(Search::all(resource_type.clone())), patient)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::interaction::SearchSchema;

    fn interaction(method: &str, path: &str) -> Interaction {
        let schema = SearchSchema::new(["Observation", "Patient"], |_| Vec::new());
        Interaction::parse(method, path, None, None, &schema).unwrap()
    }

    /// Which of create, read, update, delete and search a scope grants on observations.
    fn granted(scope: &str) -> String {
        let scopes = Scopes::of([scope]);
        let requests = [
            ("c", "POST", "/Observation"),
            ("r", "GET", "/Observation/1"),
            ("u", "PUT", "/Observation/1"),
            ("d", "DELETE", "/Observation/1"),
            ("s", "GET", "/Observation"),
        ];
        let allowed = |&&(_, method, path): &&(&str, &str, &str)| {
            scopes.allows(&interaction(method, path), None) == ScopeDecision::Allowed
        };
        requests.iter().filter(allowed).map(|(letter, _, _)| *letter).collect()
    }

    #[test]
    fn both_versions_grant_what_they_say() {
        for (scope, expected) in [
            ("system/*.read", "rs"),
            ("user/Observation.write", "cud"),
            ("user/Observation.*", "cruds"),
            ("system/*.cruds", "cruds"),
            ("user/Observation.rs", "rs"),
            ("user/Observation.r", "r"),
            ("user/Patient.rs", ""),
        ] {
            assert_eq!(granted(scope), expected, "{scope}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_scope_grants_nothing() {
        for scope in [
            "user/Observation.sr",
            "user/Observation.rr",
            "user/Observation.",
            "user/Observation",
            "user/Observation.rs?category=laboratory",
            "user/observation.rs",
            "user/Obs.rs",
            "user/Observation.Read",
            "User/Observation.rs",
            "user/Observation.rs ",
            "user/*.rs/x",
            "users/*.rs",
            "user/.rs",
            "fhirUser",
            "",
        ] {
            assert_eq!(granted(scope), "", "{scope}");
        }
        assert_eq!(Scopes::of(["openid", "user/Observation.rs?category=x", "user/x"]).unread(), 2);
    }

    #[test]
    fn versions_and_history_need_the_right_to_read() {
        let scopes = Scopes::of(["user/Observation.s"]);
        for path in ["/Observation/1/_history/1", "/Observation/1/_history"] {
            assert_eq!(scopes.allows(&interaction("GET", path), None), ScopeDecision::Denied);
        }
    }

    #[test]
    fn a_patient_scope_needs_a_patient_in_context() {
        let scopes = Scopes::of(["patient/Observation.rs"]);
        let read = interaction("GET", "/Observation/1");
        let patient = Id::parse("p1").unwrap();
        assert_eq!(scopes.allows(&read, None), ScopeDecision::Denied);
        assert_eq!(scopes.allows(&read, Some(&patient)), ScopeDecision::AllowedForPatient(patient.clone()));
        let wider = Scopes::of(["patient/Observation.rs", "user/*.r"]);
        assert_eq!(wider.allows(&read, Some(&patient)), ScopeDecision::Allowed);
        let other = interaction("GET", "/Patient/p1");
        assert_eq!(scopes.allows(&other, Some(&patient)), ScopeDecision::Denied);
    }

    #[test]
    fn the_history_of_many_is_a_search() {
        let allows = |scope: &str, path: &str| {
            Scopes::of([scope]).allows(&interaction("GET", path), None) == ScopeDecision::Allowed
        };
        assert!(allows("system/Patient.r", "/Patient/1/_history"));
        assert!(!allows("system/Patient.r", "/Patient/_history"));
        assert!(allows("system/Patient.s", "/Patient/_history"));
        assert!(!allows("system/Patient.s", "/_history"));
        assert!(allows("system/*.s", "/_history"));
    }

    #[test]
    fn the_capability_statement_is_open() {
        let metadata = interaction("GET", "/metadata");
        assert_eq!(Scopes::default().allows(&metadata, None), ScopeDecision::Allowed);
    }
}
