//! `POST [type]/$validate` and `POST [type]/[id]/$validate` (FHIR R4, operation `Resource-validate`).
//!
//! The parameters stand in the URL, or in a Parameters body beside the resource; `mode` once in both together,
//! `profile` as often as there are profiles to obey. The modes `delete` and `profile` are about the resource that is
//! stored: its id stands in the URL, and none is brought.

use fhir_models::document::{Name, Value, name};
use fhir_models::primitive::Primitive;

use super::error::{InteractionError, ShownName};
use super::id::{Instance, ResourceType};
use super::percent::encode_into;
use crate::outcome::{Issue, IssueType};

/// Longest canonical of a profile that is read, in bytes.
const LONGEST_PROFILE: usize = 1024;
/// Most profiles of one request.
const MOST_PROFILES: usize = 16;

/// What the resource is meant for (R4 code system `resource-validation-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValidateMode {
    /// To be created.
    Create,
    /// To replace the resource that stands at its id.
    Update,
    /// To be deleted: what stands at the id in the URL.
    Delete,
    /// To obey the profiles that are named: what stands at the id in the URL.
    Profile,
}

impl ValidateMode {
    /// True where the resource that is stored is meant, and none is brought.
    pub fn is_of_stored(self) -> bool {
        matches!(self, ValidateMode::Delete | ValidateMode::Profile)
    }
}

/// A validation that a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validate {
    /// The type in the URL.
    pub resource_type: ResourceType,
    /// The resource in the URL, where it names one.
    pub instance: Option<Instance>,
    /// What the resource is meant for; absent where its content alone is asked about.
    pub mode: Option<ValidateMode>,
    /// The canonicals of the profiles that it must obey.
    pub profiles: Vec<String>,
}

impl Validate {
    /// A validation without parameters yet.
    pub(super) fn new(resource_type: ResourceType, instance: Option<Instance>) -> Validate {
        Validate { resource_type, instance, mode: None, profiles: Vec::new() }
    }

    /// The parameters, encoded anew.
    pub(super) fn query(&self) -> String {
        let mut out = String::new();
        if let Some(mode) = self.mode {
            out.push_str("mode=");
            out.push_str(match mode {
                ValidateMode::Create => "create",
                ValidateMode::Update => "update",
                ValidateMode::Delete => "delete",
                ValidateMode::Profile => "profile",
            });
        }
        for profile in &self.profiles {
            out.push_str(if out.is_empty() { "profile=" } else { "&profile=" });
            encode_into(&mut out, profile);
        }
        out
    }

    pub(super) fn set_mode(&mut self, code: &str) -> Result<(), InteractionError> {
        if self.mode.is_some() {
            return Err(InteractionError::Repeated(ShownName::of("mode")));
        }
        self.mode = Some(match code {
            "create" => ValidateMode::Create,
            "update" => ValidateMode::Update,
            "delete" => ValidateMode::Delete,
            "profile" => ValidateMode::Profile,
            _ => {
                return Err(InteractionError::BadValue {
                    name: ShownName::of("mode"),
                    expected: "`create`, `update`, `delete` or `profile`",
                });
            }
        });
        Ok(())
    }

    pub(super) fn set_profile(&mut self, canonical: &str) -> Result<(), InteractionError> {
        if self.profiles.len() >= MOST_PROFILES {
            let expected = "given at most 16 times";
            return Err(InteractionError::BadValue { name: ShownName::of("profile"), expected });
        }
        if canonical.len() > LONGEST_PROFILE || !Primitive::Canonical.is_valid(canonical) {
            let expected = "the canonical of a profile, of at most 1024 bytes";
            return Err(InteractionError::BadValue { name: ShownName::of("profile"), expected });
        }
        if !self.profiles.iter().any(|known| known == canonical) {
            self.profiles.push(canonical.to_owned());
        }
        Ok(())
    }

    /// The resource to be validated in a request's body: the body itself, or the parameter `resource` of a
    /// Parameters body, whose other parameters are taken up. `None` where the stored resource is meant.
    ///
    /// Errors: a Parameters body without a resource, with an unknown parameter, or with a mode that stands in the URL
    /// already; what a mode lacks or has too much of.
    pub fn take_body<'d>(&mut self, body: Value<'d>) -> Result<Option<Value<'d>>, InteractionError> {
        let resource = self.brought(body)?;
        match self.mode.filter(|mode| mode.is_of_stored()) {
            None if resource.is_some() => Ok(resource),
            None => Err(bad(
                "resource",
                "given: the resource to validate, as the body or as this parameter of it",
            )),
            Some(ValidateMode::Profile) if resource.is_some() => {
                Err(bad("resource", "absent with mode=profile, which is about the resource that is stored"))
            }
            Some(_) => self.take_no_body().map(|()| None),
        }
    }

    /// The same for a request without a body.
    ///
    /// Errors: a mode that needs one, or that lacks the id or a profile.
    pub fn take_no_body(&self) -> Result<(), InteractionError> {
        match self.mode {
            Some(ValidateMode::Delete | ValidateMode::Profile) if self.instance.is_none() => Err(bad(
                "mode",
                "`create` or `update` where the URL names no resource: POST [type]/[id]/$validate",
            )),
            Some(ValidateMode::Delete) => Ok(()),
            Some(ValidateMode::Profile) if self.profiles.is_empty() => {
                Err(bad("profile", "given with mode=profile: the canonical of a profile"))
            }
            Some(ValidateMode::Profile) => Ok(()),
            _ => Err(bad(
                "resource",
                "given: the resource to validate, as the body or as this parameter of it",
            )),
        }
    }

    fn brought<'d>(&mut self, body: Value<'d>) -> Result<Option<Value<'d>>, InteractionError> {
        if body.resource_type().as_deref() != Some("Parameters") {
            return Ok(Some(body));
        }
        let mut resource = None;
        for parameter in body.get(Name::of("parameter")).into_iter().flat_map(Value::items) {
            let named = parameter.get(Name::of("name")).and_then(Value::as_str).unwrap_or_default();
            match (named.as_ref(), parameter.get(name::RESOURCE)) {
                ("resource", Some(_)) if resource.is_some() => {
                    return Err(InteractionError::Repeated(ShownName::of("resource")));
                }
                ("resource", Some(own)) if own.is_object() => resource = Some(own),
                ("mode", None) => {
                    self.set_mode(&text_of(parameter, &["valueCode", "valueString"], "mode")?)?
                }
                ("profile", None) => {
                    let forms = ["valueUri", "valueCanonical", "valueUrl", "valueString"];
                    self.set_profile(&text_of(parameter, &forms, "profile")?)?;
                }
                ("resource" | "mode" | "profile", _) => return Err(misfit(&named)),
                (other, _) => {
                    let name = ShownName::of(other);
                    return Err(InteractionError::UnknownParameter { interaction: "$validate", name });
                }
            }
        }
        Ok(resource)
    }

    /// What is wrong with the resource for what it is meant for: another type than the URL's, or for an update no
    /// id or another one (FHIR R4 §3.1.0.4).
    pub fn faults(&self, resource: Value<'_>) -> Vec<Issue> {
        let mut issues = Vec::new();
        let own = &self.resource_type;
        if resource.resource_type().is_some_and(|found| found != own.as_str()) {
            let message = format!("the URL asks about {own}; this is another type of resource");
            issues.push(Issue::error(IssueType::Invalid, message));
        }
        if self.mode == Some(ValidateMode::Update) {
            let fits = |id: Value<'_>| match &self.instance {
                Some(instance) => id.is_str(instance.id.as_str()),
                None => true,
            };
            let message = match resource.get(name::ID) {
                None => "an update needs the resource's id",
                Some(id) if !fits(id) => "the resource's id must be the id in the URL",
                Some(_) => return issues,
            };
            issues.push(Issue::error(IssueType::Invalid, message).at(format!("{own}.id")));
        }
        issues
    }
}

fn bad(named: &str, expected: &'static str) -> InteractionError {
    InteractionError::BadValue { name: ShownName::of(named), expected }
}

fn text_of(parameter: Value<'_>, forms: &[&str], named: &str) -> Result<String, InteractionError> {
    let value = forms.iter().find_map(|form| parameter.get_key(form)).and_then(Value::as_str);
    value.map(|text| text.into_owned()).ok_or_else(|| misfit(named))
}

fn misfit(named: &str) -> InteractionError {
    let expected = match named {
        "resource" => "a resource, in the parameter's `resource`",
        "mode" => "a code, in the parameter's `valueCode`",
        _ => "a URI, in the parameter's `valueUri`",
    };
    InteractionError::BadValue { name: ShownName::of(named), expected }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fhir_models::document::{Limits, OwnedDocument};

    use super::*;
    use crate::interaction::{Interaction, SearchSchema};

    fn asked(path: &str, query: Option<&str>) -> Result<Validate, InteractionError> {
        let schema = SearchSchema::new(["Patient", "Parameters"], |_| Vec::new());
        match Interaction::parse("POST", path, query, None, &schema)? {
            Interaction::Validate(own) => Ok(own),
            other => panic!("{other}"),
        }
    }

    fn body(own: &mut Validate, text: &str) -> Result<String, InteractionError> {
        let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
        own.take_body(document.root()).map(|it| it.map_or("none", |resource| resource.raw()).to_owned())
    }

    #[test]
    fn parameters_stand_in_the_url_or_beside_the_resource() {
        let own =
            asked("/Patient/$validate", Some("mode=create&profile=http://example.org/p%7C1.0")).unwrap();
        assert_eq!(own.mode, Some(ValidateMode::Create));
        assert_eq!(own.profiles, ["http://example.org/p|1.0"]);
        let mut own = asked("/Patient/p1/%24validate", None).unwrap();
        assert_eq!(own.instance.as_ref().unwrap().id.as_str(), "p1");
        let text = r#"{"resourceType":"Parameters","parameter":[
            {"name":"mode","valueCode":"update"},{"name":"profile","valueUri":"http://example.org/p"},
            {"name":"resource","resource":{"resourceType":"Patient","id":"p1"}}]}"#;
        assert_eq!(body(&mut own, text).unwrap(), r#"{"resourceType":"Patient","id":"p1"}"#);
        assert_eq!(
            (own.mode, own.profiles),
            (Some(ValidateMode::Update), vec!["http://example.org/p".to_owned()])
        );
        let mut own = asked("/Patient/$validate", None).unwrap();
        assert_eq!(body(&mut own, r#"{"resourceType":"Patient"}"#).unwrap(), r#"{"resourceType":"Patient"}"#);
    }

    #[test]
    fn what_can_not_be_checked_is_refused_by_name() {
        for query in ["mode=x", "mode=create&mode=create", "profile=a%20b", "resource=x", "_id=3"] {
            assert_eq!(asked("/Patient/$validate", Some(query)).unwrap_err().status(), 400, "{query}");
        }
        for (method, path, status) in [
            ("GET", "/Patient/$validate", 405),
            ("GET", "/Patient/p1/$validate", 405),
            ("POST", "/$validate", 404),
            ("POST", "/Patient/p1/x/$validate", 404),
            ("POST", "/Patient/p_1/$validate", 400),
            ("POST", "/Patient/$Validate", 404),
        ] {
            let schema = SearchSchema::new(["Patient"], |_| Vec::new());
            let refused = Interaction::parse(method, path, None, None, &schema).unwrap_err();
            assert_eq!(refused.status(), status, "{method} {path}");
        }
    }

    #[test]
    fn an_update_is_held_against_its_url() {
        let faults = |path: &str, query: Option<&str>, text: &str| {
            let document = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
            asked(path, query).unwrap().faults(document.root()).len()
        };
        let patient = r#"{"resourceType":"Patient","id":"p1"}"#;
        let update = Some("mode=update");
        assert_eq!(faults("/Patient/p1/$validate", update, patient), 0);
        assert_eq!(faults("/Patient/$validate", update, patient), 0);
        assert_eq!(faults("/Patient/p2/$validate", update, patient), 1);
        assert_eq!(faults("/Patient/p2/$validate", Some("mode=create"), patient), 0);
        assert_eq!(faults("/Patient/$validate", update, r#"{"resourceType":"Patient"}"#), 1);
        assert_eq!(faults("/Patient/$validate", None, r#"{"resourceType":"Group"}"#), 1);
    }

    #[test]
    fn a_body_of_parameters_must_fit() {
        for parameter in [
            r#"{"name":"mode","valueCode":"create"}"#,
            r#"{"name":"resource","valueString":"x"}"#,
            r#"{"name":"resource","resource":"x"}"#,
            r#"{"name":"resource","resource":{"resourceType":"Patient"}},{"name":"resource","resource":{"resourceType":"Patient"}}"#,
            r#"{"name":"resource","resource":{"resourceType":"Patient"}},{"name":"profile","valueBoolean":true}"#,
            r#"{"name":"resource","resource":{"resourceType":"Patient"}},{"name":"other","valueCode":"x"}"#,
        ] {
            let mut own = asked("/Patient/$validate", None).unwrap();
            let text = format!(r#"{{"resourceType":"Parameters","parameter":[{parameter}]}}"#);
            assert_eq!(body(&mut own, &text).unwrap_err().status(), 400, "{parameter}");
        }
        let mut own = asked("/Patient/$validate", Some("profile=http://example.org/p")).unwrap();
        let text = r#"{"resourceType":"Parameters","parameter":[{"name":"profile","valueUri":"http://example.org/p"}]}"#;
        assert!(body(&mut own, text).is_err(), "a resource is still missing");
    }

    #[test]
    fn several_profiles_may_be_named_and_stored_resources_meant() {
        let two = Some("profile=http://e.org/a&profile=http://e.org/b&profile=http://e.org/a");
        assert_eq!(asked("/Patient/$validate", two).unwrap().profiles, ["http://e.org/a", "http://e.org/b"]);
        let many: Vec<String> = (0..17).map(|at| format!("profile=http://e.org/{at}")).collect();
        assert_eq!(asked("/Patient/$validate", Some(&many.join("&"))).unwrap_err().status(), 400);
        let none = |path: &str, query: &str| asked(path, Some(query)).unwrap().take_no_body().is_ok();
        assert!(none("/Patient/p1/$validate", "mode=delete"));
        assert!(none("/Patient/p1/$validate", "mode=profile&profile=http://e.org/a"));
        assert!(!none("/Patient/p1/$validate", "mode=profile"), "which profile?");
        assert!(!none("/Patient/$validate", "mode=delete"), "which patient?");
        assert!(!none("/Patient/p1/$validate", "mode=update"));
        let patient = r#"{"resourceType":"Patient"}"#;
        let mut delete = asked("/Patient/p1/$validate", Some("mode=delete")).unwrap();
        assert_eq!(body(&mut delete, patient).unwrap(), "none", "what is brought is ignored");
        let mut held = asked("/Patient/p1/$validate", Some("mode=profile&profile=http://e.org/a")).unwrap();
        assert!(body(&mut held, patient).is_err());
        let text = r#"{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"delete"}]}"#;
        assert_eq!(body(&mut asked("/Patient/p1/$validate", None).unwrap(), text).unwrap(), "none");
    }
}
