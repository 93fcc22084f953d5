//! Breaking the glass: an emergency goes over what consents don't permit, for those who may, for a reason, for a while.
//!
//! A request is an emergency where its purpose of use says so ([`is_emergency`]). Where a deployment has rules for that
//! ([`BreakGlass`]), such a request is admitted first: by role, by the reason that the token carries, by the time since the
//! token was issued. One that is not admitted gets nothing, consents aside. One that is admitted gets what consents permit,
//! and beyond it what the deployment says that it overrides ([`Overridden`]).
//!
//! Invariants: only reading is opened. Nothing here opens what the rules of FSE 2.0 mask ([`super::fse`]): those stand beside
//! the decision and are asked after it.

use super::combine::forbids;
use super::{
    Combining, CompiledConsent, Decision, Outcome, Question, Reason, ReasonEffect, Residual, WithoutConsent,
};
use crate::requester::{Code, Requester};

/// What reasons that break-glass gives name as their consent.
pub const BREAK_GLASS: &str = "break-glass";

/// Purposes that are an emergency: those of v3-ActReason, and FSE's own.
const EMERGENCIES: &[&str] = &["BTG", "ETREAT", "ERTREAT", "DISASTER", "EMERGENCY", "PUBEMERGENCY"];

/// Whether a purpose that is claimed is an emergency.
pub fn is_emergency(requester: &Requester) -> bool {
    requester.purposes.iter().any(|own| EMERGENCIES.contains(&own.code.as_str()))
}

/// What stands against a request, as far as an emergency may go over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Overridden {
    /// No consent says anything, and the deployment then gives nothing.
    NoConsent,
    /// Consents permit, but not this.
    Withheld,
    /// A provision denies this, or can't be decided.
    Denied,
}

impl Overridden {
    /// All of them.
    pub const ALL: &'static [Overridden] = &[Overridden::NoConsent, Overridden::Withheld, Overridden::Denied];

    /// The word for it in the configuration.
    pub fn code(self) -> &'static str {
        match self {
            Overridden::NoConsent => "no-consent",
            Overridden::Withheld => "withheld",
            Overridden::Denied => "denied",
        }
    }

    /// The setting with this name.
    pub fn of_code(code: &str) -> Option<Overridden> {
        Overridden::ALL.iter().copied().find(|own| own.code() == code)
    }

    fn text(self) -> &'static str {
        match self {
            Overridden::NoConsent => "no consent says anything",
            Overridden::Withheld => "consents permit, but not this",
            Overridden::Denied => "a provision denies this",
        }
    }
}

/// Why an emergency is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotAdmitted {
    /// No role that may.
    Role,
    /// No reason.
    Reason,
    /// The token doesn't say when it was issued.
    Undated,
    /// The token was issued too long ago.
    Over,
}

impl NotAdmitted {
    /// A short name for it.
    pub fn code(self) -> &'static str {
        match self {
            NotAdmitted::Role => "role",
            NotAdmitted::Reason => "reason",
            NotAdmitted::Undated => "undated",
            NotAdmitted::Over => "over",
        }
    }

    /// A sentence for the operator.
    pub fn text(self) -> &'static str {
        match self {
            NotAdmitted::Role => "break-glass is refused: the caller has no role that may",
            NotAdmitted::Reason => "break-glass is refused: the token carries no reason",
            NotAdmitted::Undated => "break-glass is refused: the token does not say when it was issued (iat)",
            NotAdmitted::Over => "break-glass is refused: its time since the token was issued is over",
        }
    }
}

/// A deployment's rules for emergencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// The roles that may; one without a system counts in every system.
    pub roles: Vec<Code>,
    /// What it goes over.
    pub overrides: Vec<Overridden>,
    /// Whether the token has to carry a reason.
    pub reason_required: bool,
    /// How long after its token was issued it ends, in seconds.
    pub longest: u64,
}

impl BreakGlass {
    /// Admits an emergency, at an instant in seconds since 1970.
    pub fn admit(&self, requester: &Requester, now: u64) -> Result<(), NotAdmitted> {
        let may = |own: &Code| {
            self.roles
                .iter()
                .any(|role| role.code == own.code && (role.system.is_empty() || role.system == own.system))
        };
        if !requester.roles.iter().any(may) {
            return Err(NotAdmitted::Role);
        }
        if self.reason_required && requester.reason.as_deref().is_none_or(|why| why.trim().is_empty()) {
            return Err(NotAdmitted::Reason);
        }
        let issued = requester.issued.ok_or(NotAdmitted::Undated)?;
        if now > issued.saturating_add(self.longest) { Err(NotAdmitted::Over) } else { Ok(()) }
    }

    /// What an admitted emergency goes over to get a resource that a decision about it doesn't allow; `None` where the
    /// decision allows it anyway, or nothing opens it.
    pub fn opens(&self, decision: &Decision, without: WithoutConsent) -> Option<Overridden> {
        let against = against(decision);
        (!decision.allows(without) && self.overrides.contains(&against)).then_some(against)
    }

    /// A decision with an admitted emergency beside it. Without a resource, the rules that deny stay as residual ones,
    /// unless these are overridden too.
    pub fn beside(
        &self,
        decision: Decision,
        consents: &[&CompiledConsent],
        question: &Question<'_>,
        combining: Combining,
        without: WithoutConsent,
    ) -> Decision {
        if question.resource.is_some() {
            if decision.allows(without) {
                return decision;
            }
            let opened = self.opens(&decision, without);
            return self.told(decision, opened, Vec::new());
        }
        let forbids = forbids(consents, question, combining);
        let over = |own| self.overrides.contains(&own);
        let denied = forbids.iter().any(Residual::is_unconditional);
        let left = if over(Overridden::Denied) { Vec::new() } else { forbids };
        let against = match decision.rest {
            _ if denied => Overridden::Denied,
            Outcome::Deny => Overridden::Withheld,
            Outcome::NoConsent if without == WithoutConsent::Deny => Overridden::NoConsent,
            // All is given but for what is denied.
            _ if decision.residual.len() > left.len() => Overridden::Denied,
            _ => return decision,
        };
        self.told(decision, over(against).then_some(against), left)
    }

    fn told(&self, mut decision: Decision, opened: Option<Overridden>, left: Vec<Residual>) -> Decision {
        if opened.is_some() {
            decision.outcome = Outcome::Permit;
            decision.rest = Outcome::Permit;
            decision.residual = left;
        }
        decision.because.push(reason(opened));
        decision
    }
}

/// A decision about an emergency that is not admitted.
pub fn refused(mut decision: Decision, cause: NotAdmitted) -> Decision {
    decision.outcome = Outcome::Deny;
    decision.rest = Outcome::Deny;
    decision.residual = Vec::new();
    decision.because.push(Reason {
        consent: BREAK_GLASS.into(),
        provision: cause.code().into(),
        text: cause.text().to_owned(),
        effect: ReasonEffect::Deny,
    });
    decision
}

/// What stands against it.
fn against(decision: &Decision) -> Overridden {
    let denies = decision.because.iter().any(|reason| reason.effect == ReasonEffect::Deny);
    match decision.outcome {
        Outcome::NoConsent => Overridden::NoConsent,
        _ if denies => Overridden::Denied,
        _ => Overridden::Withheld,
    }
}

fn reason(opened: Option<Overridden>) -> Reason {
    let (provision, text, effect) = match opened {
        Some(own) => {
            let text = format!("the emergency goes over it: {}", own.text());
            (own.code(), text, ReasonEffect::Permit)
        }
        None => {
            let text = "the emergency does not go over this: the deployment doesn't override it".to_owned();
            ("", text, ReasonEffect::None)
        }
    };
    Reason { consent: BREAK_GLASS.into(), provision: provision.into(), text, effect }
}

#[cfg(test)]
#[path = "break_glass_tests.rs"]
mod tests;
