//! What a rule says when it is broken, before it becomes an issue.
//!
//! A finding names nodes of the document. Element expressions and line numbers are worked out once, at the
//! end, for all findings together ([`super::locate`]).

use fhir_models::document::NodeId;

use crate::outcome::{IssueSeverity, IssueType};

/// The kinds of rule, one file each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// An element that the type does not have.
    UnknownElement,
    /// Too few or too many repetitions.
    Cardinality,
    /// The grammar of JSON or XML.
    Syntax,
    /// An array, object or primitive where JSON writes another.
    JsonForm,
    /// Elements out of their order in XML.
    XmlOrder,
    /// An empty object, array or text, or a `null` out of place.
    Content,
    /// The grammar of a primitive.
    Primitive,
    /// More than one variant of a `[x]` element.
    Choice,
    /// The type of a resource.
    ResourceType,
    /// A resource inside a resource.
    Contained,
    /// The form of an extension.
    Extension,
    /// The form of a reference.
    Reference,
    /// The form of the narrative.
    Narrative,
    /// A code outside its value set.
    Binding,
    /// A code that its code system does not have, or a system that is none.
    Code,
    /// An identifier that contradicts its system.
    Identifier,
    /// Markup where plain text belongs.
    Markup,
    /// The id of an element.
    ElementId,
    /// A profile that is broken, not at hand, or not obeyed.
    Profile,
    /// Slices: how often, in which order, and what stands beside them.
    Slicing,
    /// A type that a profile does not allow.
    Type,
    /// A fixed value or pattern.
    Fixed,
    /// Least and largest value, longest text.
    Bounds,
    /// The type or profile of a reference's target.
    Target,
    /// A constraint in FHIRPath.
    Invariant,
    /// Answers and the questions that they answer.
    Questionnaire,
    /// A Bundle, its entries and the references between them.
    Bundle,
    /// A rule of one type of resource that FHIRPath can't express.
    Resource,
    /// The definitions can't say what is right.
    Definition,
    /// A bound of the validator.
    Limit,
}

impl Rule {
    /// The rule's name in summaries and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Rule::UnknownElement => "unknown-element",
            Rule::Cardinality => "cardinality",
            Rule::Syntax => "syntax",
            Rule::JsonForm => "json-form",
            Rule::XmlOrder => "xml-order",
            Rule::Content => "content",
            Rule::Primitive => "primitive",
            Rule::Choice => "choice",
            Rule::ResourceType => "resource-type",
            Rule::Contained => "contained",
            Rule::Extension => "extension",
            Rule::Reference => "reference",
            Rule::Narrative => "narrative",
            Rule::Binding => "binding",
            Rule::Code => "code",
            Rule::Identifier => "identifier",
            Rule::Markup => "markup",
            Rule::ElementId => "element-id",
            Rule::Profile => "profile",
            Rule::Slicing => "slicing",
            Rule::Type => "type",
            Rule::Fixed => "fixed",
            Rule::Bounds => "bounds",
            Rule::Target => "target",
            Rule::Invariant => "invariant",
            Rule::Questionnaire => "questionnaire",
            Rule::Bundle => "bundle",
            Rule::Resource => "resource",
            Rule::Definition => "definition",
            Rule::Limit => "limit",
        }
    }
}

/// A broken rule, without its place.
#[derive(Debug)]
pub(super) struct Fault {
    pub rule: Rule,
    pub severity: IssueSeverity,
    pub code: IssueType,
    pub message: String,
}

impl Fault {
    pub fn error(rule: Rule, code: IssueType, message: impl Into<String>) -> Fault {
        Fault { rule, severity: IssueSeverity::Error, code, message: message.into() }
    }
}

/// A broken rule and its place.
#[derive(Debug)]
pub(super) struct Finding {
    /// The element that the expression names.
    pub element: NodeId,
    /// The value that line and column point at.
    pub place: NodeId,
    pub fault: Fault,
}
