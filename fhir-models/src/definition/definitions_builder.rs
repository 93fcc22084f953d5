//! Putting layers together: what is built in, packages, single definitions.

use std::sync::{Arc, LazyLock};

use super::layer::{Layer, built_in_packs};
use super::{BuildError, Definitions, Keeping, Manifest, Pack, PackBuilder, Package};

/// Collects layers.
#[derive(Debug)]
pub struct DefinitionsBuilder {
    pub(super) layers: Vec<Arc<Layer>>,
    loose: PackBuilder,
}

impl DefinitionsBuilder {
    /// No definitions at all.
    pub fn empty() -> DefinitionsBuilder {
        let manifest =
            Manifest { name: "loose definitions".to_owned(), version: "0".to_owned(), ..Manifest::default() };
        DefinitionsBuilder { layers: Vec::new(), loose: PackBuilder::new(manifest, Keeping::Whole) }
    }

    /// The built-in definitions.
    pub fn r4() -> DefinitionsBuilder {
        static LAYERS: LazyLock<Vec<Arc<Layer>>> =
            LazyLock::new(|| built_in_packs().iter().cloned().map(Layer::new).map(Arc::new).collect());
        DefinitionsBuilder { layers: LAYERS.clone(), ..DefinitionsBuilder::empty() }
    }

    /// Adds a pack over what is there.
    #[must_use]
    pub fn pack(mut self, pack: Pack) -> DefinitionsBuilder {
        self.layers.push(Arc::new(Layer::new(Arc::new(pack))));
        self
    }

    /// Adds a package over what is there.
    ///
    /// # Errors
    /// [`BuildError`] where a file is not JSON; the message names it.
    pub fn package(self, package: &Package) -> Result<DefinitionsBuilder, BuildError> {
        let bytes = PackBuilder::of_package(package, Keeping::Whole, || {})?.finish()?;
        Ok(self.pack(Pack::open(bytes)?))
    }

    /// Adds one definition, over all packages. `file` names it in errors. `false` where the resource is not
    /// a definition.
    ///
    /// # Errors
    /// [`BuildError::BadJson`].
    pub fn definition(&mut self, file: &str, json: &[u8]) -> Result<bool, BuildError> {
        self.loose.add(file, json)
    }

    /// The definitions.
    ///
    /// # Errors
    /// [`BuildError`] where the loose definitions are too large for one pack.
    pub fn build(self) -> Result<Definitions, BuildError> {
        let builder = if self.loose.is_empty() {
            self
        } else {
            let loose = Pack::open(self.loose.finish()?)?;
            DefinitionsBuilder { layers: self.layers, ..DefinitionsBuilder::empty() }.pack(loose)
        };
        Ok(Definitions::of(builder.layers))
    }
}
