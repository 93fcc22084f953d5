//! What FHIR means and what may be done: pure decisions.
//!
//! Nothing here opens a socket or a file, reads a clock or draws a random number. The time, the stores'
//! answers and random numbers are arguments, so that every decision can be tested without a network.

pub mod access;
pub mod audit;
pub mod consent;
pub mod fhirpath;
pub mod hl7v2;
pub mod identity;
pub mod interaction;
pub mod mapping;
pub mod outcome;
pub mod patch;
#[cfg(feature = "cedar")]
pub mod policy;
pub mod requester;
pub mod snapshot;
pub mod summary;
pub mod terminology;
pub mod validation;

/// The examples of the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
