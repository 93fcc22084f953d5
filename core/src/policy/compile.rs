//! From the texts of policies to a set that decides: read, checked against the schema, named.
//!
//! Whatever is not understood is refused: a warning of the policy language (a condition that can never hold, letters that
//! look like others), a template, an annotation that nobody acts on. Bounds: [`MOST_POLICIES`], [`MOST_BYTES`].

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Authorizer, Effect, Entities, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning, Validator,
};

use super::fault::Faults;
use super::mention::Mentions;
use super::{PolicyAction, PolicyErrors, SCHEMA};

/// Most policies of a site.
pub const MOST_POLICIES: usize = 1_000;
/// Most bytes of all policies together.
pub const MOST_BYTES: usize = 4 << 20;

const SYNTAX: &str = "Correct the policy at this place.";
const SPEECH: &str = "Speak of what the schema has: `varco check --policy-schema` prints it.";

/// A text that holds policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    /// What it is called, such as its path.
    pub name: String,
    /// Policies in Cedar.
    pub text: String,
}

/// What is decided where no policy speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WithoutPolicy {
    /// Nothing is permitted that no policy permits.
    #[default]
    Deny,
    /// What no policy forbids is permitted: policies only restrict.
    Permit,
}

/// What a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyEffect {
    /// `permit`
    Permit,
    /// `forbid`
    Forbid,
}

impl PolicyEffect {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            PolicyEffect::Permit => "permit",
            PolicyEffect::Forbid => "forbid",
        }
    }
}

/// One policy, for those who run the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePolicy {
    /// Its `@id`, or its file and number: `hospital.cedar#3`.
    pub name: String,
    /// What it does.
    pub effect: PolicyEffect,
    /// Its `@reason`.
    pub reason: Option<String>,
    /// The policy as text, without comments.
    pub(super) text: String,
}

/// The policies of a site, ready to decide. Immutable: a change makes another set.
pub struct SitePolicies {
    pub(super) without: WithoutPolicy,
    pub(super) authorizer: Authorizer,
    pub(super) set: PolicySet,
    pub(super) known: BTreeMap<PolicyId, Arc<SitePolicy>>,
    pub(super) mentioned: Mentions,
    /// The policies that ask of a resource nothing but its type.
    pub(super) early: PolicySet,
    /// The actions that a permit which asks for more may permit.
    pub(super) open: Vec<PolicyAction>,
    pub(super) words: Words,
}

impl std::fmt::Debug for SitePolicies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SitePolicies").field("policies", &self.known.keys()).finish_non_exhaustive()
    }
}

/// Names of the schema.
pub(super) struct Words {
    pub caller: EntityTypeName,
    pub resource: EntityTypeName,
    pub role: EntityTypeName,
    pub organization: EntityTypeName,
    pub action: EntityTypeName,
    pub actions: Entities,
}

struct Language {
    validator: Validator,
    actions: Entities,
}

static LANGUAGE: LazyLock<Option<Language>> = LazyLock::new(|| {
    let (schema, mut warnings) = Schema::from_cedarschema_str(SCHEMA).ok()?;
    let actions = schema.action_entities().ok()?;
    warnings.next().is_none().then(|| Language { validator: Validator::new(schema), actions })
});

impl Words {
    fn new(actions: Entities) -> Option<Words> {
        let name = |name: &str| EntityTypeName::from_str(name).ok();
        Some(Words {
            caller: name("Caller")?,
            resource: name("Resource")?,
            role: name("Role")?,
            organization: name("Organization")?,
            action: name("Action")?,
            actions,
        })
    }

    pub fn action(&self, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.action.clone(), EntityId::new(name))
    }
}

impl SitePolicies {
    /// Reads, checks and names policies.
    ///
    /// # Errors
    /// Everything that is wrong, with its place.
    pub fn compile(sources: &[PolicySource], without: WithoutPolicy) -> Result<SitePolicies, PolicyErrors> {
        let mut faults = Vec::new();
        let mut known: BTreeMap<PolicyId, Arc<SitePolicy>> = BTreeMap::new();
        let (mut set, mut early) = (PolicySet::new(), PolicySet::new());
        let (mut mentioned, mut open) = (Mentions::default(), Vec::new());
        let nothing = PolicySource { name: String::new(), text: String::new() };
        let mut whole = Faults { number: 0, source: sources.first().unwrap_or(&nothing), found: Vec::new() };
        let language = LANGUAGE.as_ref();
        let words = language.and_then(|language| Words::new(language.actions.clone()));
        let (Some(language), Some(words)) = (language, words) else {
            whole.add(0..0, "The built-in schema can't be read.", "Report this: the program is broken.");
            return Err(PolicyErrors { faults: whole.found });
        };
        if sources.iter().map(|source| source.text.len()).sum::<usize>() > MOST_BYTES {
            whole.add(0..0, format!("The policies have more than {MOST_BYTES} bytes."), "Write fewer.");
            return Err(PolicyErrors { faults: whole.found });
        }
        for (number, source) in sources.iter().enumerate() {
            let mut own = Faults { number, source, found: Vec::new() };
            for (id, policy) in read(language, &mut own) {
                let Some((about, policy_mentions)) = examine(&id, &policy, &mut own) else { continue };
                if known.insert(id.clone(), Arc::new(about)).is_some() {
                    let span = place_of(&source.text, id.as_ref());
                    let cause = format!("There is another policy with the id `{id}`.");
                    own.add(span, cause, "Give each policy an `@id` of its own.");
                    continue;
                }
                mentioned = mentioned.and(policy_mentions);
                if policy_mentions.is_type_at_most() {
                    early.add(policy.clone()).ok();
                } else if policy.effect() == Effect::Permit {
                    open.extend(admitted(&policy, &words));
                }
                if set.add(policy).is_err() {
                    own.add(0..0, format!("The policy `{id}` can't be added."), SYNTAX);
                }
            }
            faults.extend(own.found);
        }
        if known.len() > MOST_POLICIES {
            whole.add(0..0, format!("There are more than {MOST_POLICIES} policies."), "Write fewer.");
        }
        let permits = known.values().any(|policy| policy.effect == PolicyEffect::Permit);
        if faults.is_empty() && without == WithoutPolicy::Deny && !permits {
            let cause = "No policy permits anything, and what no policy permits is denied.";
            let cure =
                "Add a policy with `permit`, or let the default be \"permit\" where policies only restrict.";
            whole.add(0..0, cause, cure);
        }
        faults.extend(whole.found);
        if !faults.is_empty() {
            return Err(PolicyErrors { faults });
        }
        let authorizer = Authorizer::new();
        Ok(SitePolicies { without, authorizer, set, known, mentioned, early, open, words })
    }

    /// Each policy, by name.
    pub fn policies(&self) -> impl Iterator<Item = &SitePolicy> {
        self.known.values().map(AsRef::as_ref)
    }

    /// What is decided where no policy speaks.
    pub fn without_policy(&self) -> WithoutPolicy {
        self.without
    }
}

/// The policies of a source under their names, in the order of the text; none where one of them has a fault.
fn read(language: &Language, faults: &mut Faults<'_>) -> Vec<(PolicyId, Policy)> {
    let source = faults.source;
    let parsed = match PolicySet::from_str(&source.text) {
        Ok(parsed) => parsed,
        Err(errors) => {
            errors.iter().for_each(|error| faults.add_found(&DetailedError::from(error), SYNTAX));
            return Vec::new();
        }
    };
    if parsed.num_of_templates() > 0 {
        let span = ["?principal", "?resource"]
            .into_iter()
            .find_map(|slot| source.text.find(slot).map(|at| at..at + slot.len()));
        faults.add(
            span.unwrap_or(0..0),
            "A template is no policy: it has a slot that nobody fills.",
            "Name the principal and the resource in the policy.",
        );
        return Vec::new();
    }
    let checked = language.validator.validate(&parsed, ValidationMode::Strict);
    let mut told: Vec<&PolicyId> = Vec::new();
    for error in checked.validation_errors() {
        if !matches!(error, ValidationError::InvalidActionApplication(_)) {
            told.push(error.policy_id());
            faults.add_found(&DetailedError::from(error), SPEECH);
        }
    }
    // What follows from another fault of the same policy is not told beside it.
    for error in checked.validation_errors() {
        if matches!(error, ValidationError::InvalidActionApplication(_)) && !told.contains(&error.policy_id())
        {
            told.push(error.policy_id());
            faults.add_found(&DetailedError::from(error), SPEECH);
        }
    }
    for warning in checked.validation_warnings() {
        let follows = matches!(
            warning,
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
        );
        if !(follows && told.contains(&warning.policy_id())) {
            faults.add_found(&DetailedError::from(warning), SYNTAX);
        }
    }
    if !faults.found.is_empty() {
        return Vec::new();
    }
    let mut numbered: Vec<(usize, &Policy)> = parsed
        .policies()
        .map(|policy| {
            let number: &str = policy.id().as_ref();
            (number.trim_start_matches("policy").parse().unwrap_or(usize::MAX), policy)
        })
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    let file = source.name.rsplit(['/', '\\']).next().unwrap_or_default();
    numbered
        .into_iter()
        .map(|(number, policy)| {
            let own = policy.annotation("id").map(str::to_owned).filter(|id| !id.is_empty());
            let id = PolicyId::new(own.unwrap_or_else(|| format!("{file}#{}", number.saturating_add(1))));
            (id.clone(), policy.new_id(id))
        })
        .collect()
}

/// What the operator is told of a policy, and what it mentions.
fn examine(id: &PolicyId, policy: &Policy, faults: &mut Faults<'_>) -> Option<(SitePolicy, Mentions)> {
    let text = &faults.source.text;
    let effect = match policy.effect() {
        Effect::Permit => PolicyEffect::Permit,
        Effect::Forbid => PolicyEffect::Forbid,
    };
    let mut wrong = Vec::new();
    for (key, value) in policy.annotations() {
        let cause = match (key, value, effect) {
            ("id" | "reason", "", _) => format!("The annotation `@{key}` of `{id}` is empty."),
            ("id" | "reason", _, _) | ("obligation", "mask", PolicyEffect::Forbid) => continue,
            ("obligation", "mask", PolicyEffect::Permit) => {
                format!("The policy `{id}` permits, and can't hide what it permits.")
            }
            ("obligation", other, _) => format!("There is no obligation `{other}`, which `{id}` asks for."),
            (other, _, _) => format!("Nobody acts on the annotation `@{other}` of `{id}`."),
        };
        wrong.push((place_of(text, &format!("@{key}")), cause));
    }
    let cure = "Known are @id(\"name\"), @reason(\"for the operator\"), and on a forbid @obligation(\"mask\"): what \
                it forbids is hidden.";
    let right = wrong.is_empty();
    wrong.into_iter().for_each(|(span, cause)| faults.add(span, cause, cure));
    if !right {
        return None;
    }
    let Ok(est) = policy.to_json() else {
        faults.add(0..0, format!("The policy `{id}` can't be examined."), SYNTAX);
        return None;
    };
    let about = SitePolicy {
        name: id.to_string(),
        effect,
        reason: policy.annotation("reason").map(str::to_owned),
        text: policy.to_cedar().unwrap_or_default(),
    };
    Some((about, Mentions::of(&est)))
}

/// The actions that a policy's scope admits.
fn admitted(policy: &Policy, words: &Words) -> Vec<PolicyAction> {
    let names = |action: PolicyAction| [words.action(action.name()), words.action(action.group())];
    let admits = |action: &PolicyAction| match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(own) => own == words.action(action.name()),
        ActionConstraint::In(own) => names(*action).iter().any(|name| own.contains(name)),
    };
    PolicyAction::ALL.into_iter().filter(admits).collect()
}

/// Where a part of a text stands.
fn place_of(text: &str, part: &str) -> std::ops::Range<usize> {
    text.rfind(part).map_or(0..0, |at| at..at + part.len())
}
