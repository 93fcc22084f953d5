//! Where an extension may stand (FHIR R4 §5.4, `StructureDefinition.context`, `.contextInvariant`).
//!
//! A context is an element or type, an extension, or a FHIRPath expression. An expression allows the elements
//! that it finds in the resource; what it can't be evaluated for is allowed. A context of an extension covers
//! the extension itself and its value.

use std::sync::OnceLock;

use fhir_models::definition::{Definitions, STRUCTURE_BASE, StructureDefinition};
use fhir_models::document::{Value, name};

use crate::fhirpath::{Argument, Context, Expression, Focus, Options};

use super::locate::Host;
use super::walk::Walk;

/// Where an extension may stand, compiled.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    allowed: Box<[Allowed]>,
    invariants: Box<[Lazy]>,
}

#[derive(Debug)]
enum Allowed {
    Element(Box<str>),
    Extension(Box<str>),
    Path(Box<Lazy>),
    /// A kind that nobody knows: it forbids nothing.
    Anything,
}

/// An expression, compiled when first asked for; `None` inside where it is none.
#[derive(Debug)]
struct Lazy {
    text: Box<str>,
    compiled: OnceLock<Option<Expression>>,
}

impl Lazy {
    fn new(text: &str) -> Lazy {
        Lazy { text: text.into(), compiled: OnceLock::new() }
    }

    fn get(&self, walk: &Walk<'_, '_>) -> Option<&Expression> {
        let compile = || {
            let options = Options { variables: &["extension"], ..Options::default() };
            Expression::compile(&self.text, walk.types.model(), &options).ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

impl Contexts {
    /// The contexts of an extension's definition; none for anything else.
    pub fn of(definition: &StructureDefinition) -> Contexts {
        let allowed = definition.context.iter().map(|context| match context.kind.as_str() {
            "element" => Allowed::Element(context.expression.as_str().into()),
            "extension" => Allowed::Extension(context.expression.as_str().into()),
            "fhirpath" => Allowed::Path(Box::new(Lazy::new(&context.expression))),
            _ => Allowed::Anything,
        });
        let more = errata(&definition.url).iter().map(|path| Allowed::Element((*path).into()));
        let allowed = allowed.chain(more);
        let invariants = definition.context_invariants.iter().map(|text| Lazy::new(text));
        Contexts { allowed: allowed.collect(), invariants: invariants.collect() }
    }

    /// True where the host may have the extension.
    pub fn allow(&self, walk: &Walk<'_, '_>, host: &Host<'_>) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|it| it.fits(walk, host))
    }

    /// The first of the rules about its use that is broken.
    pub fn broken_rule<'d>(
        &self,
        walk: &Walk<'_, 'd>,
        host: &Host<'d>,
        extension: Value<'d>,
    ) -> Option<&str> {
        let broken = |rule: &&Lazy| {
            let Some(focus) = focus(walk, host) else { return false };
            let Some(expression) = rule.get(walk) else { return false };
            let argument = walk.types.model().type_of("Extension").map(|it| Focus::element(extension, it));
            let variables = [("extension", argument.map(Argument::Value).into_iter().collect())];
            let context = Context {
                resource: Some(Focus::resource(host.resource)),
                root_resource: Some(Focus::resource(host.root)),
                variables: &variables,
                ..Context::default()
            };
            matches!(expression.test(focus, &context), Ok(Some(false)))
        };
        self.invariants.iter().find(broken).map(|rule| &*rule.text)
    }

    /// The contexts as a message shows them.
    pub fn shown(&self) -> String {
        let text = |allowed: &Allowed| match allowed {
            Allowed::Element(text) | Allowed::Extension(text) => text.to_string(),
            Allowed::Path(lazy) => lazy.text.to_string(),
            Allowed::Anything => "other places".to_owned(),
        };
        self.allowed.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

/// Places that a definition forgot: R4's own definitions carry the extension there.
fn errata(url: &str) -> &'static [&'static str] {
    match url.strip_prefix(STRUCTURE_BASE) {
        Some("regex") => &["ElementDefinition.type"],
        _ => &[],
    }
}

impl Allowed {
    fn fits(&self, walk: &Walk<'_, '_>, host: &Host<'_>) -> bool {
        match self {
            Allowed::Element(path) => element(walk.types.definitions(), path, host),
            Allowed::Extension(url) => extension(url, host),
            Allowed::Path(lazy) => lazy.get(walk).is_none_or(|expression| found(walk, expression, host)),
            Allowed::Anything => true,
        }
    }
}

/// True where the host is the extension with this url, or its value.
fn extension(canonical: &str, host: &Host<'_>) -> bool {
    let url = canonical.split('|').next().unwrap_or_default();
    if url.contains('#') {
        // A part of an extension: which one it stands in is not looked at.
        return host.extension.is_some();
    }
    host.extension.and_then(|it| it.get(name::URL)).is_some_and(|own| own.is_str(url))
}

/// True where the expression finds the host in the resource, or is true of the host.
fn found(walk: &Walk<'_, '_>, expression: &Expression, host: &Host<'_>) -> bool {
    let Some(value) = host.value else { return true };
    let context = Context {
        resource: Some(Focus::resource(host.resource)),
        root_resource: Some(Focus::resource(host.root)),
        ..Context::default()
    };
    let Ok(items) = expression.evaluate(Focus::resource(host.resource), &context) else { return true };
    let is_host = |it: Value<'_>| it.id() == value.id();
    if items.iter().any(|item| item.value().is_some_and(is_host) || item.twin().is_some_and(is_host)) {
        return true;
    }
    let Some(focus) = focus(walk, host) else { return false };
    expression.evaluate(focus, &context).is_ok_and(|items| items.as_boolean() == Some(true))
}

fn focus<'d>(walk: &Walk<'_, 'd>, host: &Host<'d>) -> Option<Focus<'d>> {
    let value = host.value?;
    if value.id() == host.resource.id() {
        return Some(Focus::resource(value));
    }
    let model = walk.types.model();
    let own = model.type_of(&host.own).or_else(|| model.type_of(&host.type_name))?;
    let focus = Focus::element(value, own);
    Some(if host.is_twin { focus.with_twin(value) } else { focus })
}

/// True where the host is the element or of the type that a context names.
fn element(definitions: &Definitions, written: &str, host: &Host<'_>) -> bool {
    // A definition may be named by its canonical; one of a profile is taken as fulfilled.
    let expression = match written.strip_prefix(STRUCTURE_BASE) {
        Some(rest) => rest.rsplit('#').next().unwrap_or(rest),
        None => written,
    };
    if expression.contains(['/', '#']) {
        return true;
    }
    let above = |path: &str| {
        let parts = path.split_once('.').zip(expression.split_once('.'));
        parts.is_some_and(|((own, rest), (base, wanted))| rest == wanted && definitions.is_subtype(own, base))
    };
    let fits = |name: &String| above(name) || name == expression;
    let plain = [&host.path, &host.own, &host.chain, &host.type_name].into_iter().any(fits);
    let exact = plain || (host.path.ends_with("[x]") && host.names().iter().any(fits));
    let known = expression.contains('.') || definitions.type_kind(expression).is_some();
    let inherits = match expression {
        // Many definitions write Element and mean resources too.
        "Element" => true,
        "BackboneElement" => host.own.contains('.'),
        _ => {
            definitions.is_subtype(&host.type_name, expression)
                || (!host.own.contains('.') && definitions.is_subtype(&host.own, expression))
        }
    };
    exact || inherits || !known
}
