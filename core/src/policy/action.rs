//! What is done to a resource, in the words of policies.

/// An action of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyAction {
    /// One resource is read.
    Read,
    /// One version of a resource is read.
    Vread,
    /// Versions of a resource are read.
    History,
    /// A resource is found by a search, or included by one; also by `$everything`, `$summary`, `$lastn` and
    /// `$docref`.
    Search,
    /// A Patient is found by `$match`.
    Match,
    /// A resource is made.
    Create,
    /// A resource is replaced.
    Update,
    /// A resource is changed in parts.
    Patch,
    /// A resource is deleted.
    Delete,
    /// `$validate`
    Validate,
    /// `$transform`
    Transform,
    /// `$translate`
    Translate,
}

impl PolicyAction {
    /// All actions.
    pub const ALL: [PolicyAction; 12] = [
        PolicyAction::Read,
        PolicyAction::Vread,
        PolicyAction::History,
        PolicyAction::Search,
        PolicyAction::Match,
        PolicyAction::Create,
        PolicyAction::Update,
        PolicyAction::Patch,
        PolicyAction::Delete,
        PolicyAction::Validate,
        PolicyAction::Transform,
        PolicyAction::Translate,
    ];

    /// The id in `Action::"…"`.
    pub fn name(self) -> &'static str {
        match self {
            PolicyAction::Read => "read",
            PolicyAction::Vread => "vread",
            PolicyAction::History => "history",
            PolicyAction::Search => "search",
            PolicyAction::Match => "match",
            PolicyAction::Create => "create",
            PolicyAction::Update => "update",
            PolicyAction::Patch => "patch",
            PolicyAction::Delete => "delete",
            PolicyAction::Validate => "validate",
            PolicyAction::Transform => "transform",
            PolicyAction::Translate => "translate",
        }
    }

    /// The group that it belongs to.
    pub fn group(self) -> &'static str {
        match self {
            PolicyAction::Read
            | PolicyAction::Vread
            | PolicyAction::History
            | PolicyAction::Search
            | PolicyAction::Match => "access",
            PolicyAction::Create | PolicyAction::Update | PolicyAction::Patch | PolicyAction::Delete => {
                "write"
            }
            PolicyAction::Validate | PolicyAction::Transform | PolicyAction::Translate => "operate",
        }
    }

    /// The action with this id.
    pub fn of_name(name: &str) -> Option<PolicyAction> {
        PolicyAction::ALL.into_iter().find(|action| action.name() == name)
    }
}
