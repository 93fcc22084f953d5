//! Identifiers of people and organisations: one thing under several names.
//!
//! A patient is known by a codice fiscale in one system's spelling here and in another's there. Nothing in
//! this module merges two people; it makes spellings comparable, and says how sure a match is and why.

mod alias;
mod alias_defaults;
mod codice_fiscale;
mod codice_fiscale_made;
mod cx;
mod foreigner_code;
mod identifier_element;
mod links;
mod matching;
mod region;

pub use alias::{AliasChange, AliasError, AliasGroup, AliasMap, IdentifierAliases, MappedDocument};
pub use alias_defaults::{italian_groups, regional_groups};
pub use codice_fiscale::{CodiceFiscale, CodiceFiscaleFault, ProvisionalCode, Sex, TaxCode};
pub use codice_fiscale_made::CodiceFiscaleData;
pub use foreigner_code::{ForeignerCode, ForeignerCodeFault, ForeignerKind};
pub(crate) use identifier_element::is_identifier_element;
pub use links::{LinkReason, LinkStore, MemoryLinks, RecordKey};
pub(crate) use matching::plain;
pub use matching::{Agreement, Evidence, Feature, MatchGrade, MatchScore, Matcher, Person, Weight, Weights};
pub use region::RegionCode;
