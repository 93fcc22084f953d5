//! Several versions of one package side by side: what each of them names is meant in its own version.
//!
//! A canonical without a version names the newest definition at hand (FHIR R4 §2.3.0.3). Where two
//! versions of a package are at hand, the older one's definitions would then build on the newer one's. A package says
//! by its dependencies which versions it means; pinning writes them into its canonicals.

use std::collections::BTreeMap;

use super::package::{Package, PackageFile};
use crate::document::{Edits, JsonWriter, Limits, Name, Tape, Value, name};

/// Canonical URLs, and for each the business version that is meant.
pub type Versions = BTreeMap<String, String>;

/// Properties whose values are canonicals of definitions.
const CANONICALS: &[Name] = &[name::BASE_DEFINITION, name::PROFILE, name::TARGET_PROFILE, name::VALUE_SET];

impl Package {
    /// The canonical URLs of its definitions and their business versions; those without either are left out, and so
    /// is what is not JSON.
    pub fn canonicals(&self) -> Versions {
        let mut tape = Tape::new();
        let mut found = Versions::new();
        for file in &self.files {
            let Ok(document) = tape.parse_json(&file.bytes, &Limits::default()) else { continue };
            let root = document.root();
            if let (Some(url), Some(version)) = (root.str_of(name::URL), root.str_of(name::VERSION)) {
                found.insert(url.into_owned(), version.into_owned());
            }
        }
        found
    }

    /// Writes these versions into the canonicals of its definitions that name none. Files that are not JSON stay as
    /// they are.
    pub fn pin(&mut self, versions: &Versions) {
        let mut tape = Tape::new();
        for file in &mut self.files {
            if let Some(bytes) = pinned(&mut tape, file, versions) {
                file.bytes = bytes;
            }
        }
    }
}

/// The text of a file with its canonicals pinned; `None` where nothing changes.
fn pinned(tape: &mut Tape, file: &PackageFile, versions: &Versions) -> Option<Vec<u8>> {
    let document = tape.parse_json(&file.bytes, &Limits::default()).ok()?;
    let mut edits = Edits::new(document);
    let named = |value: &Value<'_>| CANONICALS.contains(&value.name()) && value.key().is_some();
    for value in document.root().descendants().filter(named).flat_map(Value::items) {
        let Some(url) = value.as_str() else { continue };
        if let Some(version) = versions.get(&*url) {
            let mut json = JsonWriter::new();
            json.string(&format!("{url}|{version}"));
            edits.replace(value, json.into_bytes());
        }
    }
    (!edits.is_empty()).then(|| edits.apply())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn package(json: &str) -> Package {
        let file = PackageFile { name: "p.json".to_owned(), bytes: json.as_bytes().to_vec() };
        Package { manifest: Default::default(), files: vec![file] }
    }

    fn pinned(json: &str) -> String {
        let versions = Versions::from([("http://e.it/a".to_owned(), "1.0.0".to_owned())]);
        let mut package = package(json);
        package.pin(&versions);
        String::from_utf8(package.files.remove(0).bytes).unwrap()
    }

    #[test]
    fn canonicals_that_name_no_version_get_one() {
        for (from, to) in [
            (r#"{"baseDefinition":"http://e.it/a"}"#, r#"{"baseDefinition":"http://e.it/a|1.0.0"}"#),
            (
                r#"{"type":[{"profile":["http://e.it/a","http://e.it/b"], "targetProfile":["http://e.it/a"]}]}"#,
                r#"{"type":[{"profile":["http://e.it/a|1.0.0","http://e.it/b"], "targetProfile":["http://e.it/a|1.0.0"]}]}"#,
            ),
            (r#"{"valueSet":"http://e.it/a|2.0.0"}"#, r#"{"valueSet":"http://e.it/a|2.0.0"}"#),
            (r#"{"url":"http://e.it/a"}"#, r#"{"url":"http://e.it/a"}"#),
            ("{broken", "{broken"),
        ] {
            assert_eq!(pinned(from), to);
        }
    }

    #[test]
    fn a_package_tells_its_canonicals() {
        let canonicals = package(r#"{"url":"http://e.it/a","version":"3.1"}"#).canonicals();
        assert_eq!(canonicals.get("http://e.it/a").map(String::as_str), Some("3.1"));
        assert_eq!(package(r#"{"url":"http://e.it/a"}"#).canonicals(), Versions::new());
    }
}
