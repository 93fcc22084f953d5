//! The way to the national gateway of FSE 2.0: what is sent goes through as it is, what can't be delivered waits on disk and is
//! sent in its order, once; and nothing of it opens what is shut here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod admission;
mod application;
mod forwarding;
mod limits;
mod masks;
mod restarts;
mod waiting;
