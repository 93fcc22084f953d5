//! What a schema can't say of a suite: that its parts refer to parts that exist.
//!
//! The scope follows the order in which steps run, so that a variable is known exactly where it will be set.

use std::collections::{BTreeMap, HashSet};
use std::io;

use serde_json::Value;

use super::load::Faults;
use super::model::{NOBODY, Save, Step, Suite, Test};
use super::path;
use super::pattern::Pattern;
use super::requirement::{self, Extent, Requirement};
use super::variables::{Part, TemplateFault, UUID, parts};

/// Compares the list of requirements with their file and with the tests, and keeps the texts.
pub(super) fn check_requirements(
    suite: &mut Suite,
    faults: &mut Faults<'_>,
    beside: &dyn Fn(&str) -> io::Result<String>,
) {
    let file = suite.requirements_file.clone();
    let listed = match beside(&file)
        .map_err(|error| (0, error.to_string()))
        .and_then(|text| requirement::parse(&text))
    {
        Ok(listed) => listed,
        Err((line, message)) => {
            let at = if line == 0 { String::new() } else { format!(" line {line}") };
            return faults.add("/requirements-file", format!("{file}{at}: {message}"));
        }
    };
    let verified: HashSet<&str> =
        suite.tests.iter().flat_map(|test| &test.verifies).map(String::as_str).collect();
    for (at, id) in suite.requirements.iter().enumerate() {
        let pointer = format!("/requirements/{at}");
        match listed.iter().find(|requirement| requirement.id == *id) {
            Some(requirement) => suite.texts.push(requirement.clone()),
            None => faults.add(&pointer, format!("the requirement {id} does not stand in {file}")),
        }
        let found = listed.iter().find(|requirement| requirement.id == *id);
        if let Some(requirement) =
            found.filter(|own| !own.tests.is_empty() || own.extent == Extent::NotTestable)
        {
            check_named(suite, requirement, &pointer, faults);
        } else if !verified.contains(id.as_str()) {
            faults.add(&pointer, format!("no test verifies the requirement {id}"));
        }
    }
}

/// The tests that a requirement names and those that verify it are the same.
fn check_named(suite: &Suite, requirement: &Requirement, pointer: &str, faults: &mut Faults<'_>) {
    let id = &requirement.id;
    let own = requirement.tests.iter().filter(|name| !name.contains("::"));
    for name in own {
        if !suite.tests.iter().any(|test| test.id == *name && test.verifies.contains(id)) {
            faults.add(pointer, format!("{id} names the test {name}; no test of this id verifies it"));
        }
    }
    for test in suite.tests.iter().filter(|test| test.verifies.contains(id)) {
        if !requirement.tests.contains(&test.id) {
            let file = &suite.requirements_file;
            faults.add(
                pointer,
                format!("the test {} verifies {id}, and {file} does not name it there", test.id),
            );
        }
    }
}

/// Checks every step, and reads the files that bodies come from.
pub(super) fn check_tests(
    suite: &mut Suite,
    faults: &mut Faults<'_>,
    beside: &dyn Fn(&str) -> io::Result<String>,
) {
    let mut scope =
        Scope { variables: HashSet::from([UUID.to_owned(), "base".to_owned()]), ..Scope::default() };
    scope.actors = suite.actors.keys().cloned().chain([NOBODY.to_owned()]).collect();
    scope.variables(&suite.variables, "/variables", faults);
    for (at, step) in suite.setup.iter().enumerate() {
        scope.step(step, &format!("/setup/{at}"), None, &suite.requirements, faults);
    }
    let mut ids = HashSet::new();
    for (at, test) in suite.tests.iter().enumerate() {
        let pointer = format!("/tests/{at}");
        if !ids.insert(test.id.as_str()) {
            faults.add(&format!("{pointer}/id"), format!("the id {} stands in the suite twice", test.id));
        }
        for (number, id) in test.verifies.iter().enumerate() {
            if !suite.requirements.contains(id) {
                faults.add(
                    &format!("{pointer}/verifies/{number}"),
                    format!("the suite has no requirement {id}"),
                );
            }
        }
        scope.clone().test(test, &pointer, &suite.requirements, faults);
    }
    for (at, step) in suite.teardown.iter().enumerate() {
        scope.step(step, &format!("/teardown/{at}"), None, &suite.requirements, faults);
    }
    let mut files = BTreeMap::new();
    for (pointer, name) in body_files(suite) {
        match beside(&name) {
            Ok(text) => {
                files.insert(name, text);
            }
            Err(error) => faults.add(&pointer, format!("{name} can't be read: {error}")),
        }
    }
    suite.files = files;
}

fn body_files(suite: &Suite) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut note = |steps: &[Step], pointer: &str| {
        for (at, step) in steps.iter().enumerate() {
            if let Some(name) = &step.request.body_file {
                found.push((format!("{pointer}/{at}/request/body-file"), name.clone()));
            }
        }
    };
    note(&suite.setup, "/setup");
    for (at, test) in suite.tests.iter().enumerate() {
        note(&test.setup, &format!("/tests/{at}/setup"));
        note(&test.steps, &format!("/tests/{at}/steps"));
        note(&test.teardown, &format!("/tests/{at}/teardown"));
    }
    note(&suite.teardown, "/teardown");
    found
}

/// What is known at a point of the file: variables, saved answers, actors.
#[derive(Debug, Clone, Default)]
struct Scope {
    variables: HashSet<String>,
    responses: HashSet<String>,
    actors: HashSet<String>,
}

impl Scope {
    fn test(mut self, test: &Test, pointer: &str, requirements: &[String], faults: &mut Faults<'_>) {
        self.variables(&test.variables, &format!("{pointer}/variables"), faults);
        for (part, steps) in [("setup", &test.setup), ("steps", &test.steps), ("teardown", &test.teardown)] {
            for (at, step) in steps.iter().enumerate() {
                self.step(step, &format!("{pointer}/{part}/{at}"), Some(test), requirements, faults);
            }
        }
    }

    fn variables(&mut self, own: &serde_json::Map<String, Value>, pointer: &str, faults: &mut Faults<'_>) {
        for (name, value) in own {
            let at = format!("{pointer}/{name}");
            self.template(value.as_str().unwrap_or_default(), &at, faults);
            if name == UUID || name == "base" {
                faults.add(&at, format!("the variable {name} is set by the runner"));
            }
            self.variables.insert(name.clone());
        }
    }

    fn template(&self, text: &str, pointer: &str, faults: &mut Faults<'_>) {
        for part in parts(text) {
            match part {
                Ok(Part::Text(_)) => {}
                Ok(Part::Variable(name)) if self.variables.contains(name) => {}
                Ok(Part::Variable(name)) => {
                    faults.add(pointer, TemplateFault::Unknown(name.to_owned()).to_string())
                }
                Err(fault) => faults.add(pointer, fault.to_string()),
            }
        }
    }

    fn step(
        &mut self,
        step: &Step,
        pointer: &str,
        test: Option<&Test>,
        requirements: &[String],
        faults: &mut Faults<'_>,
    ) {
        for (at, id) in step.verifies.iter().enumerate() {
            let own = test.map_or(requirements, |test| test.verifies.as_slice());
            if !own.contains(id) {
                faults.add(&format!("{pointer}/verifies/{at}"), format!("the test does not verify {id}"));
            }
        }
        self.request(step, &format!("{pointer}/request"), faults);
        self.expect(step, &format!("{pointer}/expect"), faults);
        for (name, save) in &step.save {
            let at = format!("{pointer}/save/{name}");
            if let Save::Place(place) = save {
                check_place(place.path.as_deref(), place.pointer.as_deref(), &at, faults);
            }
            if step.only_in.is_some() && !self.variables.contains(name) {
                let text = format!(
                    "{name} is saved in one world alone; give it a value for the other in `variables`"
                );
                faults.add(&at, text);
            }
            self.variables.insert(name.clone());
        }
        self.responses.extend(step.save_response.clone());
    }

    fn request(&self, step: &Step, pointer: &str, faults: &mut Faults<'_>) {
        let request = &step.request;
        self.template(&request.path, &format!("{pointer}/path"), faults);
        if !request.path.is_empty() && !request.path.starts_with('/') && !request.path.starts_with("${") {
            faults.add(&format!("{pointer}/path"), "a path begins with / or with a variable");
        }
        for (name, values) in &request.query {
            for value in values.as_slice() {
                self.template(value, &format!("{pointer}/query/{name}"), faults);
            }
        }
        for (name, value) in &request.headers {
            self.template(value, &format!("{pointer}/headers/{name}"), faults);
            if name.eq_ignore_ascii_case("authorization") {
                let text = "tokens are not written into suites; name an actor with `as`";
                faults.add(&format!("{pointer}/headers/{name}"), text);
            }
        }
        if let Some(actor) = &request.actor
            && !self.actors.contains(actor)
        {
            let text = format!("the suite has no actor {actor}; add it to `actors`, or use {NOBODY}");
            faults.add(&format!("{pointer}/as"), text);
        }
        let bodies = [
            request.body.is_some(),
            request.json.is_some(),
            request.body_file.is_some(),
            request.generate.is_some(),
        ];
        if bodies.iter().filter(|given| **given).count() > 1 {
            faults.add(pointer, "a request has one of body, json, body-file and generate");
        }
        if let Some(body) = &request.body {
            self.template(body, &format!("{pointer}/body"), faults);
        }
        if let Some(json) = &request.json {
            self.json(json, &format!("{pointer}/json"), faults);
        }
    }

    fn json(&self, value: &Value, pointer: &str, faults: &mut Faults<'_>) {
        match value {
            Value::String(text) => self.template(text, pointer, faults),
            Value::Number(number) if number.is_f64() => {
                faults.add(pointer, "a decimal loses its digits here; write the body as text with `body`");
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.json(item, &format!("{pointer}/{at}"), faults);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.json(
                        member,
                        &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
                        faults,
                    );
                }
            }
            _ => {}
        }
    }

    fn expect(&self, step: &Step, pointer: &str, faults: &mut Faults<'_>) {
        let expect = &step.expect;
        for (name, check) in &expect.headers {
            let at = format!("{pointer}/headers/{name}");
            self.template(check.equals.as_deref().unwrap_or_default(), &at, faults);
            self.pattern(check.matches.as_deref(), &at, faults);
        }
        for (number, check) in expect.body.iter().enumerate() {
            let at = format!("{pointer}/body/{number}");
            check_place(check.path.as_deref(), check.pointer.as_deref(), &at, faults);
            let placed = check.path.is_some() || check.pointer.is_some();
            let asked = check.equals.is_some()
                || check.contains.is_some()
                || check.all.is_some()
                || check.exists.is_some()
                || check.count.is_some()
                || check.matches.is_some()
                || check.digits.is_some();
            if placed != asked || (check.path.is_some() && check.pointer.is_some()) {
                let text = "a check has a path or a pointer, and says what is expected there; or it names a resource";
                faults.add(&at, text);
            }
            for value in [&check.equals, &check.contains, &check.all].into_iter().flatten() {
                self.template(value.as_str().unwrap_or_default(), &at, faults);
            }
            self.pattern(check.matches.as_deref(), &at, faults);
        }
        if let Some(same) = &expect.same_as {
            let at = format!("{pointer}/same-as");
            if !self.responses.contains(&same.response) {
                faults.add(&at, format!("no earlier step saves a response as {}", same.response));
            }
            for text in &same.except_paths {
                check_place(Some(text), None, &at, faults);
            }
            for text in &same.alike {
                self.template(text, &at, faults);
            }
        }
    }

    fn pattern(&self, pattern: Option<&str>, pointer: &str, faults: &mut Faults<'_>) {
        let Some(pattern) = pattern else { return };
        self.template(pattern, pointer, faults);
        let tried: String = parts(pattern)
            .map(|part| match part {
                Ok(Part::Text(text)) => text,
                _ => "x",
            })
            .collect();
        if let Err(message) = Pattern::new(&tried) {
            faults.add(pointer, message);
        }
    }
}

fn check_place(path_text: Option<&str>, pointer_text: Option<&str>, at: &str, faults: &mut Faults<'_>) {
    let parsed = [path_text.map(path::Place::path), pointer_text.map(path::Place::pointer)];
    for fault in parsed.into_iter().flatten().filter_map(Result::err) {
        faults.add(at, fault);
    }
}
