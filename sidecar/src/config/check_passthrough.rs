//! `[[passthrough]]` against the world: nothing that is decided about may be reached by it, under no path and at no server.

use http::{HeaderName, Uri};

use super::passthrough::Passthrough;
use super::source::Source;
use super::{Config, Fault, Upstream, check_upstream};
use crate::pipeline::may_pass;

/// Every fault of the routes.
pub(super) fn faults(config: &Config, source: &Source<'_>, faults: &mut Vec<Fault>) {
    for (at, route) in config.passthrough.iter().enumerate() {
        let section = format!("/passthrough/{at}");
        check_upstream::server(&route.server, &format!("{section}/server"), source, faults);
        let earlier = config.passthrough.get(..at).unwrap_or_default();
        let mut fault = |setting: &str, cause: String, cure: &str| {
            faults.push(source.fault(&format!("{section}/{setting}"), cause, cure));
        };
        if earlier.iter().any(|other| other.name == route.name) {
            let cause = format!("The name {} is taken.", route.name);
            fault("name", cause, "Give each pass-through a name of its own.");
        }
        path(config, route, earlier, &mut fault);
        not_the_fhir_server(&config.upstream, &route.server, &mut fault);
        if route.reason.split_whitespace().count() < 3 {
            let cause = "This is no reason that somebody else could judge.".to_owned();
            fault("reason", cause, "Say in a sentence why nothing behind the path must be decided about.");
        }
        for (setting, list) in [("methods", &route.methods), ("clients", &route.clients)] {
            let twice = list
                .iter()
                .enumerate()
                .find(|(number, own)| list.iter().take(*number).any(|other| other == *own));
            if let Some((number, own)) = twice {
                fault(&format!("{setting}/{number}"), format!("{own} is listed twice."), "Remove it.");
            }
        }
        let has = |method: &str| route.methods.iter().any(|own| own == method);
        if has("HEAD") && !has("GET") {
            fault(
                "methods",
                "HEAD tells of what GET gives, and GET is not listed.".to_owned(),
                "Add GET, or remove HEAD.",
            );
        }
        for (number, name) in route.headers.iter().enumerate() {
            let known = name.parse::<HeaderName>().is_ok_and(|name| may_pass(&name));
            if !known {
                let cause = format!("The header {name} never passes.");
                let cure = "Remove it: connections, credentials, addresses and overrides of method and path are this gateway's \
                            own matter.";
                fault(&format!("headers/{number}"), cause, cure);
            }
        }
    }
}

/// True where one path is the other, or stands below it.
pub(super) fn meet(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}

fn path(
    config: &Config,
    route: &Passthrough,
    earlier: &[Passthrough],
    fault: &mut impl FnMut(&str, String, &str),
) {
    let base = config.site.base_path();
    if meet(&route.path, base) {
        let cause =
            format!("The path meets the FHIR base {base}/: its requests are decided about, these are not.");
        fault("path", cause, "Choose a path beside it; a FHIR base at the root leaves none.");
    }
    let others = earlier.iter().map(|own| (&own.name, &own.path));
    let publications = config.publication.iter().flat_map(|own| &own.route).map(|own| (&own.name, &own.path));
    if let Some((name, _)) = others.chain(publications).find(|(_, path)| meet(path, &route.path)) {
        let cause = format!("A request could belong to this one and to {name}.");
        fault("path", cause, "Let no path stand below another.");
    }
    if route.path.split('/').any(|segment| matches!(segment, "." | "..")) {
        fault("path", "The path climbs.".to_owned(), "Write it without dots as segments.");
    }
}

/// What is asked of the hospital's FHIR server passes no other way than by decisions: the two may share a machine, not a path.
fn not_the_fhir_server(fhir: &Upstream, own: &Upstream, fault: &mut impl FnMut(&str, String, &str)) {
    let parts = |server: &Upstream| {
        let uri = server.url.parse::<Uri>().ok()?;
        let authority = uri.authority()?;
        let port = authority.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        Some((authority.host().to_ascii_lowercase(), port, uri.path().to_owned()))
    };
    let (Some((fhir_host, fhir_port, fhir_path)), Some((host, port, path))) = (parts(fhir), parts(own))
    else {
        return;
    };
    let listed = |server: &Upstream, host: &str, port: u16| {
        server.addresses.iter().any(|own| own.ip().to_string() == host && own.port() == port)
    };
    let shared = fhir.addresses.iter().any(|address| own.addresses.contains(address));
    let same = (host == fhir_host && port == fhir_port)
        || shared
        || listed(fhir, &host, port)
        || listed(own, &fhir_host, fhir_port);
    if same && meet(&path, &fhir_path) {
        let cause =
            "This is the hospital's FHIR server: what passes would be decided about by nobody.".to_owned();
        let cure = "Name another server, or a path of it beside its FHIR base. Two names of one machine are not noticed here.";
        fault("server/url", cause, cure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_meet_by_segments() {
        assert!(
            meet("/fhir", "/fhir")
                && meet("/fhir/Patient", "/fhir")
                && meet("/a", "/a/b/c")
                && meet("/tx", "")
        );
        assert!(!meet("/fhir-admin", "/fhir") && !meet("/tx", "/fhir"));
    }
}
