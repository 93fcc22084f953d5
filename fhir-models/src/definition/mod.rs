//! Definitions: what FHIR's own resources say about FHIR.
//!
//! Structures, value sets, code systems, search parameters and compartments as published by HL7 in FHIR
//! NPM packages. Everything here describes; nothing decides.

mod code_index;
mod code_system;
mod compartment;
mod definitions;
mod definitions_builder;
mod element;
mod error;
mod layer;
mod names;
mod pack;
mod pack_builder;
mod pack_definition;
mod pack_format;
mod pack_layout;
mod pack_order;
pub mod package;
pub mod package_cache;
mod package_pin;
mod search_parameter;
mod slim;
pub mod structure;
mod type_table;
mod value_set;
mod value_set_filter;
mod value_set_sources;

pub use code_system::{
    CaseRule, CodeSystem, Concept, ConceptProperty, Content, Designation, FilterDeclaration,
    PropertyDeclaration,
};
pub use compartment::Compartment;
pub use definitions::{Definitions, STRUCTURE_BASE};
pub use definitions_builder::DefinitionsBuilder;
pub use element::{
    AdditionalBinding, Aggregation, Binding, BindingStrength, Constraint, Discriminator, DiscriminatorKind,
    ElementDefinition, ElementType, Max, RawValue, Severity, Slicing, SlicingRules,
};
pub use error::DefinitionError;
pub use layer::built_in_packs;
pub use names::{choice_name, names_of};
pub use pack::{Entry, EntryId, Pack, PackError};
pub use pack_builder::{BuildError, Keeping, PackBuilder};
pub use package::{Manifest, Package, PackageError, PackageFile, PackageLimits};
pub use package_pin::Versions;
pub use search_parameter::{SearchComponent, SearchKind, SearchParameter};
pub use structure::{Derivation, ExtensionContext, StructureDefinition, StructureKind};
pub use value_set::{Code, CodeRules, MAX_CODES, Membership, ValueSet};
