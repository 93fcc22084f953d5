//! What a message to the national gateway is, told by method and path alone (FSE 2.0, REST interfaces of the gateway §2).
//!
//! Invariant: only what is known to publish is kept and sent again. A message of another kind is forwarded once.

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `POST /documents/validation`, `POST /documents/fhir-validation`
    Validation,
    /// `POST /documents`, `POST /documents/validate-and-create`
    Create,
    /// `PUT /documents/{id}`, `PUT /documents/validate-and-replace/{id}`
    Replace,
    /// `PUT /documents/{id}/metadata`, `PUT /documents/{id}/metadata-iti-57`
    UpdateMetadata,
    /// `DELETE /documents/{id}`
    Delete,
    /// `GET /status/…`
    Status,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind of a message to `path`, below the route's own; a version such as `/v1` may stand first.
    pub fn of(method: &str, path: &str) -> Kind {
        Kind::read(method, path).0
    }

    /// The document that the path names, without percent-encoding.
    pub fn document(method: &str, path: &str) -> Option<String> {
        let raw = Kind::read(method, path).1?;
        let mut text = Vec::with_capacity(raw.len());
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            let decoded = match byte {
                b'%' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            };
            text.push(decoded);
        }
        String::from_utf8(text).ok()
    }

    fn read<'p>(method: &str, path: &'p str) -> (Kind, Option<&'p str>) {
        let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.first().is_some_and(|first| is_version(first)) {
            segments.remove(0);
        }
        match (method, segments.as_slice()) {
            ("POST", ["documents", "validation" | "fhir-validation"]) => (Kind::Validation, None),
            ("POST", ["documents"] | ["documents", "validate-and-create"]) => (Kind::Create, None),
            ("PUT", ["documents", "validate-and-replace", id]) | ("PUT", ["documents", id]) => {
                (Kind::Replace, Some(*id))
            }
            ("PUT", ["documents", id, "metadata" | "metadata-iti-57"]) => (Kind::UpdateMetadata, Some(*id)),
            ("DELETE", ["documents", id]) => (Kind::Delete, Some(*id)),
            ("GET", ["status", ..]) => (Kind::Status, None),
            _ => (Kind::Other, None),
        }
    }

    /// True where it changes what is published: then it is on disk before it is forwarded.
    pub fn is_publication(self) -> bool {
        matches!(self, Kind::Create | Kind::Replace | Kind::UpdateMetadata | Kind::Delete)
    }

    /// Its name in logs, metrics and the store.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Validation => "validation",
            Kind::Create => "create",
            Kind::Replace => "replace",
            Kind::UpdateMetadata => "update-metadata",
            Kind::Delete => "delete",
            Kind::Status => "status",
            Kind::Other => "other",
        }
    }

    /// The publication of this name.
    pub fn publication(name: &str) -> Option<Kind> {
        let all = [Kind::Create, Kind::Replace, Kind::UpdateMetadata, Kind::Delete];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// The `action_id` that its tokens state.
    pub fn action(self) -> Option<&'static str> {
        match self {
            Kind::Validation | Kind::Create => Some("CREATE"),
            Kind::Replace | Kind::UpdateMetadata => Some("UPDATE"),
            Kind::Delete => Some("DELETE"),
            Kind::Status | Kind::Other => None,
        }
    }
}

/// `v1`
fn is_version(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// True where two programs could take the path to mean different places: it would lead out of the route.
pub fn climbs(path: &str) -> bool {
    let dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        // What follows `;` are parameters of the segment to some servers.
        matches!(plain.split(';').next(), Some("." | ".."))
    };
    let hidden = path.to_ascii_lowercase();
    path.contains('\\')
        || hidden.contains("%2f")
        || hidden.contains("%5c")
        || hidden.contains("%25")
        || path.split('/').any(dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_method_and_path() {
        let cases = [
            ("POST", "/documents/validation", Kind::Validation),
            ("POST", "/v1/documents/fhir-validation", Kind::Validation),
            ("POST", "/documents", Kind::Create),
            ("POST", "/v12/documents/validate-and-create", Kind::Create),
            ("PUT", "/documents/2.16.840%5E1", Kind::Replace),
            ("PUT", "/documents/validate-and-replace/2.16.840%5E1", Kind::Replace),
            ("PUT", "/documents/2.16.840^1/metadata", Kind::UpdateMetadata),
            ("PUT", "/documents/2.16.840^1/metadata-iti-57", Kind::UpdateMetadata),
            ("DELETE", "/documents/1", Kind::Delete),
            ("GET", "/status/search/abc", Kind::Status),
            ("POST", "/documents/1", Kind::Other),
            ("PATCH", "/documents/1", Kind::Other),
            ("DELETE", "/documents", Kind::Other),
            ("GET", "/v/documents", Kind::Other),
        ];
        for (method, path, kind) in cases {
            assert_eq!(Kind::of(method, path), kind, "{method} {path}");
        }
        assert_eq!(Kind::document("PUT", "/v1/documents/2.16%5E1/metadata").as_deref(), Some("2.16^1"));
        assert_eq!(Kind::document("PUT", "/v1/documents/%F"), None);
    }

    #[test]
    fn a_path_that_climbs_is_known() {
        for path in
            ["/a/../b", "/./a", "/%2e%2E/a", "/.%2e", "/a\\b", "/a%2fb", "/a%5Cb", "/%252e%252e", "/..;x/a"]
        {
            assert!(climbs(path), "{path}");
        }
        for path in ["/documents/2.16.840.1%5E7", "/", "", "/a..b/c", "/.well"] {
            assert!(!climbs(path), "{path}");
        }
    }
}
