//! The types of FHIR and how they descend from each other.

use std::collections::BTreeMap;

use super::pack_format::TYPE_FACET;
use super::{Pack, StructureKind};

/// Longest chain of base types followed: a bound against definitions that descend from themselves.
const MAX_CHAIN: usize = 32;

/// All types by name.
#[derive(Debug)]
pub(super) struct TypeTable {
    types: BTreeMap<String, TypeInfo>,
}

#[derive(Debug)]
struct TypeInfo {
    kind: StructureKind,
    is_abstract: bool,
    base: Option<String>,
}

impl TypeTable {
    /// The types that the packs define; of two with one name, the later pack's.
    pub(super) fn of<'p>(packs: impl Iterator<Item = &'p Pack>) -> TypeTable {
        let mut types = BTreeMap::new();
        for pack in packs {
            for entry in pack.with_facet("StructureDefinition", TYPE_FACET) {
                let Some(entry) = pack.entry(entry) else { continue };
                let Some(kind) = entry.type_kind else { continue };
                let tail = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
                let base = Some(tail(entry.base)).filter(|base| !base.is_empty());
                types.insert(tail(&entry.url), TypeInfo { kind, is_abstract: entry.is_abstract, base });
            }
        }
        TypeTable { types }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let logical = |info: &TypeInfo| info.kind == StructureKind::Logical;
        self.types.iter().filter(move |(_, info)| !logical(info)).map(|(name, _)| name.as_str())
    }

    pub(super) fn kind(&self, name: &str) -> Option<StructureKind> {
        self.types.get(name).map(|info| info.kind)
    }

    pub(super) fn is_resource(&self, name: &str) -> bool {
        self.types.get(name).is_some_and(|info| info.kind == StructureKind::Resource && !info.is_abstract)
    }

    pub(super) fn base(&self, name: &str) -> Option<&str> {
        self.types.get(name)?.base.as_deref()
    }

    pub(super) fn is_subtype(&self, name: &str, of: &str) -> bool {
        let mut here = name;
        for _ in 0..MAX_CHAIN {
            if here == of {
                return true;
            }
            match self.base(here) {
                Some(base) => here = base,
                None => return false,
            }
        }
        false
    }
}
