//! The files that a configuration names: found from its folder, and watched for changes.

use std::path::{Path, PathBuf};

use super::{Config, Destination, Passthrough, Plugin, Publication, Tls};

impl Config {
    /// The files that a start reads, but for those that are watched by themselves: certificates, plugins' manifests,
    /// definitions.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let tls = self.listen.tls.iter().flat_map(Tls::files);
        let plugins = self.plugin.iter().flat_map(Plugin::files);
        let plugins = plugins.chain(self.plugins.trusted_keys.iter().map(PathBuf::as_path));
        let authorities = self.issuers().filter_map(|issuer| issuer.ca.as_ref());
        let export = self.audit.export.iter().map(|export| &export.store);
        let otlp = self.telemetry.otlp.iter().map(|otlp| &otlp.collector);
        let sent_to = export.chain(otlp).flat_map(Destination::files);
        let upstream =
            [&self.upstream.ca, &self.upstream.certificate, &self.upstream.key].into_iter().flatten();
        tls.chain(upstream)
            .chain(authorities)
            .chain(sent_to)
            .chain(self.publication.iter().flat_map(Publication::files))
            .chain(self.passthrough.iter().flat_map(Passthrough::files))
            .chain(&self.validation.definitions)
            .map(PathBuf::as_path)
            .chain(plugins)
    }

    /// Makes every path begin where the configuration's file is.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let mllp = self.mllp.iter_mut().filter_map(|mllp| mllp.tls.as_mut());
        let tls = self.listen.tls.iter_mut().chain(mllp).flat_map(Tls::files_mut);
        let server = &mut self.upstream;
        let server = [server.ca.as_mut(), server.certificate.as_mut(), server.key.as_mut()];
        let others = server.into_iter().chain([Some(&mut self.store.path)]);
        let issuers = self.tokens.iter_mut().chain(&mut self.issuer);
        let keys = issuers.flat_map(|it| [it.jwks.as_mut(), it.jwks_ca.as_mut(), it.ca.as_mut()]).flatten();
        let plugins = self.plugin.iter_mut().flat_map(Plugin::paths);
        let plugins = plugins.chain(&mut self.plugins.trusted_keys).chain(&mut self.plugins.compiled);
        let terminology = self.terminology.iter_mut();
        let terminology = terminology.flat_map(|it| it.server.paths());
        let export = self.audit.export.iter_mut().map(|export| &mut export.store);
        let otlp = self.telemetry.otlp.iter_mut().map(|otlp| &mut otlp.collector);
        let sent_to = export.chain(otlp).flat_map(Destination::paths);
        let access_log = self.telemetry.access_log.iter_mut().map(|log| &mut log.path);
        let policies = self.policy.iter_mut().flat_map(|policy| &mut policy.files);
        let definitions = self.validation.definitions.iter_mut().chain(&mut self.mapping.maps);
        let handoff = &mut self.listen.handoff;
        for path in tls
            .chain(others.flatten())
            .chain(keys)
            .chain(plugins)
            .chain(terminology)
            .chain(sent_to)
            .chain(access_log)
            .chain(definitions)
            .chain(policies)
            .chain(self.publication.iter_mut().flat_map(Publication::paths))
            .chain(self.passthrough.iter_mut().flat_map(Passthrough::paths))
            .chain(handoff)
        {
            *path = folder.join(&*path);
        }
        // What is no file here may be `id#version` of the package cache.
        for package in &mut self.validation.packages {
            let here = folder.join(&*package);
            if here.exists() {
                *package = here.display().to_string();
            }
        }
    }
}
