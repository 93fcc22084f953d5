//! The request headers that mean something to the gateway, read into a closed type.
//!
//! Invariant: headers to the server behind are written from [`RequestHeaders`] and the interaction alone; what
//! is not named here is dropped, above all `X-Forwarded-*`, method overrides and cookies.
//!
//! `If-None-Match` and `If-Modified-Since` on reads are kept for [`RequestHeaders::is_known`], never forwarded: a
//! 304 would tell a caller that a resource exists before anybody decided whether it may know. On writes a
//! precondition that is not served is refused, since to ignore it would be to write what the caller wanted guarded.
//!
//! Source: FHIR R4 §3.1.0.1.9 to §3.1.0.1.11 and §3.1.0.5; RFC 9110 §8, §12 and §13; RFC 7240.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::{Id, Interaction, InteractionError, UpstreamRequest};

/// The media type of every resource on its way to the server behind, and of every answer.
pub const FHIR_JSON: &str = "application/fhir+json";
/// The media type of a search by POST.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// What a write's answer is to hold (FHIR R4 §3.1.0.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnPreference {
    /// `return=minimal`: no body.
    Minimal,
    /// `return=representation`: the resource as it was stored.
    Representation,
    /// `return=OperationOutcome`: a few words on what was done.
    Outcome,
}

/// What becomes of a search's parameters that FHIR does not define (FHIR R4 §3.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Handling {
    /// `handling=strict`, and where nothing is said: they are refused.
    #[default]
    Strict,
    /// `handling=lenient`: they are left out.
    Lenient,
}

/// The media type of a JSON Patch (RFC 6902 §6).
pub const JSON_PATCH: &str = "application/json-patch+json";
/// The media type of a merge patch (RFC 7396 §4).
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// The form of a patch, by its media type (FHIR R4 §3.1.0.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// JSON Patch.
    Json,
    /// FHIRPath Patch: a Parameters resource.
    FhirPath,
    /// Merge patch.
    Merge,
}

impl PatchKind {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            PatchKind::Json => JSON_PATCH,
            PatchKind::FhirPath => FHIR_JSON,
            PatchKind::Merge => MERGE_PATCH,
        }
    }
}

/// The headers of a request, as far as they are carried on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeaders {
    /// `If-Match`: the version that an update or delete expects (FHIR R4 §3.1.0.1.3).
    pub if_match: Option<Id>,
    /// `Prefer: return=…` of a write.
    pub prefer: Option<ReturnPreference>,
    /// The form of a patch's body.
    pub patch: Option<PatchKind>,
    /// `If-None-Exist` of a create: criteria, not yet read ([`Interaction::unless_exists`]).
    pub if_none_exist: Option<String>,
    /// `If-None-Match` of a read: the versions that the caller has.
    pub if_none_match: Vec<Id>,
    /// `If-Modified-Since` of a read.
    pub if_modified_since: Option<Timestamp>,
}

/// A header's name, in any case, and its value.
pub type Header<'h> = (&'h str, &'h [u8]);

impl RequestHeaders {
    /// Reads the headers of a request. `format_given` says that the request has a `_format`, which then
    /// stands in the place of `Accept` ([`Interaction::asks_format`]).
    ///
    /// ```
    /// # use varco_core::interaction::{Interaction, SearchSchema, headers::RequestHeaders};
    /// let schema = SearchSchema::new(["Patient"], |_| Vec::new());
    /// let read = Interaction::parse("GET", "Patient/p1", None, None, &schema)?;
    /// let xml = [("accept", &b"application/fhir+xml"[..])];
    /// assert_eq!(RequestHeaders::parse(xml, &read, false).map_err(|error| error.status()), Err(406));
    /// # Ok::<(), varco_core::interaction::InteractionError>(())
    /// ```
    pub fn parse<'h>(
        headers: impl IntoIterator<Item = Header<'h>>,
        interaction: &Interaction,
        format_given: bool,
    ) -> Result<RequestHeaders, InteractionError> {
        let found = Found::collect(headers)?;
        if !format_given && !accepts_json(&found.accept) {
            return Err(InteractionError::NotAcceptable);
        }
        let mut own = RequestHeaders::default();
        if interaction.takes_resource() {
            let json = found.content_type.as_deref().is_some_and(is_json_body);
            if !json {
                return Err(InteractionError::UnsupportedMediaType(
                    "application/fhir+json or application/json for FHIR 4.0",
                ));
            }
        }
        if interaction.takes_patch() {
            let kind = found.content_type.as_deref().and_then(patch_kind);
            own.patch = Some(kind.ok_or(InteractionError::UnsupportedMediaType(
                "application/json-patch+json, application/fhir+json or application/merge-patch+json",
            ))?);
        }
        if matches!(interaction, Interaction::Create(_)) {
            own.if_none_exist = found.if_none_exist;
        } else if found.if_none_exist.is_some() && interaction.is_write() {
            return Err(InteractionError::Precondition("If-None-Exist"));
        }
        if matches!(interaction, Interaction::Read(_) | Interaction::Vread(..)) {
            // What can't be read is no condition (RFC 9110 §13.1.3); then the answer is a whole one.
            let tags = found.if_none_match.as_deref().unwrap_or_default();
            own.if_none_match = parts(tags, ',').filter_map(|tag| version_of(tag).ok()).collect();
            let date = found.if_modified_since.as_deref().filter(|_| tags.is_empty());
            own.if_modified_since = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        }
        if interaction.is_write() {
            if let Some(name) = found.precondition {
                return Err(InteractionError::Precondition(name));
            }
            own.prefer = return_preference(&found.prefer);
            let served = !matches!(
                interaction,
                Interaction::Create(_)
                    | Interaction::ConditionalCreate(_)
                    | Interaction::Batch
                    | Interaction::Transaction
            );
            match found.if_match {
                Some(_) if !served => return Err(InteractionError::Precondition("If-Match")),
                Some(tag) => own.if_match = Some(version_of(&tag)?),
                None => {}
            }
        }
        Ok(own)
    }

    /// The headers for the server behind, names in lower case. A search asks for `handling=strict`: a server
    /// that ignored a parameter would answer more than was asked.
    pub fn to_upstream(
        &self,
        interaction: &Interaction,
        request: &UpstreamRequest,
    ) -> Vec<(&'static str, Cow<'static, str>)> {
        let mut headers = vec![("accept", FHIR_JSON.into())];
        if request.form.is_some() {
            headers.push(("content-type", FORM.into()));
        } else if interaction.takes_resource() {
            headers.push(("content-type", FHIR_JSON.into()));
        } else if let (true, Some(kind)) = (interaction.takes_patch(), self.patch) {
            headers.push(("content-type", kind.media_type().into()));
        }
        headers.extend(request.if_none_exist.clone().map(|criteria| ("if-none-exist", criteria.into())));
        if let (true, Some(version)) = (interaction.is_write(), &self.if_match) {
            headers.push(("if-match", format!("W/\"{}\"", version.as_str()).into()));
        }
        let prefer = match self.prefer.filter(|_| interaction.is_write()) {
            Some(ReturnPreference::Minimal) => Some("return=minimal"),
            Some(ReturnPreference::Representation | ReturnPreference::Outcome) => {
                Some("return=representation")
            }
            None => interaction.search().map(|_| "handling=strict"),
        };
        headers.extend(prefer.map(|prefer| ("prefer", prefer.into())));
        headers
    }

    /// True where the caller says which version of a resource it has.
    pub fn are_conditional(&self) -> bool {
        !self.if_none_match.is_empty() || self.if_modified_since.is_some()
    }

    /// True where the caller has this version of a resource already (RFC 9110 §13.1): the answer may be 304,
    /// once it is decided that the caller may see the resource.
    pub fn is_known(&self, version: Option<&str>, last_updated: Option<Timestamp>) -> bool {
        if let Some(version) = version
            && self.if_none_match.iter().any(|known| known.as_str() == version)
        {
            return true;
        }
        match (self.if_modified_since, last_updated) {
            (Some(since), Some(updated)) => updated.as_second() <= since.as_second(),
            _ => false,
        }
    }
}

/// How a search's unknown parameters are to be treated: `Prefer: handling=…`, the first of which counts.
pub fn handling<'h>(headers: impl IntoIterator<Item = Header<'h>>) -> Handling {
    let prefer = headers.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("prefer"));
    let mut values = prefer.filter_map(|(_, value)| preference(std::str::from_utf8(value).ok()?, "handling"));
    match values.next().as_deref() {
        Some("lenient") => Handling::Lenient,
        _ => Handling::Strict,
    }
}

/// Checks that the body of a `POST _search` is a form, before it is read.
pub fn check_form<'h>(headers: impl IntoIterator<Item = Header<'h>>) -> Result<(), InteractionError> {
    let found = Found::collect(headers)?;
    let form =
        found.content_type.as_deref().and_then(media_type).is_some_and(|(name, parameters)| {
            name.eq_ignore_ascii_case(FORM) && parameters.iter().all(is_utf8)
        });
    if form { Ok(()) } else { Err(InteractionError::UnsupportedMediaType(FORM)) }
}

/// The headers that are looked at, each once.
#[derive(Default)]
struct Found {
    accept: String,
    content_type: Option<String>,
    if_match: Option<String>,
    prefer: String,
    if_none_exist: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
    precondition: Option<&'static str>,
}

impl Found {
    fn collect<'h>(headers: impl IntoIterator<Item = Header<'h>>) -> Result<Found, InteractionError> {
        let mut found = Found::default();
        for (name, value) in headers {
            let lower = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                true => Cow::Owned(name.to_ascii_lowercase()),
                false => Cow::Borrowed(name),
            };
            match &*lower {
                "accept" => join(&mut found.accept, text("Accept", value)?),
                "prefer" => join(&mut found.prefer, text("Prefer", value)?),
                "content-type" => once(&mut found.content_type, "Content-Type", value)?,
                "if-match" => once(&mut found.if_match, "If-Match", value)?,
                "content-encoding" if !value.eq_ignore_ascii_case(b"identity") => {
                    return Err(InteractionError::ContentEncoding);
                }
                "if-none-exist" => once(&mut found.if_none_exist, "If-None-Exist", value)?,
                "if-none-match" => {
                    found.precondition = Some("If-None-Match");
                    join(found.if_none_match.get_or_insert_default(), text("If-None-Match", value)?);
                }
                "if-modified-since" => {
                    found.precondition = Some("If-Modified-Since");
                    once(&mut found.if_modified_since, "If-Modified-Since", value)?;
                }
                "if-unmodified-since" => found.precondition = Some("If-Unmodified-Since"),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn text<'h>(name: &'static str, value: &'h [u8]) -> Result<&'h str, InteractionError> {
    let ascii = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
    ascii.map(str::trim).ok_or(InteractionError::BadHeader { name, expected: "plain ASCII" })
}

fn once(slot: &mut Option<String>, name: &'static str, value: &[u8]) -> Result<(), InteractionError> {
    if slot.is_some() {
        return Err(InteractionError::RepeatedHeader(name));
    }
    *slot = Some(text(name, value)?.to_owned());
    Ok(())
}

fn join(list: &mut String, more: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(more);
}

/// The parts of a header between separators that don't stand in quotes, without surrounding spaces.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        if escaped {
            escaped = false;
        } else if quoted && character == '\\' {
            escaped = true;
        } else if character == '"' {
            quoted = !quoted;
        }
        !quoted && character == separator
    })
    .map(str::trim)
}

/// A media type's name and its parameters as name and value, quotes undone.
fn media_type(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let mut pieces = parts(text, ';');
    let name = pieces.next().filter(|name| name.contains('/'))?;
    let parameter = |piece| {
        let (name, value) = str::split_once(piece, '=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    };
    Some((name, pieces.filter(|piece| !piece.is_empty()).map(parameter).collect::<Option<_>>()?))
}

fn is_utf8((name, value): &(&str, &str)) -> bool {
    name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
}

fn is_r4((name, value): &(&str, &str)) -> bool {
    name.eq_ignore_ascii_case("fhirVersion") && *value == "4.0"
}

fn is_json_body(text: &str) -> bool {
    media_type(text).is_some_and(|(name, parameters)| {
        let json = name.eq_ignore_ascii_case(FHIR_JSON) || name.eq_ignore_ascii_case("application/json");
        json && parameters.iter().all(|parameter| is_utf8(parameter) || is_r4(parameter))
    })
}

/// True where `Accept` allows FHIR JSON (RFC 9110 §12.5.1): of the ranges that match, the most specific one
/// counts. No `Accept` allows anything.
fn accepts_json(accept: &str) -> bool {
    if accept.is_empty() || accept == FHIR_JSON {
        return true;
    }
    let ranges: Vec<_> = parts(accept, ',').filter_map(media_type).collect();
    [FHIR_JSON, "application/json"].iter().any(|offered| {
        let rank = |name: &str| match name {
            "*/*" => Some(0),
            "application/*" => Some(1),
            own if own.eq_ignore_ascii_case(offered) => Some(2),
            _ => None,
        };
        let matching = ranges.iter().filter_map(|(name, parameters)| {
            let other_version = |p: &(&str, &str)| p.0.eq_ignore_ascii_case("fhirVersion") && !is_r4(p);
            if parameters.iter().any(other_version) {
                return None;
            }
            let quality = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
            let refused = quality.is_some_and(|(_, q)| q.bytes().all(|byte| matches!(byte, b'0' | b'.')));
            Some((rank(name)?, !refused))
        });
        matching.max_by_key(|(rank, allowed)| (*rank, *allowed)).is_some_and(|(_, allowed)| allowed)
    })
}

/// The first preference of a name counts (RFC 7240 §2).
fn preference(prefer: &str, name: &str) -> Option<String> {
    let mut preferences = parts(prefer, ',').filter_map(|one| parts(one, ';').next()?.split_once('='));
    let value = preferences.find(|(own, _)| own.trim().eq_ignore_ascii_case(name))?.1;
    Some(value.trim().trim_matches('"').to_owned())
}

fn return_preference(prefer: &str) -> Option<ReturnPreference> {
    match preference(prefer, "return")?.as_str() {
        "minimal" => Some(ReturnPreference::Minimal),
        "representation" => Some(ReturnPreference::Representation),
        "OperationOutcome" => Some(ReturnPreference::Outcome),
        _ => None,
    }
}

fn patch_kind(text: &str) -> Option<PatchKind> {
    let (name, parameters) = media_type(text)?;
    let kinds = [PatchKind::Json, PatchKind::FhirPath, PatchKind::Merge];
    let kind = kinds.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.media_type()))?;
    let fit = |parameter: &(&str, &str)| is_utf8(parameter) || is_r4(parameter);
    parameters.iter().all(fit).then_some(kind)
}

/// The version id in an entity tag: `W/"3"`, and `"3"` as many clients write it.
fn version_of(tag: &str) -> Result<Id, InteractionError> {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner
        .and_then(Id::parse)
        .ok_or(InteractionError::BadHeader { name: "If-Match", expected: "one version, as in W/\"3\"" })
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
