//! Suites as data, the runner, and the simulated peers they run against.
//!
//! Everything here that looks like a hospital, a patient or a document is made up and says so.

mod form;
pub mod hospital;
pub mod patients;
pub mod report;
pub mod suite;
