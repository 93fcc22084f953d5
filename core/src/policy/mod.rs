//! What a site permits, beside what patients consent to: policies in Cedar.
//!
//! A site writes who may do what with which data, by role, purpose, label and circumstance ([`SCHEMA`] says what policies may
//! speak of). Both must allow, consent and policy; a resource that a policy hides looks absent. Policies are checked against
//! the schema when they are read, so that a slip is a fault with its place and not a permission.
//!
//! ```
//! use std::sync::Arc;
//! use varco_core::consent::ResourceFacts;
//! use varco_core::policy::{
//!     PolicyAction, PolicyRequest, PolicyResource, PolicySource, SitePolicies, WithoutPolicy,
//! };
//! use varco_core::requester::{Code, Requester};
//!
//! let text = r#"
//!     @id("no-prescriptions-for-the-desk")
//!     forbid(principal in Role::"urn:example:roles|desk", action, resource)
//!     when { resource.type == "MedicationRequest" };
//! "#;
//! let source = PolicySource { name: "hospital.cedar".to_owned(), text: text.to_owned() };
//! let policies = Arc::new(SitePolicies::compile(&[source], WithoutPolicy::Permit)?);
//! let desk = Requester { roles: vec![Code::new("urn:example:roles", "desk")], ..Requester::default() };
//! let at = "2026-11-22T09:00:00Z".parse()?;
//! let mut request = PolicyRequest::new(policies, &desk, at, &jiff::tz::TimeZone::UTC);
//! let facts = ResourceFacts { resource_type: "MedicationRequest".to_owned(), ..ResourceFacts::default() };
//! let resource = PolicyResource { facts: &facts, patients: &[], patient_count: 1, site: "030913" };
//! let decision = request.decide(PolicyAction::Read, &resource);
//! assert!(!decision.permitted);
//! assert_eq!(decision.by[0].name, "no-prescriptions-for-the-desk");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod compile;
mod decide;
mod difference;
mod fault;
mod mention;
mod resource;

pub use action::PolicyAction;
pub use compile::{
    MOST_BYTES, MOST_POLICIES, PolicyEffect, PolicySource, SitePolicies, SitePolicy, WithoutPolicy,
};
pub use decide::{PolicyDecision, PolicyRequest};
pub use difference::PolicyDifference;
pub use fault::{PolicyErrors, PolicyFault};
pub use resource::{PolicyResource, patient_count};

/// The Cedar schema that policies are checked against.
pub const SCHEMA: &str = include_str!("site.cedarschema");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod policy_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod reference_tests;
