//! A map as data, whichever way it was written. Offsets (`at`) are bytes from the start of the source.

/// A map.
#[derive(Debug, Clone, Default)]
pub struct StructureMap {
    /// Canonical URL.
    pub url: String,
    /// Name.
    pub name: String,
    /// Further metadata, such as `title` and `status`, in the order written; without value where a map takes one away.
    pub metadata: Vec<(String, Option<Literal>)>,
    /// The structures it is about.
    pub structures: Vec<StructureUse>,
    /// Other maps whose groups it uses.
    pub imports: Vec<Import>,
    /// Constants (`let`).
    pub constants: Vec<Constant>,
    /// Concept maps written within it.
    pub concept_maps: Vec<EmbeddedConceptMap>,
    /// `ConceptMap` resources that a `StructureMap` resource contains, as JSON.
    pub contained: Vec<String>,
    /// Groups; the first is where a transformation begins.
    pub groups: Vec<Group>,
}

/// How a structure is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelMode {
    /// Read.
    Source,
    /// Looked up.
    Queried,
    /// Written.
    Target,
    /// Written on the side.
    Produced,
}

/// `uses`
#[derive(Debug, Clone)]
pub struct StructureUse {
    /// Canonical of its definition.
    pub url: String,
    /// The name by which groups call it.
    pub alias: Option<String>,
    /// How it is used.
    pub mode: ModelMode,
    /// What the author says about it.
    pub documentation: Option<String>,
    /// Offset.
    pub at: usize,
}

/// `imports`
#[derive(Debug, Clone)]
pub struct Import {
    /// Canonical of a map; `*` stands for any text.
    pub url: String,
    /// Offset.
    pub at: usize,
}

/// `let`
#[derive(Debug, Clone)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// Its value in FHIRPath.
    pub value: Expression,
    /// Offset.
    pub at: usize,
}

/// A FHIRPath expression. Strings are in single quotes, whatever they were written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// Its text.
    pub text: String,
    /// Offset of its first character.
    pub at: usize,
}

/// A constant value. Numbers, dates and times are kept as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A text.
    String(String),
    /// A whole number.
    Integer(String),
    /// A decimal.
    Decimal(String),
    /// true or false
    Boolean(bool),
    /// A date.
    Date(String),
    /// A date with time.
    DateTime(String),
    /// A time.
    Time(String),
}

/// `conceptmap`
#[derive(Debug, Clone)]
pub struct EmbeddedConceptMap {
    /// Its id with `#`, or its canonical.
    pub url: String,
    /// Prefixes and the code systems that they stand for.
    pub prefixes: Vec<(String, String)>,
    /// Prefixes of code systems whose unmapped codes are taken as they are.
    pub provided: Vec<String>,
    /// The pairs.
    pub pairs: Vec<CodePair>,
    /// Offset.
    pub at: usize,
}

/// One side of a pair.
#[derive(Debug, Clone)]
pub struct CodeSide {
    /// A declared prefix.
    pub prefix: String,
    /// The code.
    pub code: String,
}

/// A pair of codes.
#[derive(Debug, Clone)]
pub struct CodePair {
    /// What is mapped.
    pub source: CodeSide,
    /// `==`, `-`, `!=`, `<=`, `>=`, `<-`, `>-` or `~`
    pub relation: String,
    /// What it is mapped to; absent where nothing is.
    pub target: Option<CodeSide>,
    /// Offset.
    pub at: usize,
}

/// Which side a parameter is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputMode {
    /// It is read.
    Source,
    /// It is written.
    Target,
}

/// Whether a group is a default for its types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TypeMode {
    /// It is called by name only.
    #[default]
    None,
    /// `<<types>>`: the default for its source and target type together.
    Types,
    /// `<<type+>>`: that, and the default for its source type alone.
    TypeAndTypes,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The group whose rules come first.
    pub extends: Option<String>,
    /// Whether it is a default.
    pub type_mode: TypeMode,
    /// Its parameters: at least a source.
    pub parameters: Vec<GroupParameter>,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// What the author says about it.
    pub documentation: Option<String>,
    /// Offset.
    pub at: usize,
}

/// A group's parameter.
#[derive(Debug, Clone)]
pub struct GroupParameter {
    /// Its side.
    pub mode: InputMode,
    /// Its name.
    pub name: String,
    /// Its type: an alias or a type's name.
    pub type_name: Option<String>,
    /// Offset.
    pub at: usize,
}

/// A rule.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What it reads.
    pub sources: Vec<RuleSource>,
    /// What it writes.
    pub targets: Vec<RuleTarget>,
    /// Groups that it calls.
    pub dependents: Vec<Dependent>,
    /// Rules within it.
    pub rules: Vec<Rule>,
    /// What the author says about it.
    pub documentation: Option<String>,
    /// Offset.
    pub at: usize,
}

impl Rule {
    /// True for `a.x -> b.y`: what becomes of the content is settled by the types.
    pub fn is_identity(&self) -> bool {
        let ([source], [target]) = (self.sources.as_slice(), self.targets.as_slice()) else { return false };
        source.element.is_some()
            && target.element.is_some()
            && target.transform.is_none()
            && self.rules.is_empty()
            && self.dependents.is_empty()
    }
}

/// Which of several source items are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceListMode {
    /// The first.
    First,
    /// All but the first.
    NotFirst,
    /// The last.
    Last,
    /// All but the last.
    NotLast,
    /// The only one; several are an error.
    OnlyOne,
}

/// What a rule reads.
#[derive(Debug, Clone, Default)]
pub struct RuleSource {
    /// The variable to start from.
    pub context: String,
    /// An element of it; several joined by dots.
    pub element: Option<String>,
    /// Only items of this type.
    pub type_name: Option<String>,
    /// Fewest items.
    pub min: Option<u32>,
    /// Most items; `*` for no bound.
    pub max: Option<String>,
    /// What is taken where there is nothing.
    pub default: Option<Expression>,
    /// Which items are taken.
    pub list_mode: Option<SourceListMode>,
    /// The name that an item gets.
    pub variable: Option<String>,
    /// Only items for which this holds.
    pub condition: Option<Expression>,
    /// What must hold.
    pub check: Option<Expression>,
    /// What is logged.
    pub log: Option<Expression>,
    /// Offset.
    pub at: usize,
}

/// Where in a list a target item goes, or which is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetListMode {
    /// It goes before the others.
    First,
    /// The same item for all rules that share it.
    Share,
    /// It goes behind the others.
    Last,
    /// There is one item, whoever writes it.
    Single,
}

/// What a rule writes.
#[derive(Debug, Clone, Default)]
pub struct RuleTarget {
    /// The variable to write in; absent where only a variable is made.
    pub context: Option<String>,
    /// An element of it; several joined by dots.
    pub element: Option<String>,
    /// Where the value comes from; absent for a new item.
    pub transform: Option<Transform>,
    /// The name that the item gets.
    pub variable: Option<String>,
    /// List modes.
    pub list_modes: Vec<TargetListMode>,
    /// With `share`: the name under which the item is shared.
    pub list_rule: Option<String>,
    /// Offset.
    pub at: usize,
}

macro_rules! transforms {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A function that gives a target its value (code system `map-transform`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum TransformKind {
            $(#[doc = concat!("`", $name, "`")] $variant),*
        }

        impl TransformKind {
            /// The transform with this name.
            pub fn of(name: &str) -> Option<TransformKind> {
                match name {
                    $($name => Some(TransformKind::$variant),)*
                    _ => None,
                }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(TransformKind::$variant => $name),*
                }
            }
        }
    };
}

transforms! {
    Create = "create", Copy = "copy", Truncate = "truncate", Escape = "escape", Cast = "cast",
    Append = "append", Translate = "translate", Reference = "reference", DateOp = "dateOp", Uuid = "uuid",
    Pointer = "pointer", Evaluate = "evaluate", Cc = "cc", C = "c", Qty = "qty", Id = "id", Cp = "cp",
}

/// A transform and its parameters.
#[derive(Debug, Clone)]
pub struct Transform {
    /// Which one.
    pub kind: TransformKind,
    /// For `evaluate`, the last one is the expression, as a string.
    pub parameters: Vec<Parameter>,
    /// Offset.
    pub at: usize,
}

/// A parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// What it is.
    pub value: ParameterValue,
    /// Offset.
    pub at: usize,
}

/// What a parameter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterValue {
    /// A variable or constant.
    Variable(String),
    /// A value.
    Literal(Literal),
}

/// A group that a rule calls.
#[derive(Debug, Clone)]
pub struct Dependent {
    /// The group's name.
    pub name: String,
    /// What it is given.
    pub parameters: Vec<Parameter>,
    /// Offset.
    pub at: usize,
}
