//! An element of a differential over what its base says (FHIR R4 §2.29, and `ElementDefinition`'s merge rules):
//! lists of names, mappings, conditions and constraints grow, everything else is replaced.

use std::sync::Arc;

use fhir_models::document::JsonWriter;

use super::element::{CHOICES, Element, Held, choice_of, member_text, read, text};

/// Members that the tree or the base decides.
const PLACED: &[&str] = &["id", "path", "sliceName", "base"];
/// Prose that a differential goes on with where it begins with three dots.
const PROSE: &[&str] = &["definition", "comment", "requirements"];

/// Merges. `url`: the profile's canonical; `warn`: what is not right although it can be made sense of.
pub(super) fn merge(base: &mut Element, own: &Element, url: &str, warn: &mut dyn FnMut(String)) {
    bounds(base, own, warn);
    for stem in CHOICES {
        if own.members().any(|(key, _)| choice_of(key) == Some(stem)) {
            base.remove_choice(stem);
        }
    }
    for (key, held) in own.members() {
        match key {
            _ if PLACED.contains(&key.trim_start_matches('_')) => {}
            "alias" | "condition" => base.add(key, held.items()),
            "mapping" => keyed(base, key, held, &["identity", "map"]),
            "example" => keyed(base, key, held, &["label"]),
            "extension" => keyed(base, key, held, &["url"]),
            "constraint" => constraints(base, held, url),
            "slicing" => slicing(base, held),
            "contentReference" => {
                base.set(key, held.clone());
                base.reference.clone_from(&own.reference);
            }
            "type" => {
                base.set(key, held.clone());
                base.types.clone_from(&own.types);
                base.remove("contentReference");
                base.reference = None;
            }
            _ if PROSE.contains(&key) => base.set(key, continued(base.raw(key), held)),
            _ => base.set(key, held.clone()),
        }
        // A text has the translations that stand beside it, not those of the text before.
        let twin = ["_", key].concat();
        if !key.starts_with('_') && own.get(&twin).is_none() {
            base.remove(&twin);
        }
    }
}

/// A profile may narrow how often an element stands, never widen it.
fn bounds(base: &Element, own: &Element, warn: &mut dyn FnMut(String)) {
    let number = |it: Option<&str>| it.and_then(|it| it.trim_matches('"').parse::<u64>().ok());
    if let (Some(least), Some(new)) = (number(base.raw("min")), number(own.raw("min")))
        && new < least
    {
        warn(format!("its min {new} is below the base's {least}: a profile can't ask for less"));
    }
    if let (Some(most), Some(new)) = (number(base.raw("max")), own.raw("max"))
        && number(Some(new)).is_none_or(|new| new > most)
    {
        warn(format!(
            "its max {} is above the base's {most}: a profile can't allow more",
            new.trim_matches('"')
        ));
    }
}

/// Items that have the same texts under these names are the same: the later one holds.
fn keyed(base: &mut Element, list: &str, held: &Held, names: &[&str]) {
    let key = |item: &Arc<str>| names.iter().map(|name| member_text(item, name)).collect::<Vec<_>>();
    let mut all = base.get(list).map_or_else(Vec::new, |it| it.items().to_vec());
    for item in held.items() {
        let own = key(item);
        match all.iter_mut().find(|it| key(it) == own) {
            Some(known) => *known = Arc::clone(item),
            None => all.push(Arc::clone(item)),
        }
    }
    base.set(list, Held::List(all));
}

/// Constraints add up; one that is inherited is not said twice.
fn constraints(base: &mut Element, held: &Held, url: &str) {
    let known: Vec<_> = base.get("constraint").map_or(&[][..], Held::items).to_vec();
    let known: Vec<_> = known.iter().map(|it| member_text(it, "key")).collect();
    let mut new = Element::default();
    let fresh = held.items().iter().filter(|it| !known.contains(&member_text(it, "key"))).cloned();
    new.set("constraint", Held::List(fresh.collect()));
    new.say_sources(url);
    base.add("constraint", new.get("constraint").map(Held::items).unwrap_or_default());
}

/// A slicing that is inherited is made stricter: rules and order are replaced, discriminators are added.
fn slicing(base: &mut Element, held: &Held) {
    let (Some(before), Some(own)) =
        (base.raw("slicing").and_then(read), held.items().first().and_then(|it| read(it)))
    else {
        base.set("slicing", held.clone());
        return;
    };
    let (before, own) = (before.root(), own.root());
    let mut out = JsonWriter::new();
    out.begin_object();
    let mut discriminators: Vec<String> = Vec::new();
    for side in [before, own] {
        let list = side.get_key("discriminator");
        for item in list.into_iter().flat_map(|it| it.items()) {
            let key = |it: &str| (member_text(it, "type"), member_text(it, "path"));
            if !discriminators.iter().any(|known| key(known) == key(item.raw())) {
                discriminators.push(item.raw().to_owned());
            }
        }
    }
    if !discriminators.is_empty() {
        out.key("discriminator").begin_array();
        for item in &discriminators {
            out.raw(item.as_bytes());
        }
        out.end_array();
    }
    let rest = |key: &str| key != "discriminator";
    for member in own
        .children()
        .chain(before.children().filter(|it| it.key().is_some_and(|key| own.get_key(&key).is_none())))
    {
        if let Some(key) = member.key().filter(|key| rest(key)) {
            out.key_of(&key).raw(member.raw().as_bytes());
        }
    }
    out.end_object();
    base.set("slicing", Held::One(text(out).into()));
}

/// Prose that begins with three dots goes on where the base's ends.
fn continued(before: Option<&str>, held: &Held) -> Held {
    let decode = |json: &str| read(json).and_then(|it| it.root().as_str().map(|text| text.into_owned()));
    let own = held.items().first().and_then(|it| decode(it));
    let more = own.as_deref().and_then(|text| text.strip_prefix("..."));
    match (before.and_then(decode), more) {
        (Some(before), Some(more)) => {
            let mut out = JsonWriter::new();
            out.string(&format!("{before}\n{}", more.trim_start()));
            Held::One(text(out).into())
        }
        _ => held.clone(),
    }
}

/// What an extension's own definition says about itself, for the place where it is used: prose, and whether it may
/// change the meaning of what it stands in.
pub(super) fn adopt(element: &mut Element, extension: &Element) {
    for key in ["short", "definition", "comment", "requirements"] {
        if let Some(held) = extension.get(key) {
            element.set(key, held.clone());
        }
    }
    for key in ["alias", "mapping"] {
        element.remove(key);
        if let Some(held) = extension.get(key) {
            element.set(key, held.clone());
        }
    }
    if extension.raw("isModifier") == Some("true") {
        for key in ["isModifier", "isModifierReason"] {
            if let Some(held) = extension.get(key) {
                element.set(key, held.clone());
            }
        }
    }
}
