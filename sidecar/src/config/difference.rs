//! What a changed configuration changes, setting by setting; and what can't be changed while the sidecar runs.

use std::fmt;

use serde_json::Value;

use super::Config;

/// Settings that only a start reads: the ports and what stands behind them, and how stored consents are read.
const AT_START: &[&str] = &[
    "site.id",
    "site.base_url",
    "listen.address",
    "listen.connections",
    "listen.connections_per_address",
    "listen.header_seconds",
    "listen.idle_seconds",
    "listen.stall_seconds",
    "listen.drain_seconds",
    "listen.drain_delay_seconds",
    "listen.handoff",
    "listen.workers",
    "listen.behind_tls_terminator",
    "store",
    "admin",
    "mllp",
    "upstream.url",
    "consent.time_zone",
];
/// Most differences that are told one by one.
const MOST: usize = 40;

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where it stands: `limits.burst`, `route[0].types[1]`.
    pub setting: String,
    /// Its value before; `None` where it was not there.
    pub before: Option<String>,
    /// Its value now; `None` where it is gone.
    pub now: Option<String>,
}

impl Difference {
    /// True where the sidecar must be started again for it.
    pub fn needs_start(&self) -> bool {
        AT_START.iter().any(|own| {
            let rest = self.setting.strip_prefix(own);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        }) || self.setting == "listen.tls"
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => write!(f, "{}: {before} → {now}", self.setting),
            (None, Some(now)) => write!(f, "{}: {now} (new)", self.setting),
            (Some(before), None) => write!(f, "{}: {before} (gone)", self.setting),
            (None, None) => f.write_str(&self.setting),
        }
    }
}

impl Config {
    /// What is written otherwise in `next`, in the order of the file.
    pub fn differences(&self, next: &Config) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(String::new(), Some(&self.written), Some(&next.written), &mut found);
        found
    }
}

/// Differences as one line for the log.
pub fn tell(differences: &[Difference]) -> String {
    let told: Vec<String> = differences.iter().take(MOST).map(ToString::to_string).collect();
    let more = differences.len().saturating_sub(MOST);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", told.join("; "))
}

fn compare(at: String, before: Option<&Value>, now: Option<&Value>, found: &mut Vec<Difference>) {
    match (before, now) {
        (before, now) if before == now => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let gone = old.keys().filter(|key| !new.contains_key(*key));
            for key in new.keys().chain(gone) {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                compare(at, old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for place in 0..old.len().max(new.len()) {
                compare(format!("{at}[{place}]"), old.get(place), new.get(place), found);
            }
        }
        (before, now) => found.push(Difference {
            setting: at,
            before: before.map(ToString::to_string),
            now: now.map(ToString::to_string),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_setting_that_differs_is_told_once() {
        let before = json!({ "limits": { "burst": 100, "page_size": 50 }, "route": [{ "name": "lab" }], "log": { "level": "info" } });
        let now = json!({ "limits": { "burst": 200, "page_size": 50 }, "route": [{ "name": "lab" }, { "name": "rest" }] });
        let mut found = Vec::new();
        compare(String::new(), Some(&before), Some(&now), &mut found);
        assert_eq!(
            tell(&found),
            "limits.burst: 100 → 200; route[1]: {\"name\":\"rest\"} (new); log: {\"level\":\"info\"} (gone)"
        );
    }

    #[test]
    fn ports_and_the_store_need_a_start() {
        let at =
            |setting: &str| Difference { setting: setting.to_owned(), before: None, now: None }.needs_start();
        assert!(at("store.path") && at("listen.address") && at("mllp.sender[0].name") && at("admin"));
        assert!(!at("listen.tls.certificate") && !at("limits.burst") && !at("stores"));
    }
}
