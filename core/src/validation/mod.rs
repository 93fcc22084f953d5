//! Validation of resources against the definitions (FHIR R4 §2.29, §2.6.2).
//!
//! A [`Validator`] compiles each type's definition once, when a document first needs it, into small
//! immutable rules; after that a validation is one walk over the tape. One kind of rule is one file. Each
//! rule has a cheap check, and an explanation that is made only where the check fails.
//!
//! Checked today: unknown elements, cardinality, JSON form, primitive grammars, choices, `_name` twins,
//! content (`ele-1`), types of resources, containment, bindings to the value sets at hand, codes by their
//! code systems, extensions by their definitions, references, narrative, ids of elements, sizes of attachments, invariants in
//! FHIRPath, profiles (asked for, claimed in `meta.profile`, declared by a guide, or those of vital signs),
//! Bundles, questionnaires and answers to them, conformance resources (structures against their base, searches,
//! operations, statements, guides, measures and reports), order of elements in XML, instances of logical models.
//! Deliberately absent: what references beyond the document lead to, unless it is
//! brought ([`Validator::with_instance`]).
//!
//! Invariants: a code that no value set at hand can judge is counted, never an error. Findings come in
//! document order. The validator never recurses deeper than [`Settings::depth`] nor collects more than
//! [`Settings::findings`].

mod anchor;
mod binding;
mod bundle;
mod bytes;
mod canonical;
mod cardinality;
mod choice;
mod code_system;
mod coding;
mod compile;
mod concept_map;
mod conformance;
mod content;
mod cross_version;
mod cure;
mod datatype;
mod element_id;
mod extension;
mod extension_context;
mod extension_use;
mod finding;
mod form;
mod identifier;
mod implied;
mod instances;
mod invariant;
mod issue;
mod local_reference;
mod locate;
mod logical;
mod memo;
mod modifier_table;
mod narrative;
mod native;
mod pairs;
mod primitive;
mod profile;
mod questionnaire;
mod reference;
mod resource;
mod resources;
mod shape;
mod special;
mod stream;
mod tongue;
mod twin;
mod types;
mod unknown;
mod unknown_code;
mod uri_form;
mod value_set;
mod value_set_filter;
mod walk;

#[cfg(test)]
mod shortcut_tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Document, Limits, Name, OwnedDocument, Value, name};

use crate::fhirpath::Temporal;
use crate::mapping::LogicalXml;
use crate::outcome::{Issue, IssueType, Outcome};
use crate::terminology::{Answers, Codes, Question};

pub use bytes::syntax_issue;
pub use cure::cure;
use finding::Finding;
pub use finding::Rule;
use instances::Instances;
use locate::{Lines, Locator};
use profile::Profiles;
pub(crate) use profile::segments::{Segment, ways};
pub use stream::Streamed;
use types::Types;
use walk::Walk;

/// The bounds of a validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Most findings of one document; beyond them the validation ends and says so.
    pub findings: usize,
    /// Deepest nesting of elements.
    pub depth: usize,
    /// What becomes of extensions that no definition at hand describes.
    pub unknown_extensions: UnknownExtensions,
    /// Whether [`ValidationReport::unknown_systems`] is filled, which costs a little for each such code.
    pub unknown_systems: bool,
    /// Mention elements that a profile marks as `mustSupport` and that the resource lacks: what a sender of
    /// this profile is expected to be able to say (FHIR R4 §2.29, `ElementDefinition.mustSupport`).
    pub must_support: bool,
}

impl Default for Settings {
    /// 200 findings, 128 levels, unknown extensions accepted, unknown codes counted without their systems, nothing
    /// said of `mustSupport`.
    fn default() -> Settings {
        Settings {
            findings: 200,
            depth: 128,
            unknown_extensions: UnknownExtensions::Accept,
            unknown_systems: false,
            must_support: false,
        }
    }
}

/// What becomes of extensions that no definition at hand describes (FHIR R4 §2.5). Unknown modifier
/// extensions are errors always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownExtensions {
    /// They are mentioned, as information.
    #[default]
    Accept,
    /// They are errors, but for those of an authority that
    /// [`Validator::with_extension_authority`] names.
    Error,
}

/// Validates resources. Made once, used by many threads; a clone shares what is compiled.
#[derive(Debug, Clone)]
pub struct Validator {
    types: Arc<Types>,
    profiles: Arc<Profiles>,
    /// Profiles that every resource must obey.
    asked: Vec<String>,
    settings: Settings,
    /// Beginnings of the urls of extensions that need no definition.
    authorities: Vec<String>,
    /// The time, where it is known.
    now: Option<Temporal>,
    schema: Arc<DefinitionSchema>,
    limits: Limits,
    /// Profiles that every resource of a type must obey.
    typed: Vec<(Name, String)>,
    instances: Instances,
    /// The logical models among the profiles asked for, and those that they use.
    logical: Arc<OnceLock<logical::Models>>,
    /// How XML writes them.
    logical_xml: Arc<OnceLock<LogicalXml>>,
}

/// The result of a validation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValidationReport {
    /// What is wrong, in document order.
    pub issues: Vec<Issue>,
    /// Codes that no value set at hand could judge.
    pub unknown_codes: usize,
    /// Of these, the questions that a terminology server may answer, sorted; only from
    /// [`Validator::validate_with`], at most [`MOST_QUESTIONS`](crate::terminology::MOST_QUESTIONS).
    pub questions: Vec<Question>,
    /// The same by code system, or by value set for those that state no system; empty unless
    /// [`Settings::unknown_systems`] asks for it.
    pub unknown_systems: BTreeMap<String, usize>,
    /// Invariants that could not be evaluated, most of them for want of a clock or a function.
    pub unchecked_invariants: usize,
    /// True where [`Settings::findings`] was reached: there may be more to find.
    pub truncated: bool,
}

impl ValidationReport {
    /// True where nothing is wrong; warnings don't count.
    pub fn is_valid(&self) -> bool {
        !self.issues.iter().any(|issue| issue.severity.is_error())
    }

    /// The issues as an outcome.
    pub fn into_outcome(self) -> Outcome {
        Outcome { issues: self.issues }
    }
}

impl Validator {
    /// A validator with these definitions. Nothing is compiled yet.
    pub fn new(definitions: Arc<Definitions>) -> Validator {
        Validator::with_settings(definitions, Settings::default())
    }

    /// A validator with bounds of its own.
    pub fn with_settings(definitions: Arc<Definitions>, settings: Settings) -> Validator {
        Validator {
            schema: Arc::new(DefinitionSchema::new(Arc::clone(&definitions))),
            types: Arc::new(Types::new(definitions)),
            profiles: Arc::new(Profiles::default()),
            asked: Vec::new(),
            settings,
            authorities: Vec::new(),
            now: None,
            limits: Limits::default(),
            typed: Vec::new(),
            instances: Instances::default(),
            logical: Arc::default(),
            logical_xml: Arc::default(),
        }
    }

    /// The same validator, which accepts unknown extensions whose url begins so
    /// (`https://hospital.example/fhir/`) even under [`UnknownExtensions::Error`].
    #[must_use]
    pub fn with_extension_authority(mut self, prefix: impl Into<String>) -> Validator {
        self.authorities.push(prefix.into());
        self
    }

    /// The same validator, told the time: a DateTime with time zone. Without it, bounds relative to today
    /// and invariants that ask for the time are not checked.
    #[must_use]
    pub fn with_now(mut self, now: Temporal) -> Validator {
        self.now = Some(now);
        self
    }

    /// The same validator, for resources that must obey this profile beside those that they claim. Where it is the
    /// canonical of a logical model, documents are instances of that model, in JSON without a need for
    /// `resourceType`, or in XML as the model says (namespaces, names, attributes, `xsi:type`).
    #[must_use]
    pub fn with_profile(mut self, canonical: impl Into<String>) -> Validator {
        self.asked.push(canonical.into());
        self.logical = Arc::default();
        self
    }

    /// The same validator, with these bounds on documents that it reads itself ([`Validator::read`]).
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Validator {
        self.limits = limits;
        self
    }

    /// The bounds on documents that it reads itself.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Why a profile can't be checked, in words: it is not at hand, or broken. None where it can.
    pub fn profile_fault(&self, canonical: &str) -> Option<String> {
        let definitions = self.types.definitions();
        if logical::is_logical(definitions, canonical) {
            return logical::Models::of(definitions, &[canonical.to_owned()]).fault();
        }
        self.profiles.get(&self.types, canonical).err().map(|error| error.to_string())
    }

    /// The same validator, for documents in which every resource of this type, wherever it stands, must obey
    /// this profile beside those that it claims.
    #[must_use]
    pub fn with_profile_of(mut self, type_name: &str, canonical: impl Into<String>) -> Validator {
        self.typed.push((Name::of(type_name), canonical.into()));
        self
    }

    /// The same validator with a resource at hand that relative references may lead to: where an element
    /// demands a profile of its target, this one is held against it. A resource without type or id is
    /// never found.
    #[must_use]
    pub fn with_instance(mut self, resource: OwnedDocument) -> Validator {
        self.instances.add(resource);
        self
    }

    /// Validates a resource and explains every fault.
    pub fn validate(&self, document: Document<'_>) -> ValidationReport {
        self.report(document, None)
    }

    /// The same with what a terminology server said before; its report has the questions that are left.
    ///
    /// Ask with `&()` first, take [`ValidationReport::questions`] to the server, and validate again with its
    /// answers until no question is left: answers may lead to other questions.
    pub fn validate_with(&self, document: Document<'_>, answers: &dyn Answers) -> ValidationReport {
        self.report(document, Some(answers))
    }

    fn report(&self, document: Document<'_>, answers: Option<&dyn Answers>) -> ValidationReport {
        let walk = self.walk(document, self.settings, false, answers);
        ValidationReport {
            truncated: walk.full || document.has_more_form_faults(),
            unknown_codes: walk.unknown_codes,
            questions: walk.codes.into_questions(),
            unknown_systems: walk.unknown_systems,
            unchecked_invariants: walk.unchecked_invariants,
            issues: form::among(&self.types, document, self.issues(document, walk.findings)),
        }
    }

    /// True where a resource has no error: what [`ValidationReport::is_valid`] would say. Stops at the first one.
    pub fn is_valid(&self, document: Document<'_>) -> bool {
        document.form_faults().is_empty()
            && self.walk(document, Settings { findings: 1, ..self.settings }, true, None).findings.is_empty()
    }

    fn walk<'v, 'd>(
        &'v self,
        document: Document<'d>,
        settings: Settings,
        faults_only: bool,
        answers: Option<&'v dyn Answers>,
    ) -> Walk<'v, 'd> {
        let mut walk = self.begin(document, settings, answers);
        walk.faults_only = faults_only;
        self.finish(&mut walk, document);
        walk
    }

    fn begin<'v, 'd>(
        &'v self,
        document: Document<'d>,
        settings: Settings,
        answers: Option<&'v dyn Answers>,
    ) -> Walk<'v, 'd> {
        let codes = Codes::new(self.types.definitions(), answers);
        let mut walk = Walk::new(&self.types, &self.profiles, settings, document, codes);
        walk.authorities = &self.authorities;
        walk.now = self.now;
        walk.typed = &self.typed;
        walk.instances = Some(&self.instances);
        walk
    }

    fn finish<'v, 'd>(&'v self, walk: &mut Walk<'v, 'd>, document: Document<'d>) {
        let models = self.models();
        if logical::is_instance(&self.types, models, document.root()) {
            logical::check(walk, models, document.root());
        } else {
            resource::check(walk, document.root(), false);
            logical::check(walk, models, document.root());
        }
        for misplaced in document.misplaced() {
            if let Some(value) = document.value(misplaced) {
                let message = "in XML, elements stand in the order of the definition: move this one";
                walk.report(value, value, Rule::XmlOrder.error(IssueType::Structure, message));
            }
        }
        for special in std::mem::take(&mut walk.special) {
            special::check(walk, special);
        }
        anchor::check(walk, document);
        extension_use::check(walk, document);
        for canonical in self.asked.iter().filter(|it| !models.asks(it)) {
            walk.conform(document.root(), canonical, true);
        }
        for claim in std::mem::take(&mut walk.claims) {
            let profiles = claim.get(name::META).and_then(|meta| meta.get(name::PROFILE));
            for canonical in profiles.into_iter().flat_map(Value::items).filter_map(Value::as_str) {
                walk.conform(claim, &canonical, false);
            }
        }
        for resource in std::mem::take(&mut walk.implied) {
            implied::check(walk, resource);
        }
    }

    fn models(&self) -> &logical::Models {
        self.logical.get_or_init(|| logical::Models::of(self.types.definitions(), &self.asked))
    }

    /// What an instance of the logical model asked for is called.
    fn called(&self) -> Option<&str> {
        self.models().first().map(logical::Model::name)
    }

    fn issues(&self, document: Document<'_>, mut findings: Vec<Finding>) -> Vec<Issue> {
        if findings.is_empty() {
            return Vec::new();
        }
        findings.sort_by_key(|finding| finding.element);
        let mut locator = Locator::new(&self.types, document).called(self.called());
        let located = findings.into_iter().map(|finding| {
            (issue::offset(document, &finding), locator.expression(finding.element), finding.fault)
        });
        let mut located: Vec<_> = located.collect();
        located.sort_by_key(|(offset, ..)| *offset);
        let mut lines = Lines::new(document.source());
        let told = |(offset, expression, fault)| issue::of(fault, expression, lines.position(offset));
        located.into_iter().map(told).collect()
    }
}
