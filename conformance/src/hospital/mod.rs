//! A simulated hospital: an in-memory FHIR R4 server.
//!
//! It is what `varco demo` puts behind each sidecar, what the sidecar's tests look at to see what was
//! forwarded, and what the conformance suites are first run against. It shares the document tape with the
//! rest of Varco and nothing else, so that it judges the sidecar's reading of FHIR independently.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use varco_conformance::hospital::{Hospital, HospitalOptions};
//!
//! let hospital = Hospital::start(([127, 0, 0, 1], 0).into(), HospitalOptions::default()).await?;
//! hospital.seed([r#"{"resourceType":"Patient","id":"p1"}"#])?;
//! assert!(hospital.resource("Patient", "p1").is_some());
//! assert_eq!(hospital.request_count(), 0);
//! hospital.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bundle;
mod call;
mod capability;
mod exchange;
mod fault;
mod links;
mod outcome;
mod read;
mod resource_types;
mod search;
mod server;
mod store;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fhir_models::document::{Limits, Tape};
use jiff::Timestamp;

pub use fault::{Alteration, Effect, Fault, SeenRequest};

use exchange::House;
use server::Server;
use store::{Capacity, Record, Store, Submitted};

/// Settings of a simulated hospital.
#[derive(Debug, Clone)]
pub struct HospitalOptions {
    /// The path of the FHIR base URL: begins with a slash, ends without one; may be empty.
    pub base_path: String,
    /// The base URL in links and locations, where it is not `http://ADDRESS` and the base path.
    pub public_url: Option<String>,
    /// Longest request body, in bytes.
    pub longest_body: usize,
    /// Most versions kept, of all resources together.
    pub most_versions: usize,
    /// Most bytes of resources kept, of all versions together.
    pub most_bytes: usize,
    /// Most connections open at a time; more wait to be accepted.
    pub connections: usize,
    /// Entries on a page of search results or history where the caller names no number.
    pub page: usize,
    /// Most entries on a page.
    pub longest_page: usize,
    /// How many of the last requests are remembered for [`Hospital::requests`].
    pub remembered: usize,
}

impl Default for HospitalOptions {
    fn default() -> HospitalOptions {
        HospitalOptions {
            base_path: "/fhir".to_owned(),
            public_url: None,
            longest_body: 16 << 20,
            most_versions: 200_000,
            most_bytes: 512 << 20,
            connections: 256,
            page: 20,
            longest_page: 200,
            remembered: 1_000,
        }
    }
}

/// Why a hospital does not start, or does not take a resource.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HospitalError {
    /// The address can't be listened on.
    #[error("the simulated hospital can't listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// A seed is not a resource that the hospital keeps.
    #[error("seed number {number} is refused: {cause}")]
    Seed {
        /// Its number, from 0.
        number: usize,
        /// What is wrong with it.
        cause: String,
    },
}

/// A running hospital. Dropping it closes its port at once; [`Hospital::stop`] lets open requests end.
#[derive(Debug)]
pub struct Hospital {
    house: Arc<House>,
    server: Server,
}

impl Hospital {
    /// Starts a hospital on an address; port 0 takes a free one.
    pub async fn start(address: SocketAddr, options: HospitalOptions) -> Result<Hospital, HospitalError> {
        let listen = |cause| HospitalError::Listen { address, cause };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;
        let base =
            options.public_url.clone().unwrap_or_else(|| format!("http://{local}{}", options.base_path));
        let capacity = Capacity { versions: options.most_versions, bytes: options.most_bytes };
        let house = Arc::new(House {
            store: Mutex::new(Store::new(capacity)),
            control: fault::Control::new(options.remembered),
            base: base.trim_end_matches('/').to_owned(),
            options,
        });
        let server = Server::start(listener, local, Arc::clone(&house));
        Ok(Hospital { house, server })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.address()
    }

    /// The FHIR base URL in its links and locations, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.house.base
    }

    /// Stores resources without a request; gives their `Type/id`, in order. A resource without `id` gets one.
    pub fn seed<T: AsRef<[u8]>>(
        &self,
        resources: impl IntoIterator<Item = T>,
    ) -> Result<Vec<String>, HospitalError> {
        let mut stored = Vec::new();
        for (number, resource) in resources.into_iter().enumerate() {
            let refused = |cause: String| HospitalError::Seed { number, cause };
            let mut tape = Tape::new();
            let document = tape
                .parse_json(resource.as_ref(), &Limits::default())
                .map_err(|error| refused(error.to_string()))?;
            let submitted = Submitted::check(document).map_err(|refusal| refused(refusal.diagnostics))?;
            let id = submitted.id.clone().unwrap_or_else(call::new_id);
            let put = self.house.store().put(&submitted, &id, Timestamp::now());
            put.map_err(|refusal| refused(refusal.diagnostics))?;
            stored.push(format!("{}/{id}", submitted.resource_type));
        }
        Ok(stored)
    }

    /// The current text of a resource; `None` where it is unknown or deleted.
    pub fn resource(&self, resource_type: &str, id: &str) -> Option<String> {
        let store = self.house.store();
        let latest = store.record(resource_type, id).and_then(Record::latest)?;
        Some(latest.content.as_ref()?.text().to_owned())
    }

    /// How many resources it holds.
    pub fn resource_count(&self) -> usize {
        self.house.store().count()
    }

    /// Adds a fault for the requests to come.
    pub fn inject(&self, fault: Fault) {
        self.house.control.inject(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.house.control.clear_faults();
    }

    /// How many requests have arrived since the start or the last [`Hospital::forget_requests`].
    pub fn request_count(&self) -> u64 {
        self.house.control.count()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.house.control.seen()
    }

    /// Sets the count to zero and forgets the requests.
    pub fn forget_requests(&self) {
        self.house.control.forget();
    }

    /// Stops listening and lets requests in flight end, for five seconds at most.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
