//! The sidecar: the only crate that opens sockets and files.
//!
//! A request crosses these modules in this order: [`listen`] takes it, [`identify`] says who asks,
//! [`pipeline`] decides, asks [`upstream`], withholds what is hidden, and records in the [`store`]. HL7 v2 messages of the
//! hospital's own systems come in by [`mllp`], messages to the national gateway go out by [`fse`]. [`audit`] cares for what was recorded. [`admin`] and [`telemetry`]
//! are the operator's windows; [`config`] is checked before any of it starts; [`run`] ties it together, [`reload`] puts
//! a changed configuration in its place, and [`handoff`] a new process in the place of an old one.

pub mod admin;
pub mod audit;
pub mod cache;
pub mod config;
pub mod definitions;
pub mod demo;
pub mod fetch;
mod files;
pub mod fse;
pub mod handoff;
pub mod hexadecimal;
pub mod identify;
pub mod limit;
pub mod listen;
pub mod mapping;
pub mod mllp;
pub mod pipeline;
pub mod policy;
pub mod reload;
pub mod review;
pub mod run;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod terminology;
pub mod upstream;
pub mod validation;
