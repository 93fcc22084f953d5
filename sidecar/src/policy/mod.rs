//! The site's policies in the sidecar: read from the files that the configuration names, and swapped as a whole when these
//! change.
//!
//! Invariants: a request is decided by one set from its beginning to its end; a set with a fault never replaces one without.

mod case;
mod load;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch::Receiver;
use varco_core::policy::SitePolicies;

use crate::config::Policy;
use crate::files::{self, Fingerprint, Watched};
pub use case::{TESTS_SCHEMA, TestBench, TestFile, TestResult};
use load::FILES;
pub use load::{PolicyFileFault, PolicyFiles, PolicyLoadError, load};

/// The policies of a sidecar.
pub struct Policies {
    current: ArcSwap<PolicyFiles>,
    settings: Policy,
}

impl Policies {
    /// The policies that a configuration names.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(settings: &Policy) -> Result<Policies, PolicyLoadError> {
        Ok(Policies { current: ArcSwap::from_pointee(load(settings)?), settings: settings.clone() })
    }

    /// The set that holds now.
    pub fn current(&self) -> Arc<SitePolicies> {
        self.current.load().policies.clone()
    }
}

/// Takes up policies whose files have changed, until `stopping` turns true.
pub async fn watch(policies: Arc<Policies>, stopping: Receiver<bool>) {
    let every = Duration::from_secs(policies.settings.reload_seconds);
    files::watch(OnDisk(policies), every, stopping).await;
}

struct OnDisk(Arc<Policies>);

impl Watched for OnDisk {
    type Set = PolicyFiles;
    const WHAT: &'static str = "policies";
    const COUNTER: &'static str = "varco_policy_reloads_total";

    fn in_use(&self) -> Fingerprint {
        self.0.current.load().fingerprint.clone()
    }

    fn on_disk(&self) -> Fingerprint {
        files::fingerprint(&FILES, &self.0.settings.files)
    }

    fn read(&self) -> Result<PolicyFiles, String> {
        load(&self.0.settings).map_err(|error| error.to_string())
    }

    fn take_up(&self, set: PolicyFiles) -> String {
        let change = self.0.current.load().policies.difference(&set.policies).to_string();
        self.0.current.store(Arc::new(set));
        change
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::PolicyDefault;

    #[test]
    fn a_set_with_a_fault_never_replaces_one_without() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.cedar");
        fs::write(&file, "@id(\"a\") permit(principal, action, resource);").unwrap();
        let settings =
            Policy { files: vec![folder.path().to_owned()], default: PolicyDefault::Deny, reload_seconds: 1 };
        let policies = Arc::new(Policies::new(&settings).unwrap());
        let on_disk = OnDisk(policies.clone());
        assert_eq!(on_disk.in_use(), on_disk.on_disk());
        fs::write(
            folder.path().join("more.cedar"),
            "forbid(principal, action, resource) when { resource.typo };",
        )
        .unwrap();
        assert_ne!(on_disk.in_use(), on_disk.on_disk());
        let cause = on_disk.read().map(|_| ()).unwrap_err();
        assert!(cause.contains("more.cedar:1:44") && cause.contains("typo"), "{cause}");
        assert_eq!(policies.current().policies().count(), 1);
        fs::write(folder.path().join("more.cedar"), "@id(\"b\") permit(principal, action, resource);")
            .unwrap();
        assert_eq!(on_disk.take_up(on_disk.read().unwrap()), "added: b");
        assert_eq!(on_disk.in_use(), on_disk.on_disk());
        assert_eq!(policies.current().policies().count(), 2);
    }
}
