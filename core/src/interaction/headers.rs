//! The request headers that mean something to the gateway, read into a closed type.
//!
//! Invariant: headers to the server behind are written from [`RequestHeaders`] and the interaction alone; what
//! is not named here is dropped, above all `X-Forwarded-*`, method overrides and cookies.
//!
//! `If-None-Match` and `If-Modified-Since` on reads are dropped, never forwarded: a 304 would tell a caller
//! that a resource exists before anybody decided whether it may know. On writes a precondition that is not
//! served is refused, since to ignore it would be to write what the caller wanted guarded.
//!
//! Source: FHIR R4 §3.1.0.1.9 to §3.1.0.1.11 and §3.1.0.5; RFC 9110 §8, §12 and §13; RFC 7240.

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
}

/// The headers of a request, as far as they are carried on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeaders {
    /// `If-Match`: the version that an update or delete expects (FHIR R4 §3.1.0.1.3).
    pub if_match: Option<Id>,
    /// `Prefer: return=…` of a write.
    pub prefer: Option<ReturnPreference>,
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
        if interaction.is_write() {
            if let Some(name) = found.precondition {
                return Err(InteractionError::Precondition(name));
            }
            own.prefer = return_preference(&found.prefer);
            let served = matches!(interaction, Interaction::Update(_) | Interaction::Delete(_));
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
    ) -> Vec<(&'static str, String)> {
        let mut headers = vec![("accept", FHIR_JSON.to_owned())];
        if request.form.is_some() {
            headers.push(("content-type", FORM.to_owned()));
        } else if interaction.takes_resource() {
            headers.push(("content-type", FHIR_JSON.to_owned()));
        }
        if let Some(version) = &self.if_match {
            headers.push(("if-match", format!("W/\"{}\"", version.as_str())));
        }
        let prefer = match self.prefer {
            Some(ReturnPreference::Minimal) => Some("return=minimal"),
            Some(ReturnPreference::Representation) => Some("return=representation"),
            None => interaction.search().map(|_| "handling=strict"),
        };
        headers.extend(prefer.map(|prefer| ("prefer", prefer.to_owned())));
        headers
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
    precondition: Option<&'static str>,
}

impl Found {
    fn collect<'h>(headers: impl IntoIterator<Item = Header<'h>>) -> Result<Found, InteractionError> {
        let mut found = Found::default();
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "accept" => join(&mut found.accept, text("Accept", value)?),
                "prefer" => join(&mut found.prefer, text("Prefer", value)?),
                "content-type" => once(&mut found.content_type, "Content-Type", value)?,
                "if-match" => once(&mut found.if_match, "If-Match", value)?,
                "content-encoding" if !value.eq_ignore_ascii_case(b"identity") => {
                    return Err(InteractionError::ContentEncoding);
                }
                "if-none-exist" => found.precondition = Some("If-None-Exist"),
                "if-none-match" => found.precondition = Some("If-None-Match"),
                "if-modified-since" => found.precondition = Some("If-Modified-Since"),
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
    if accept.is_empty() {
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

/// The first `return` preference counts (RFC 7240 §2); others are not ours to honour.
fn return_preference(prefer: &str) -> Option<ReturnPreference> {
    let preferences = parts(prefer, ',').filter_map(|one| parts(one, ';').next()?.split_once('='));
    let value = preferences.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("return"))?.1;
    match value.trim().trim_matches('"') {
        "minimal" => Some(ReturnPreference::Minimal),
        "representation" => Some(ReturnPreference::Representation),
        _ => None,
    }
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
