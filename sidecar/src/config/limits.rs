//! `[limits]`: bounds on size, rate, number and simultaneity of requests.

use serde::Deserialize;

use crate::limit::Kind;

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Limits {
    pub body_bytes: usize,
    pub answer_bytes: usize,
    pub requests_per_second: u32,
    pub burst: u32,
    pub search_matches: usize,
    pub page_size: usize,
    /// Which answers tell the caller what is left of its limits.
    pub tell: Tell,
    /// Requests of one client in a day; none: as many as it likes.
    pub requests_per_day: Option<u64>,
    /// Requests that are worked on at a time, beside those in the places of the priority lane.
    pub concurrent: u32,
    /// How many of these the bulk lane may have; none: half.
    pub concurrent_bulk: Option<u32>,
    /// Places that the priority lane alone may take.
    pub concurrent_priority: u32,
    /// How many microseconds a step may wait for its worker thread before bulk, then normal requests have fewer places;
    /// 0: no matter.
    pub lag_microseconds: u64,
    /// Requests of one client that are worked on at a time; none: as many as there are places.
    pub concurrent_per_client: Option<u32>,
    pub rule: Vec<LimitRule>,
    pub quota: Vec<DailyQuota>,
    pub priority: Vec<LaneRule>,
    pub bulk: Vec<LaneRule>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes: 16 << 20,
            answer_bytes: 64 << 20,
            requests_per_second: 50,
            burst: 100,
            search_matches: 1000,
            page_size: 50,
            tell: Tell::Refusals,
            requests_per_day: None,
            concurrent: 192,
            concurrent_bulk: None,
            concurrent_priority: 64,
            lag_microseconds: 1000,
            concurrent_per_client: None,
            rule: Vec::new(),
            quota: Vec::new(),
            priority: Vec::new(),
            bulk: Vec::new(),
        }
    }
}

impl Limits {
    /// How many places the bulk lane may have.
    pub fn bulk_places(&self) -> u32 {
        self.concurrent_bulk.unwrap_or_else(|| self.concurrent.div_ceil(2))
    }
}

/// `limits.tell`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tell {
    /// Those that refuse for a limit.
    #[default]
    Refusals,
    /// All of a caller that is known.
    Answers,
}

/// `[[limits.rule]]`: a token bucket for each of something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct LimitRule {
    pub name: String,
    pub per: Per,
    /// So many requests ...
    pub requests: u32,
    /// ... in so many seconds.
    #[serde(default = "one")]
    pub seconds: u32,
    /// How many may come at once; none: `requests`.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Client ids of tokens; empty: all.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Empty: all.
    #[serde(default)]
    pub interactions: Vec<Kind>,
    /// Resource types; empty: all.
    #[serde(default)]
    pub types: Vec<String>,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// A client.
    Client,
    /// The organisations that a token is for.
    Tenant,
    /// A client's requests about one patient.
    Patient,
    /// A client's requests of one kind.
    Operation,
    /// A client's requests about one device.
    Device,
}

/// `[[limits.quota]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct DailyQuota {
    pub clients: Vec<String>,
    pub requests_per_day: u64,
}

/// `[[limits.priority]]` and `[[limits.bulk]]`: what all that is said holds for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct LaneRule {
    #[serde(default)]
    pub clients: Vec<String>,
    /// Scopes of the token, as they stand in it: one of them.
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub interactions: Vec<Kind>,
    #[serde(default)]
    pub types: Vec<String>,
}

fn one() -> u32 {
    1
}
