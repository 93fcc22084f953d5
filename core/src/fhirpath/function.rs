//! The functions of FHIRPath and those that FHIR adds (FHIR R4 §2.1.20.4): names and arguments.

use super::system::SystemType;

/// How many arguments a function takes.
pub(super) struct Signature {
    pub name: &'static str,
    pub function: Function,
    pub least: usize,
    pub most: usize,
}

/// What a function gives, as far as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// A value of one of FHIRPath's types.
    System(SystemType),
    /// Items of the input.
    Input,
    /// It depends on more than the name.
    Other,
}

/// What a function works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Anything,
    Text,
    Number,
    Boolean,
}

macro_rules! functions {
    ($($variant:ident $name:literal $least:literal..=$most:literal $takes:ident $gives:expr;)*) => {
        /// A function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($variant),* }

        static SIGNATURES: &[Signature] =
            &[$(Signature { name: $name, function: Function::$variant, least: $least, most: $most }),*];

        impl Function {
            /// Its name, without parentheses.
            pub fn name(self) -> &'static str {
                match self { $(Function::$variant => $name),* }
            }

            pub fn takes(self) -> Takes {
                match self { $(Function::$variant => Takes::$takes),* }
            }

            pub fn gives(self) -> Gives {
                match self { $(Function::$variant => $gives),* }
            }
        }
    };
}

const BOOLEAN: Gives = Gives::System(SystemType::Boolean);
const INTEGER: Gives = Gives::System(SystemType::Integer);
const DECIMAL: Gives = Gives::System(SystemType::Decimal);
const STRING: Gives = Gives::System(SystemType::String);
const INPUT: Gives = Gives::Input;
const OTHER: Gives = Gives::Other;
const MANY: usize = usize::MAX;

functions! {
    // Existence
    Empty "empty" 0..=0 Anything BOOLEAN;
    Exists "exists" 0..=1 Anything BOOLEAN;
    All "all" 1..=1 Anything BOOLEAN;
    AllTrue "allTrue" 0..=0 Boolean BOOLEAN;
    AnyTrue "anyTrue" 0..=0 Boolean BOOLEAN;
    AllFalse "allFalse" 0..=0 Boolean BOOLEAN;
    AnyFalse "anyFalse" 0..=0 Boolean BOOLEAN;
    SubsetOf "subsetOf" 1..=1 Anything BOOLEAN;
    SupersetOf "supersetOf" 1..=1 Anything BOOLEAN;
    Count "count" 0..=0 Anything INTEGER;
    Distinct "distinct" 0..=0 Anything INPUT;
    IsDistinct "isDistinct" 0..=0 Anything BOOLEAN;
    Not "not" 0..=0 Anything BOOLEAN;
    // Filtering and projection
    Where "where" 1..=1 Anything INPUT;
    Select "select" 1..=1 Anything OTHER;
    Sort "sort" 0..=16 Anything INPUT;
    Repeat "repeat" 1..=1 Anything OTHER;
    RepeatAll "repeatAll" 1..=1 Anything OTHER;
    OfType "ofType" 1..=1 Anything OTHER;
    Is "is" 1..=1 Anything BOOLEAN;
    As "as" 1..=1 Anything OTHER;
    Coalesce "coalesce" 1..=64 Anything OTHER;
    // Subsetting and combining
    Single "single" 0..=0 Anything INPUT;
    First "first" 0..=0 Anything INPUT;
    Last "last" 0..=0 Anything INPUT;
    Tail "tail" 0..=0 Anything INPUT;
    Skip "skip" 1..=1 Anything INPUT;
    Take "take" 1..=1 Anything INPUT;
    Intersect "intersect" 1..=1 Anything INPUT;
    Exclude "exclude" 1..=1 Anything INPUT;
    Union "union" 1..=1 Anything OTHER;
    Combine "combine" 1..=2 Anything OTHER;
    // Conversion
    Iif "iif" 2..=3 Anything OTHER;
    ToBoolean "toBoolean" 0..=0 Anything BOOLEAN;
    ConvertsToBoolean "convertsToBoolean" 0..=0 Anything BOOLEAN;
    ToInteger "toInteger" 0..=0 Anything INTEGER;
    ConvertsToInteger "convertsToInteger" 0..=0 Anything BOOLEAN;
    ToLong "toLong" 0..=0 Anything Gives::System(SystemType::Long);
    ConvertsToLong "convertsToLong" 0..=0 Anything BOOLEAN;
    ToDecimal "toDecimal" 0..=0 Anything DECIMAL;
    ConvertsToDecimal "convertsToDecimal" 0..=0 Anything BOOLEAN;
    ToDate "toDate" 0..=1 Anything Gives::System(SystemType::Date);
    ConvertsToDate "convertsToDate" 0..=1 Anything BOOLEAN;
    ToDateTime "toDateTime" 0..=1 Anything Gives::System(SystemType::DateTime);
    ConvertsToDateTime "convertsToDateTime" 0..=1 Anything BOOLEAN;
    ToTime "toTime" 0..=0 Anything Gives::System(SystemType::Time);
    ConvertsToTime "convertsToTime" 0..=0 Anything BOOLEAN;
    ToQuantity "toQuantity" 0..=1 Anything Gives::System(SystemType::Quantity);
    ConvertsToQuantity "convertsToQuantity" 0..=1 Anything BOOLEAN;
    ToText "toString" 0..=0 Anything STRING;
    ConvertsToText "convertsToString" 0..=0 Anything BOOLEAN;
    // Strings
    IndexOf "indexOf" 1..=1 Text INTEGER;
    LastIndexOf "lastIndexOf" 1..=1 Text INTEGER;
    Substring "substring" 1..=2 Text STRING;
    StartsWith "startsWith" 1..=1 Text BOOLEAN;
    EndsWith "endsWith" 1..=1 Text BOOLEAN;
    Contains "contains" 1..=1 Text BOOLEAN;
    Upper "upper" 0..=0 Text STRING;
    Lower "lower" 0..=0 Text STRING;
    Replace "replace" 2..=2 Text STRING;
    Matches "matches" 1..=2 Text BOOLEAN;
    MatchesFull "matchesFull" 1..=2 Text BOOLEAN;
    ReplaceMatches "replaceMatches" 2..=3 Text STRING;
    Length "length" 0..=0 Text INTEGER;
    ToChars "toChars" 0..=0 Text STRING;
    Encode "encode" 1..=1 Text STRING;
    Decode "decode" 1..=1 Text STRING;
    Escape "escape" 1..=1 Text STRING;
    Unescape "unescape" 1..=1 Text STRING;
    Trim "trim" 0..=0 Text STRING;
    Split "split" 1..=1 Text STRING;
    Join "join" 0..=1 Text STRING;
    // Math and aggregates
    Abs "abs" 0..=0 Number OTHER;
    Ceiling "ceiling" 0..=0 Number OTHER;
    Exp "exp" 0..=0 Number DECIMAL;
    Floor "floor" 0..=0 Number OTHER;
    Ln "ln" 0..=0 Number DECIMAL;
    Log "log" 1..=1 Number DECIMAL;
    Power "power" 1..=1 Number OTHER;
    Round "round" 0..=1 Number OTHER;
    Sqrt "sqrt" 0..=0 Number DECIMAL;
    Truncate "truncate" 0..=0 Number OTHER;
    Aggregate "aggregate" 1..=2 Anything OTHER;
    Sum "sum" 0..=0 Anything OTHER;
    Min "min" 0..=0 Anything INPUT;
    Max "max" 0..=0 Anything INPUT;
    Avg "avg" 0..=0 Anything OTHER;
    // Navigation and utilities
    Children "children" 0..=0 Anything OTHER;
    Descendants "descendants" 0..=0 Anything OTHER;
    Trace "trace" 1..=2 Anything INPUT;
    Now "now" 0..=0 Anything Gives::System(SystemType::DateTime);
    Today "today" 0..=0 Anything Gives::System(SystemType::Date);
    TimeOfDay "timeOfDay" 0..=0 Anything Gives::System(SystemType::Time);
    DefineVariable "defineVariable" 1..=2 Anything INPUT;
    LowBoundary "lowBoundary" 0..=1 Anything OTHER;
    HighBoundary "highBoundary" 0..=1 Anything OTHER;
    Precision "precision" 0..=0 Anything INTEGER;
    Comparable "comparable" 1..=1 Anything BOOLEAN;
    Type "type" 0..=0 Anything Gives::System(SystemType::TypeInfo);
    YearOf "yearOf" 0..=0 Anything INTEGER;
    MonthOf "monthOf" 0..=0 Anything INTEGER;
    DayOf "dayOf" 0..=0 Anything INTEGER;
    HourOf "hourOf" 0..=0 Anything INTEGER;
    MinuteOf "minuteOf" 0..=0 Anything INTEGER;
    SecondOf "secondOf" 0..=0 Anything INTEGER;
    MillisecondOf "millisecondOf" 0..=0 Anything INTEGER;
    TimezoneOffsetOf "timezoneOffsetOf" 0..=0 Anything DECIMAL;
    DateOf "dateOf" 0..=0 Anything Gives::System(SystemType::Date);
    TimeOf "timeOf" 0..=0 Anything Gives::System(SystemType::Time);
    Duration "duration" 2..=2 Anything INTEGER;
    Difference "difference" 2..=2 Anything INTEGER;
    // FHIR
    Extension "extension" 1..=1 Anything OTHER;
    HasValue "hasValue" 0..=0 Anything BOOLEAN;
    GetValue "getValue" 0..=0 Anything OTHER;
    Resolve "resolve" 0..=0 Anything OTHER;
    MemberOf "memberOf" 1..=1 Anything BOOLEAN;
    Subsumes "subsumes" 1..=1 Anything BOOLEAN;
    SubsumedBy "subsumedBy" 1..=1 Anything BOOLEAN;
    ConformsTo "conformsTo" 1..=1 Anything BOOLEAN;
    HtmlChecks "htmlChecks" 0..=0 Anything BOOLEAN;
    ElementDefinition "elementDefinition" 0..=0 Anything OTHER;
    Slice "slice" 2..=2 Anything INPUT;
    CheckModifiers "checkModifiers" 0..=64 Anything INPUT;
}

impl Function {
    /// The function with this name.
    pub fn find(name: &str) -> Option<&'static Signature> {
        SIGNATURES.iter().find(|it| it.name == name)
    }

    /// True where the argument with this number is evaluated for each item of the input.
    pub fn is_lambda(self, argument: usize) -> bool {
        match self {
            Function::Exists
            | Function::All
            | Function::Where
            | Function::Select
            | Function::Sort
            | Function::Repeat
            | Function::RepeatAll => true,
            Function::Aggregate => argument == 0,
            Function::Trace => argument == 1,
            _ => false,
        }
    }

    /// True where the arguments have the whole input as `$this`.
    pub fn is_on_input(self) -> bool {
        matches!(self, Function::Iif | Function::Coalesce | Function::DefineVariable)
    }
}

impl Signature {
    /// The number of arguments in words.
    pub fn arguments(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        match (self.least, self.most) {
            (0, 0) => "no arguments".to_owned(),
            (least, most) if least == most => format!("{least} argument{}", plural(least)),
            (0, most) => format!("at most {most} argument{}", plural(most)),
            (least, MANY) => format!("at least {least} argument{}", plural(least)),
            (least, most) => format!("{least} to {most} arguments"),
        }
    }
}
