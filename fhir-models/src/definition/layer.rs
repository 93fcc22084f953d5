//! A layer of definitions: a pack, and what has been read of it.
//!
//! What depends on an entry's own text only is read once and shared by all
//! [`Definitions`](super::Definitions) that hold the pack.

use std::sync::{Arc, LazyLock, OnceLock};

use super::{CodeSystem, Compartment, DefinitionError, EntryId, Pack, SearchParameter, StructureDefinition};
use crate::document::{Limits, OwnedDocument, Tape, Value};

/// The packs that this program was built with, in the order of their layers.
pub fn built_in_packs() -> &'static [Arc<Pack>] {
    static PACKS: LazyLock<Vec<Arc<Pack>>> = LazyLock::new(|| {
        // A test opens and verifies each; one that an altered program file holds is left out, and whatever
        // asks for its definitions does not find them.
        BUILT_IN.iter().filter_map(|bytes| Pack::open(*bytes).ok()).map(Arc::new).collect()
    });
    &PACKS
}

pub(super) const BUILT_IN: [&[u8]; 4] = [
    include_bytes!("../../data/r4.pack"),
    include_bytes!("../../data/terminology.pack"),
    include_bytes!("../../data/extensions.pack"),
    include_bytes!("../../data/ips.pack"),
];

/// One place for each entry of a pack, filled on first use.
pub(super) type Slots<T> = Box<[OnceLock<Result<T, DefinitionError>>]>;

/// A pack and what has been read of it.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) pack: Arc<Pack>,
    pub(super) read: OnceLock<Slots<Read>>,
}

/// A definition that depends on its own text only.
#[derive(Debug)]
pub(super) enum Read {
    Structure(Arc<StructureDefinition>),
    CodeSystem(Arc<CodeSystem>),
    SearchParameter(Arc<SearchParameter>),
    Compartment(Arc<Compartment>),
}

impl Layer {
    pub(super) fn new(pack: Arc<Pack>) -> Layer {
        Layer { pack, read: OnceLock::new() }
    }

    pub(super) fn read(&self, entry: EntryId) -> Result<&Read, DefinitionError> {
        let slots = self.read.get_or_init(|| slots(self.pack.len()));
        let slot = slots.get(entry.index()).ok_or(DefinitionError::NotFound)?;
        slot.get_or_init(|| self.parse(entry, Read::of)).as_ref().map_err(Clone::clone)
    }

    /// An entry's text as a document.
    pub(super) fn document(&self, entry: EntryId) -> Option<OwnedDocument> {
        OwnedDocument::parse_json(self.pack.text(entry).ok()?, &Limits::default()).ok()
    }

    /// What `read` makes of an entry's text.
    pub(super) fn parse<T>(
        &self,
        entry: EntryId,
        read: impl FnOnce(Value<'_>) -> Result<T, DefinitionError>,
    ) -> Result<T, DefinitionError> {
        let text = self.pack.text(entry).map_err(|error| DefinitionError::Pack(error.to_string()))?;
        let mut tape = Tape::new();
        let document = tape.parse_json(&text, &Limits::default()).map_err(DefinitionError::Syntax)?;
        read(document.root())
    }
}

impl Read {
    fn of(resource: Value<'_>) -> Result<Read, DefinitionError> {
        match resource.resource_type().as_deref() {
            Some("StructureDefinition") => {
                StructureDefinition::read(resource).map(|it| Read::Structure(Arc::new(it)))
            }
            Some("CodeSystem") => CodeSystem::read(resource).map(|it| Read::CodeSystem(Arc::new(it))),
            Some("SearchParameter") => {
                SearchParameter::read(resource).map(|it| Read::SearchParameter(Arc::new(it)))
            }
            Some("CompartmentDefinition") => {
                Compartment::read(resource).map(|it| Read::Compartment(Arc::new(it)))
            }
            _ => Err(DefinitionError::NotFound),
        }
    }
}

/// A slot for every entry of a pack of this length.
pub(super) fn slots<T>(count: usize) -> Slots<T> {
    (0..count).map(|_| OnceLock::new()).collect()
}
