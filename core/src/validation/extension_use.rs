//! Extensions against their definitions: known, at a place where they may stand, in the right list, and
//! with the content that the definition gives (FHIR R4 §2.5, §5.4 `StructureDefinition.context`).
//!
//! An extension that nobody here has defined can't be judged: in `extension` it may be ignored and is
//! mentioned, or refused where the settings say so; in `modifierExtension` it must not be ignored
//! (FHIR R4 §2.5.1). One that carries an element of another FHIR version is judged by that version.

use std::sync::Arc;

use fhir_models::document::{Document, Value, name};

use crate::outcome::{IssueSeverity, IssueType};

use super::UnknownExtensions;
use super::cross_version::ForeignElement;
use super::extension::is_absolute;
use super::finding::{Fault, Rule};
use super::locate::{Host, Locator};
use super::profile::{Occurrence, Profile, ProfileError, plain};
use super::walk::Walk;

/// Checks the extensions that the walk met.
pub(super) fn check<'d>(walk: &mut Walk<'_, 'd>, document: Document<'d>) {
    let mut extensions = std::mem::take(&mut walk.extensions);
    extensions.sort_by_key(|extension| extension.id());
    let mut locator = Locator::new(walk.types, document);
    for extension in extensions {
        if walk.full {
            return;
        }
        let Some(url) = extension.get(name::URL) else { continue };
        let Some(text) = url.as_str().filter(|text| is_absolute(text)) else { continue };
        match definition(walk, &text) {
            Ok(profile) => {
                if let Some(host) = locator.host(extension.id()) {
                    placed(walk, extension, &profile, &host);
                }
                content(walk, extension, &profile);
                defined(walk, extension, &profile);
            }
            Err(ProfileError::Unknown) => {
                if let Some(host) = locator.host(extension.id()) {
                    unknown(walk, extension, url, &text, &host);
                }
            }
            Err(error) => {
                let message = format!("the extension {} was not checked: {error}", plain(&text));
                let fault = Fault {
                    rule: Rule::Definition,
                    severity: IssueSeverity::Warning,
                    code: IssueType::Exception,
                    message,
                };
                walk.report(extension, url, fault);
            }
        }
    }
}

/// The definition of an extension: that of R4 itself where R4 has one, not a later edition of it.
fn definition(walk: &Walk<'_, '_>, url: &str) -> Result<Arc<Profile>, ProfileError> {
    const OWN: &str = "http://hl7.org/fhir/StructureDefinition/";
    if url.starts_with(OWN)
        && let Ok(profile) = walk.profiles.get(walk.types, &[url, "|4.0.1"].concat())
    {
        return Ok(profile);
    }
    walk.profiles.get(walk.types, url)
}

/// The content by the definition of R4's own, or where that is broken by a later edition that is obeyed.
fn content<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, own: &Arc<Profile>) {
    let (before, full) = (walk.findings.len(), walk.full);
    walk.whole(Occurrence::of(extension), own);
    let broken = walk.findings.iter().skip(before).any(|it| it.fault.severity.is_error());
    if broken
        && let Ok(later) = walk.profiles.get(walk.types, &own.url)
        && !Arc::ptr_eq(&later, own)
        && walk.obeys_profile(Occurrence::of(extension), &later)
    {
        walk.findings.truncate(before);
        walk.full = full;
    }
}

/// An extension without a definition at hand.
fn unknown<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, url: Value<'d>, text: &str, host: &Host<'d>) {
    let modifying = host.under == Some(name::MODIFIER_EXTENSION);
    if let Some(foreign) = ForeignElement::of(text) {
        // A Basic stands for a resource that R4 lacks, and its elements are that resource's own.
        let stands_in = host.own == "Basic" && !foreign.path.starts_with("Basic.");
        if stands_in {
            return;
        }
        if let Some(is_modifier) = foreign.is_modifier(walk.types.definitions()) {
            listed(walk, extension, text, modifying, is_modifier);
        }
        return;
    }
    if modifying {
        if !is_documentation(text) {
            let message = format!(
                "nothing is known of the modifier extension {}: it may change what the rest means, \
                 so its definition must be at hand",
                plain(text)
            );
            walk.report(extension, url, Rule::Extension.error(IssueType::Extension, message));
        }
        return;
    }
    let allowed = walk.authorities.iter().any(|prefix| text.starts_with(prefix.as_str()));
    let refused = walk.settings.unknown_extensions == UnknownExtensions::Error && !allowed;
    let (severity, message) = if refused {
        let message = format!(
            "no definition of the extension {} is at hand, and only known extensions are accepted: bring its \
             definition or package",
            plain(text)
        );
        (IssueSeverity::Error, message)
    } else if !walk.mentioned.insert(text.to_owned()) {
        return;
    } else {
        let message = format!("no definition of the extension {} is at hand: not checked", plain(text));
        (IssueSeverity::Information, message)
    };
    let fault = Fault { rule: Rule::Extension, severity, code: IssueType::Extension, message };
    walk.report(extension, url, fault);
}

/// True for the urls of documentation (RFC 2606 §3): unknown here, but nobody's mistake.
fn is_documentation(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let example = ["example.org", "example.com", "example.net"];
    example.iter().any(|it| host == *it || host.strip_suffix(it).is_some_and(|sub| sub.ends_with('.')))
}

/// Modifier extensions stand under `modifierExtension`, others don't.
fn listed<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, url: &str, modifying: bool, is_modifier: bool) {
    if modifying == is_modifier {
        return;
    }
    let message = if modifying {
        format!("{} is not a modifier extension: write it under `extension`", plain(url))
    } else {
        format!("{} is a modifier extension: write it under `modifierExtension`", plain(url))
    };
    walk.report(extension, extension, Rule::Extension.error(IssueType::Extension, message));
}

fn placed<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, profile: &Profile, host: &Host<'d>) {
    listed(walk, extension, &profile.url, host.under == Some(name::MODIFIER_EXTENSION), profile.is_modifier);
    let place = host.value.unwrap_or(extension);
    // Later editions widen what R4 published too narrowly.
    let later = || walk.profiles.get(walk.types, &profile.url).ok();
    if !profile.contexts.allow(walk, host) && !later().is_some_and(|it| it.contexts.allow(walk, host)) {
        let allowed = profile.contexts.shown();
        let message = format!("the extension {} does not belong here; it is for {allowed}", profile.url);
        walk.report(place, extension, Rule::Extension.error(IssueType::Extension, message));
        return;
    }
    let Some(rule) = profile.contexts.broken_rule(walk, host, extension) else { return };
    if later().is_none_or(|it| it.contexts.broken_rule(walk, host, extension).is_some()) {
        let message = format!("the extension {} may be used only where {rule}", profile.url);
        walk.report(place, extension, Rule::Extension.error(IssueType::Extension, message));
    }
}

/// Parts of a complex extension are those that its definition names.
fn defined<'d>(walk: &mut Walk<'_, 'd>, extension: Value<'d>, profile: &Profile) {
    let Some(parts) = profile.parts() else { return };
    let inner = extension.get(name::EXTENSION).into_iter().flat_map(Value::items);
    for part in inner {
        let Some(url) = part.str_of(name::URL) else { continue };
        if is_absolute(&url) || parts.iter().any(|known| *known == url) {
            continue;
        }
        let message = format!("{} has no part with this url; it has {}", profile.url, parts.join(", "));
        walk.report(part, part, Rule::Extension.error(IssueType::Extension, message));
    }
}
