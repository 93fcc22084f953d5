//! Which facts about a resource a policy mentions.
//!
//! Whatever no policy mentions need not be worked out, and two resources that agree in all that is mentioned are decided
//! about alike. A use of `resource` that is not understood counts as a mention of everything.

use serde_json::Value;

/// A fact about a resource: an attribute of the schema's `Resource`, or which resource it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Fact {
    Itself,
    Type,
    Labels,
    Confidentiality,
    Codes,
    Classes,
    Profiles,
    Authors,
    Start,
    End,
    Patients,
    PatientCount,
    Site,
}

impl Fact {
    pub const ALL: [Fact; 13] = [
        Fact::Itself,
        Fact::Type,
        Fact::Labels,
        Fact::Confidentiality,
        Fact::Codes,
        Fact::Classes,
        Fact::Profiles,
        Fact::Authors,
        Fact::Start,
        Fact::End,
        Fact::Patients,
        Fact::PatientCount,
        Fact::Site,
    ];

    /// The attribute's name; empty for the resource itself.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Itself => "",
            Fact::Type => "type",
            Fact::Labels => "labels",
            Fact::Confidentiality => "confidentiality",
            Fact::Codes => "codes",
            Fact::Classes => "classes",
            Fact::Profiles => "profiles",
            Fact::Authors => "authors",
            Fact::Start => "start",
            Fact::End => "end",
            Fact::Patients => "patients",
            Fact::PatientCount => "patient_count",
            Fact::Site => "site",
        }
    }
}

/// A set of facts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mentions(u16);

impl Mentions {
    const EVERYTHING: Mentions = Mentions((1 << Fact::ALL.len()) - 1);

    /// What a policy mentions, in the JSON form of the policy language. The resource's scope is no condition as long as it
    /// admits every resource.
    pub fn of(policy: &Value) -> Mentions {
        let mut found = Mentions::default();
        let scope = policy.get("resource").and_then(|scope| scope.get("op")).and_then(Value::as_str);
        if !matches!(scope, Some("All" | "is")) {
            found.add(Fact::Itself);
        }
        match policy.get("conditions") {
            Some(conditions) => found.walk(conditions),
            None => found = Mentions::EVERYTHING,
        }
        found
    }

    pub fn has(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u8) != 0
    }

    pub fn and(self, other: Mentions) -> Mentions {
        Mentions(self.0 | other.0)
    }

    /// True where nothing but the type is mentioned.
    pub fn is_type_at_most(self) -> bool {
        self.0 & !(1 << Fact::Type as u8) == 0
    }

    pub fn with(mut self, fact: Fact) -> Mentions {
        self.add(fact);
        self
    }

    fn add(&mut self, fact: Fact) {
        self.0 |= 1 << fact as u8;
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(members) => {
                for (key, member) in members {
                    let of_resource = member.get("left").is_some_and(is_resource);
                    match (key.as_str(), member.get("attr").and_then(Value::as_str)) {
                        ("." | "has", Some(name)) if of_resource => match fact(name) {
                            Some(fact) => self.add(fact),
                            None => *self = Mentions::EVERYTHING,
                        },
                        ("Var", _) if member == "resource" => *self = Mentions::EVERYTHING,
                        _ => self.walk(member),
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_resource(value: &Value) -> bool {
    value.get("Var").is_some_and(|own| own == "resource")
}

fn fact(name: &str) -> Option<Fact> {
    Fact::ALL.into_iter().find(|fact| *fact != Fact::Itself && fact.name() == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mentions(policy: &str) -> Mentions {
        let policy = cedar_policy::Policy::parse(None, policy).unwrap();
        Mentions::of(&policy.to_json().unwrap())
    }

    fn of(facts: &[Fact]) -> Mentions {
        let mut all = Mentions::default();
        facts.iter().for_each(|fact| all.add(*fact));
        all
    }

    #[test]
    fn a_policy_mentions_what_its_conditions_name() {
        for (policy, facts) in [
            ("permit(principal, action, resource);", &[][..]),
            ("permit(principal, action, resource is Resource);", &[]),
            (r#"forbid(principal, action, resource) when { resource.type == "Patient" };"#, &[Fact::Type]),
            (
                r#"forbid(principal, action, resource) when { resource has confidentiality && resource.confidentiality > 4 }
                   unless { resource.labels.contains("x|y") };"#,
                &[Fact::Labels, Fact::Confidentiality],
            ),
            (r#"permit(principal, action, resource == Resource::"Patient/1");"#, &[Fact::Itself]),
            (r#"permit(principal, action, resource) when { context.purposes.contains("resource") };"#, &[]),
        ] {
            assert_eq!(mentions(policy), of(facts), "{policy}");
        }
    }

    #[test]
    fn an_unusual_use_of_the_resource_mentions_everything() {
        for policy in [
            r#"permit(principal, action, resource) when { resource == Resource::"Patient/1" };"#,
            "permit(principal, action, resource) when { (if context.emergency then resource else resource).type == \"X\" };",
            "permit(principal, action, resource) when { [resource].contains(resource) };",
            "permit(principal, action, resource) when { resource.unheard_of };",
        ] {
            assert_eq!(mentions(policy), Mentions::EVERYTHING, "{policy}");
        }
    }

    #[test]
    fn the_schema_has_each_fact() {
        for fact in Fact::ALL.into_iter().filter(|fact| *fact != Fact::Itself) {
            let plain = format!("  {}", fact.name());
            let quoted = format!("  \"{}\"", fact.name());
            let line = super::super::SCHEMA
                .lines()
                .find(|line| line.starts_with(&plain) || line.starts_with(&quoted));
            assert!(line.is_some(), "{}", fact.name());
        }
    }
}
