//! Refusals: one table from what went wrong to what the caller learns and what the operator learns.
//!
//! Invariant: the caller's text never depends on data the caller may not see. In particular a hidden resource
//! and an absent one are the same variant, [`Refusal::Absent`].

use fhir_models::document::Position;
use http::{HeaderName, HeaderValue, StatusCode, header};
use varco_core::interaction::InteractionError;
use varco_core::mapping::RunError;
use varco_core::outcome::{Issue, IssueType, Outcome};
use varco_core::patch::PatchError;

use crate::identify::TokenError;
use crate::limit::{Exceeded, Lane};
use crate::store::StoreError;
use crate::upstream::UpstreamError;

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The token.
    #[error("{0}")]
    Unauthorized(TokenError),
    /// The scopes.
    #[error("the token's scopes don't cover this interaction")]
    Scope,
    /// Not there, or hidden: the caller can't tell.
    #[error("the resource is absent or hidden from this caller")]
    Absent,
    /// A write about a patient whose data the caller may not touch.
    #[error("consent doesn't permit this write")]
    Consent,
    /// The site's policies, or who may use a pass-through; why, for the operator. It follows from the caller and the type alone,
    /// or is about what the caller may see.
    #[error("{0}")]
    Policy(&'static str),
    /// Not an interaction that is served.
    #[error("{0}")]
    Interaction(InteractionError),
    /// An interaction that is understood and not served; the text is safe to show.
    #[error("{0}")]
    NotServed(&'static str),
    /// Two framings, or none that holds.
    #[error("the request's framing is not clear: {0}")]
    Framing(&'static str),
    /// The body isn't FHIR JSON; the text is safe to show.
    #[error("the body is refused: {text}")]
    Body {
        /// For the caller: what is wrong, without any of the body's content.
        text: String,
        /// 413 rather than 400.
        too_large: bool,
    },
    /// The body came too slowly.
    #[error("the body didn't arrive in time")]
    BodyTimeout,
    /// The connection ended inside the body.
    #[error("the connection ended inside the body")]
    BodyBroken,
    /// Too many requests in a short time, or at a time.
    #[error("the client is above its limit `{}`", .0.policy.name)]
    Rate(Box<Exceeded>),
    /// The client's quota of the day is used up.
    #[error("the client's quota of the day is used up")]
    Quota(Box<Exceeded>),
    /// There are more requests than are worked on at a time.
    #[error("there is no place for one more request of the {} lane", .0.name())]
    Shed(Lane),
    /// A search too broad to be answered exactly.
    #[error("the search has more than {0} matches")]
    TooBroad(usize),
    /// A page link that isn't ours, is another caller's or has expired.
    #[error("the page link is not valid for this caller any more")]
    PageLink,
    /// A plugin said no.
    #[error("a plugin refused: {text}")]
    Plugin {
        /// The status the plugin hints at.
        status: StatusCode,
        /// Its text for the caller.
        text: String,
    },
    /// A plugin failed and its policy is to close.
    #[error("a plugin failed: {0}")]
    PluginFailed(String),
    /// The hospital's server refused the request for its own reasons.
    #[error("the hospital's server refused the request with {status}")]
    UpstreamRefused {
        /// Its status, one of 400, 409, 412 and 422.
        status: StatusCode,
    },
    /// The hospital's server.
    #[error("{0}")]
    Upstream(UpstreamError),
    /// A body that its route does not let pass.
    #[error("the body is not valid: {} findings", .0.len())]
    InvalidRequest(Vec<Issue>),
    /// An answer that its route does not let pass.
    #[error("the hospital's server answered with what is not valid, by the rules: {rules}")]
    InvalidResponse {
        /// Names of the rules that spoke.
        rules: String,
    },
    /// A map that nobody here knows.
    #[error("there is no such map here")]
    UnknownMap,
    /// A map that fails on what the caller sent.
    #[error("the map {map} fails on what was sent: {}", error.without_values())]
    Unmapped {
        /// Its canonical.
        map: String,
        /// Which rule failed, with which value, where.
        error: Box<RunError>,
    },
    /// Content that a map can't be run on, or a result that can't be answered; the text is safe to show.
    #[error("{0}")]
    NotMapped(String),
    /// A map that fails on what is to be answered, or that can't be used.
    #[error("the map {map} fails: {cause}")]
    MapFailed {
        /// Its canonical.
        map: String,
        /// Why, without a value of the resource.
        cause: String,
    },
    /// The store.
    #[error("{0}")]
    Store(StoreError),
    /// A consent that is posted but can't be used.
    #[error("the Consent can't be used: {0}")]
    ConsentResource(String),
    /// A fault of this program.
    #[error("the request's task ended badly")]
    Internal,
    /// The answers to a batch come to more than one answer may hold.
    #[error("the answers to the entries are too large together")]
    TooMuchAnswer,
    /// A patch that can't be applied; only of a resource that the caller may see.
    #[error("the patch can't be applied: {0}")]
    Patch(PatchError),
    /// Criteria that more than one visible resource meets.
    #[error("more than one resource meets the criteria")]
    Several,
    /// A reference by search that not exactly one visible resource meets.
    #[error("a reference by search is met by none or by several of what the caller may see")]
    Unmatched,
    /// The hospital's server does no transactions.
    #[error("the hospital's server does no transactions")]
    NoTransactions,
    /// An entry of a transaction, which refuses the whole.
    #[error("entry {at}: {cause}")]
    Entry {
        /// Its place in the Bundle, from 0.
        at: usize,
        /// Why.
        cause: Box<Refusal>,
    },
    /// `If-Match` names another version.
    #[error("the resource has another version")]
    Version,
    /// A path of a pass-through that could be read in two ways.
    #[error("the path climbs, or could be read in two ways")]
    UnclearPath,
    /// A method that a pass-through does not let pass; those that do.
    #[error("the method does not pass here")]
    NotPassed(HeaderValue),
    /// HTTP/1.0, where an answer's end could not be told from its breaking off.
    #[error("the answer's length is not known, and the caller speaks HTTP/1.0")]
    OldProtocol,
}

/// A row of the table.
pub struct Row {
    /// HTTP status.
    pub status: StatusCode,
    /// R4 IssueType.
    pub code: IssueType,
    /// What the caller is told.
    pub text: String,
    /// A header that goes with it.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// The refusal's row.
    pub fn row(&self) -> Row {
        let row = |status: StatusCode, code: IssueType, text: &str| Row {
            status,
            code,
            text: text.to_owned(),
            header: None,
        };
        match self {
            Refusal::Unauthorized(error) if error.is_operational() => row(
                StatusCode::SERVICE_UNAVAILABLE,
                IssueType::Transient,
                "A needed part is out of order; try again.",
            ),
            Refusal::Unauthorized(_) => Row {
                header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fhir\""))),
                ..row(StatusCode::UNAUTHORIZED, IssueType::Login, "A valid access token is needed.")
            },
            Refusal::Scope => row(
                StatusCode::FORBIDDEN,
                IssueType::Forbidden,
                "The access token's scopes don't cover this interaction.",
            ),
            Refusal::Absent => row(StatusCode::NOT_FOUND, IssueType::NotFound, "There is no such resource."),
            Refusal::Consent => {
                row(StatusCode::FORBIDDEN, IssueType::Forbidden, "This write is not permitted.")
            }
            Refusal::Policy(_) => {
                row(StatusCode::FORBIDDEN, IssueType::Forbidden, "This request is not permitted.")
            }
            Refusal::Interaction(error) => {
                let allow = error.allow().and_then(|methods| HeaderValue::from_str(&methods.join(", ")).ok());
                let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
                let code = error.issue_type();
                Row {
                    header: allow.map(|allow| (header::ALLOW, allow)),
                    ..row(status, code, &sentence(error))
                }
            }
            Refusal::NotServed(text) => row(StatusCode::METHOD_NOT_ALLOWED, IssueType::NotSupported, text),
            Refusal::Framing(what) => row(StatusCode::BAD_REQUEST, IssueType::Structure, &sentence(what)),
            Refusal::Body { text, too_large } => {
                let (status, code) = if *too_large {
                    (StatusCode::PAYLOAD_TOO_LARGE, IssueType::TooLong)
                } else {
                    (StatusCode::BAD_REQUEST, IssueType::Structure)
                };
                row(status, code, text)
            }
            Refusal::BodyTimeout => row(
                StatusCode::REQUEST_TIMEOUT,
                IssueType::Timeout,
                "The request's body did not arrive in time.",
            ),
            Refusal::BodyBroken => {
                row(StatusCode::BAD_REQUEST, IssueType::Incomplete, "The request's body ended too early.")
            }
            // The other headers of limits stand in `Refusal::limit_headers`.
            Refusal::Rate(_) => row(
                StatusCode::TOO_MANY_REQUESTS,
                IssueType::Throttled,
                "TooManyRequests: too many requests in a short time; try again in a moment.",
            ),
            Refusal::Quota(_) => row(
                StatusCode::TOO_MANY_REQUESTS,
                IssueType::BusinessRule,
                "LimitExceeded: the quota of the day is used up; try again tomorrow, or ask the operator for more.",
            ),
            Refusal::Shed(lane) => Row {
                header: Some((header::RETRY_AFTER, HeaderValue::from(lane.retry_after()))),
                ..row(
                    StatusCode::SERVICE_UNAVAILABLE,
                    IssueType::Transient,
                    "Too much is going on here; try again in a moment.",
                )
            },
            Refusal::TooBroad(most) => row(
                StatusCode::BAD_REQUEST,
                IssueType::TooCostly,
                &format!("The search has more than {most} matches; narrow it."),
            ),
            Refusal::PageLink => row(
                StatusCode::BAD_REQUEST,
                IssueType::Processing,
                "This page link is not valid any more; start the search again.",
            ),
            Refusal::Plugin { status, text } => row(*status, IssueType::BusinessRule, text),
            Refusal::PluginFailed(_) => row(
                StatusCode::SERVICE_UNAVAILABLE,
                IssueType::Transient,
                "A needed part is out of order; try again.",
            ),
            Refusal::UpstreamRefused { status } => {
                row(*status, IssueType::Processing, "The hospital's server did not accept the request.")
            }
            Refusal::Upstream(error) => Row {
                header: error.retry_after().map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))),
                ..row(error.status(), IssueType::Transient, error.for_caller())
            },
            Refusal::InvalidRequest(_) => {
                row(StatusCode::UNPROCESSABLE_ENTITY, IssueType::Invalid, "The resource is not valid.")
            }
            Refusal::InvalidResponse { .. } => row(
                StatusCode::BAD_GATEWAY,
                IssueType::Invalid,
                "The hospital's server answered with a resource that is not valid; the operator has the cause.",
            ),
            Refusal::UnknownMap => row(
                StatusCode::NOT_FOUND,
                IssueType::NotFound,
                "No such map is known here; maps are named by their canonicals.",
            ),
            Refusal::Unmapped { .. } => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                IssueType::Processing,
                "The map fails on what was sent.",
            ),
            Refusal::NotMapped(text) => {
                row(StatusCode::UNPROCESSABLE_ENTITY, IssueType::Processing, &sentence(text))
            }
            Refusal::MapFailed { .. } => row(
                StatusCode::BAD_GATEWAY,
                IssueType::Exception,
                "What is to be answered can't be written in the form that is read here; the operator has the cause.",
            ),
            Refusal::Store(_) => row(
                StatusCode::SERVICE_UNAVAILABLE,
                IssueType::NoStore,
                "A needed store is out of order; try again.",
            ),
            Refusal::ConsentResource(text) => {
                row(StatusCode::UNPROCESSABLE_ENTITY, IssueType::BusinessRule, &sentence(text))
            }
            Refusal::Internal => row(
                StatusCode::INTERNAL_SERVER_ERROR,
                IssueType::Exception,
                "The gateway failed; the operator has the cause.",
            ),
            Refusal::TooMuchAnswer => row(
                StatusCode::BAD_REQUEST,
                IssueType::TooCostly,
                "The answers to the entries are too large together; send fewer entries.",
            ),
            Refusal::Patch(error) => {
                let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
                row(status, IssueType::Processing, &sentence(error))
            }
            Refusal::Several => row(
                StatusCode::PRECONDITION_FAILED,
                IssueType::MultipleMatches,
                "More than one resource meets the criteria.",
            ),
            Refusal::Unmatched => row(
                StatusCode::PRECONDITION_FAILED,
                IssueType::NotFound,
                "A reference by search must be met by exactly one resource.",
            ),
            Refusal::NoTransactions => row(
                StatusCode::NOT_IMPLEMENTED,
                IssueType::NotSupported,
                "The hospital's server does no transactions: send a batch, or each request on its own.",
            ),
            Refusal::Entry { cause, .. } => cause.row(),
            Refusal::Version => row(
                StatusCode::PRECONDITION_FAILED,
                IssueType::Conflict,
                "The resource has another version by now; read it again.",
            ),
            Refusal::UnclearPath => row(
                StatusCode::BAD_REQUEST,
                IssueType::Structure,
                "The path can be read in more than one way.",
            ),
            Refusal::NotPassed(allow) => Row {
                header: Some((header::ALLOW, allow.clone())),
                ..row(
                    StatusCode::METHOD_NOT_ALLOWED,
                    IssueType::NotSupported,
                    "This method does not pass here.",
                )
            },
            Refusal::OldProtocol => row(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                IssueType::NotSupported,
                "This is answered over HTTP/1.1 and HTTP/2 alone.",
            ),
        }
    }

    /// The headers that tell of a limit, where one refuses.
    pub fn limit_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self.cause() {
            Refusal::Rate(exceeded) | Refusal::Quota(exceeded) => exceeded.headers(),
            _ => Vec::new(),
        }
    }

    /// The OperationOutcome for the caller: the row's text, or the findings about its own resource.
    pub fn outcome(&self) -> Vec<u8> {
        match self {
            Refusal::InvalidRequest(issues) => Outcome { issues: issues.clone() }.to_json(),
            Refusal::Unmapped { error, .. } => Outcome::from(failed(error)).to_json(),
            Refusal::Entry { at, cause } => cause.outcome_in(*at).to_json(),
            _ => {
                let row = self.row();
                Outcome::from(Issue::error(row.code, row.text)).to_json()
            }
        }
    }

    /// The OperationOutcome for an entry of a Bundle: each issue says which, and no line of a text that nobody sent.
    fn outcome_in(&self, at: usize) -> Outcome {
        let mut issues = match self {
            Refusal::InvalidRequest(issues) => issues.clone(),
            Refusal::Unmapped { error, .. } => vec![failed(error)],
            _ => {
                let row = self.row();
                vec![Issue::error(row.code, row.text)]
            }
        };
        for issue in &mut issues {
            let inner = issue.expression.as_deref().and_then(|own| own.split_once('.'));
            let inner = inner.map_or(String::new(), |(_, path)| format!(".resource.{path}"));
            issue.expression = Some(format!("Bundle.entry[{at}]{inner}"));
            issue.position = None;
        }
        Outcome { issues }
    }

    /// The same, for the entry of a transaction.
    pub(super) fn in_entry(self, at: usize) -> Refusal {
        Refusal::Entry { at, cause: Box::new(self) }
    }

    /// What it says of one entry of a transaction: its own refusal, or that of all; `None` where another was refused.
    pub(super) fn of_entry(&self, own: usize) -> Option<&Refusal> {
        match self {
            Refusal::Entry { at, cause } => (*at == own).then_some(cause),
            all => Some(all),
        }
    }

    /// It without the entry that it stands for.
    pub(super) fn cause(&self) -> &Refusal {
        match self {
            Refusal::Entry { cause, .. } => cause,
            own => own,
        }
    }

    /// True where nobody can say where the request's head, and so the next request on the connection, begins and ends. Of a
    /// body that was not read the listener knows by itself ([`crate::listen::coming`]).
    pub fn ends_connection(&self) -> bool {
        matches!(self, Refusal::Framing(_))
    }

    /// True where the cause lies with this installation: the operator's log line is an error, not a note.
    pub fn is_operational(&self) -> bool {
        if let Refusal::Entry { cause, .. } = self {
            return cause.is_operational();
        }
        if let Refusal::Unauthorized(error) = self {
            return error.is_operational();
        }
        matches!(
            self,
            Refusal::Upstream(_)
                | Refusal::InvalidResponse { .. }
                | Refusal::MapFailed { .. }
                | Refusal::Store(_)
                | Refusal::PluginFailed(_)
                | Refusal::NoTransactions
                | Refusal::Internal
        )
    }
}

/// Which rule failed, with which value: the caller's own content.
pub(super) fn failed(error: &RunError) -> Issue {
    let Position { line, column } = error.position;
    let text = format!("{} (rule {}, {}:{line}:{column})", error.fault, error.rule, error.file);
    let issue = Issue::error(IssueType::Processing, text);
    match &error.source {
        Some((path, position)) => issue.at(path).on(*position),
        None => issue,
    }
}

/// `unknown type` → `Unknown type.`
fn sentence(text: impl ToString) -> String {
    let text = text.to_string();
    let mut chars = text.chars();
    let upper: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    if upper.ends_with('.') { upper } else { upper + "." }
}
