//! Mapping between structures with the FHIR Mapping Language (FHIR R4 §5.7, R5 §5.8).
//!
//! A [`Mapper`] holds the definitions and the maps at hand. It compiles a map once: names are resolved, types are
//! checked against the definitions, and a rule that can't match or a target that can't exist is refused with file,
//! line and column. The [`CompiledMap`] is immutable; a run walks the source's tape and ends within its bounds.
//! What is copied whole is copied from the source's bytes: digits of decimals, and whatever no definition knows,
//! stay as they are.
//!
//! ```
//! use fhir_models::definition::Definitions;
//! use fhir_models::document::{Limits, OwnedDocument};
//! use varco_core::mapping::{Mapper, Settings};
//!
//! let map = r#"
//!   map "http://example.org/StructureMap/contact" = "contact"
//!   uses "http://hl7.org/fhir/StructureDefinition/Patient" alias Patient as source
//!   uses "http://hl7.org/fhir/StructureDefinition/Person" alias Person as target
//!   group contact(source src : Patient, target tgt : Person) {
//!     src -> tgt: name, birthDate, gender;
//!     src.telecom as t where (system = 'phone') -> tgt.telecom = t;
//!   }"#;
//! let mut mapper = Mapper::new(Definitions::r4());
//! mapper.add("contact.map", map.as_bytes())?;
//! let contact = mapper.compile(0).map_err(|errors| errors[0].to_string())?;
//!
//! let text = r#"{"resourceType":"Patient","gender":"male","name":[{"family":"Rossi"}],
//!   "telecom":[{"system":"email","value":"a@example.org"},{"system":"phone","value":"02"}]}"#;
//! let patient = OwnedDocument::parse_json(text, &Limits::default())?;
//! let settings = Settings { report: true, ..Settings::default() };
//! let output = contact.run(&[patient.document()], &settings)?;
//! assert_eq!(
//!     output.text(),
//!     r#"{"resourceType":"Person","name":[{"family":"Rossi"}],"telecom":[{"system":"phone","value":"02"}],"gender":"male"}"#
//! );
//! let lost: Vec<_> = output.loss.iter().map(|it| it.path.as_str()).collect();
//! assert_eq!(lost, ["Patient.telecom[0].value"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Decisions where the specification leaves room: an identity rule takes the default group for the types of both
//! sides, else copies what has the same type. An element that does not repeat is made once and then found again;
//! a second, different value replaces the first and is noted. A code without translation is kept with its coding
//! and noted; two translations that the concept map leaves open ([`Preferred`]) are an error. A bare name in an expression is the variable of this name,
//! where there is one.
//!
//! Deliberately absent: `dateOp` but for dates of HL7 v2 (no edition says what it does), queried and produced
//! structures beside source and target. `translate()` knows no other element's value: what depends on one, in a concept
//! map, doesn't hold there.
//!
//! [`Preferred`]: crate::terminology::concept_map::Preferred

mod build;
mod change;
mod compile;
mod compile_batch;
mod compile_expression;
mod compile_import;
mod compile_rule;
mod compile_value;
mod concept_map;
mod difference;
mod error;
mod escape;
pub mod hl7v2;
pub mod json_schema;
mod logical;
mod moment;
mod output;
mod places;
mod program;
mod regional;
mod regional_model;
mod report;
mod run;
mod run_batch;
mod run_error;
mod run_expression;
mod run_target;
mod settings;
mod source;
mod structure;
pub mod syntax;
mod transform;
mod tree;
mod types;
mod write;

#[cfg(test)]
mod language_tests;
#[cfg(test)]
mod mapping_tests;

use std::fmt;
use std::sync::Arc;

use fhir_models::definition::Definitions;
use fhir_models::document::xml::parse_logical_xml;
use fhir_models::document::{Document, Format, Limits as DocumentLimits, OwnedDocument, SyntaxError};

use compile::MapFile;
use places::Places;
use program::Program;
use run::Run;
use run_error::RunFault as Fault;
use types::{TypeKind, Types};
use write::{WriteFault, Writer};

use crate::fhirpath::Model;

pub use change::{Change, ChangeKind};
pub use difference::{Difference, DifferenceKind, differences};
pub use error::{MapError, MapFault};
pub(crate) use logical::LogicalXml;
pub use output::{Note, NoteKind, Output, OutputFormat, OutputResult};
pub use regional::{
    EU_LAB_TO_FSE_LAB, FHIR_TO_FSE_CONSENT, FHIR_TO_SYNTHETIC_ANAGRAFE, FHIR_TO_SYNTHETIC_CUP,
    FSE_CONSENT_TO_FHIR, FSE_LAB_TO_EU_LAB, FSE_LDO_TO_HDR, FSE_PSS_TO_IPS, HDR_TO_FSE_LDO, IPS_TO_FSE_PSS,
    RegionalMap, SYNTHETIC_ANAGRAFE_TO_FHIR, SYNTHETIC_CUP_TO_FHIR, regional_map, regional_maps,
};
pub use regional_model::{FSE_CLAIMS, SYNTHETIC_ANAGRAFE, SYNTHETIC_CUP, regional_model};
pub use report::{Loss, LossCause, TraceStep};
pub use run_error::{RunError, RunFault};
pub use settings::{Counted, Limits, Randomness, Settings};

/// Definitions, and maps that may import each other.
#[derive(Debug)]
pub struct Mapper {
    types: Arc<Types>,
    model: Arc<Model>,
    files: Vec<MapFile>,
}

impl Mapper {
    /// A mapper with these definitions and no maps. Nothing is read yet.
    pub fn new(definitions: Arc<Definitions>) -> Mapper {
        let model = if Arc::ptr_eq(&definitions, &Definitions::r4()) {
            Model::r4()
        } else {
            Model::new(Arc::clone(&definitions))
        };
        Mapper { types: Arc::new(Types::new(definitions)), model, files: Vec::new() }
    }

    /// Reads a map: text, or a `StructureMap` in JSON or XML. `file` names it in errors. Gives its number.
    ///
    /// # Errors
    /// [`MapError`] where it can't be read, with line and column.
    pub fn add(&mut self, file: &str, bytes: &[u8]) -> Result<usize, MapError> {
        self.files.push(MapFile::read(file, bytes, self.model.schema())?);
        Ok(self.files.len() - 1)
    }

    /// The map with this number, as it was read.
    pub fn map(&self, number: usize) -> Option<&syntax::StructureMap> {
        self.files.get(number).map(|it| &it.map)
    }

    /// Compiles a map; it begins with its first group. What it imports of the maps that come with Varco, and is
    /// not among those added, is at hand.
    ///
    /// # Errors
    /// All that is wrong with it and with what it uses of other maps.
    pub fn compile(&self, number: usize) -> Result<CompiledMap, Vec<MapError>> {
        let own: Vec<&MapFile> = self.files.iter().collect();
        let library = regional::imported(&own, self.model.schema())?;
        let files: Vec<&MapFile> = own.into_iter().chain(&library).collect();
        let program = compile::compile(&files, number, &self.types, &self.model)?;
        Ok(CompiledMap { program, types: Arc::clone(&self.types), model: Arc::clone(&self.model) })
    }
}

/// A compiled map. Shared by threads by reference.
pub struct CompiledMap {
    program: Program,
    types: Arc<Types>,
    model: Arc<Model>,
}

impl fmt::Debug for CompiledMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledMap {{ groups: {} }}", self.program.groups.len())
    }
}

impl CompiledMap {
    /// The canonical of the structure that each source has to be, in order; `None` where any will do.
    pub fn source_types(&self) -> Vec<Option<String>> {
        self.types_of(false)
    }

    /// The canonical of the structure that each target will be, in order; `None` where the map leaves it open.
    pub fn target_types(&self) -> Vec<Option<String>> {
        self.types_of(true)
    }

    fn types_of(&self, target: bool) -> Vec<Option<String>> {
        let parameters = self.program.parameters.iter().filter(|it| it.target == target);
        parameters.map(|it| self.types.get(it.ty).map(|ty| ty.url.to_string())).collect()
    }

    /// Reads a source: JSON, FHIR XML, or the XML of the logical model that the map takes in this place.
    ///
    /// # Errors
    /// [`SyntaxError`] with line and column.
    pub fn read_source(
        &self,
        number: usize,
        bytes: &[u8],
        limits: &DocumentLimits,
    ) -> Result<OwnedDocument, SyntaxError> {
        let entry = self.program.parameters.iter().filter(|it| !it.target).nth(number);
        let ty = entry.and_then(|it| self.types.get(it.ty));
        match (Format::of(bytes), ty) {
            (Format::Xml, Some(ty)) if ty.kind == TypeKind::Logical => {
                parse_logical_xml(bytes, ty.id.number(), &*self.types, limits)
            }
            _ => OwnedDocument::parse(bytes, self.model.schema(), limits),
        }
    }

    /// Runs the map on its sources, one document for each source of its first group. The documents stay as they are.
    ///
    /// # Errors
    /// [`RunError`]: which rule, at which place of the source, with which value.
    pub fn run(&self, sources: &[Document<'_>], settings: &Settings<'_>) -> Result<Output, Box<RunError>> {
        let table = self.types.all();
        let mut run = Run::new(&self.program, &self.types, &self.model, settings, &table, sources.to_vec());
        let made = match run.whole() {
            Ok(made) => made,
            Err(fault) => return Err(Box::new(run.located(*fault))),
        };
        let mut results = Vec::new();
        for node in made.iter().copied() {
            match self.written(&run, node) {
                Ok(result) => results.push(result),
                Err(why) => {
                    let bytes = settings.limits.bytes as u64;
                    let fault = match why {
                        WriteFault::TooLarge => Fault::Limit(bytes, "bytes"),
                        WriteFault::TooDeep => Fault::Write("its elements are nested too deeply"),
                        WriteFault::Character => {
                            Fault::Write("a text holds a character that XML can't carry")
                        }
                        WriteFault::Mixed => Fault::Write("a part of another model stands in it"),
                    };
                    return Err(Box::new(run.located(*run.fault(fault))));
                }
            }
        }
        let (mut loss, mut lost) = (Vec::new(), Vec::new());
        let (mut changes, mut trace) = (Vec::new(), Vec::new());
        if let (Some(recorder), Some(document)) = (&run.recorder, sources.first()) {
            lost = recorder.counts(*document, &self.program);
            if settings.report {
                let places = Places::new(*document);
                loss = recorder.losses(&places, &self.program);
                changes = change::changes(&run, &places, &made);
                trace = recorder.trace(&places, &self.program);
            }
        }
        Ok(Output { results, notes: run.notes, loss, lost, changes, trace })
    }

    fn written(&self, run: &Run<'_, '_>, node: u32) -> Result<OutputResult, WriteFault> {
        let ty = run.tree.get(node).and_then(|it| run.ty(it.ty));
        let length = run.sources.documents.first().map_or(0, |it| it.text().len());
        let out = String::with_capacity(length.min(1 << 20));
        let most = run.settings.limits.bytes;
        let mut writer =
            Writer { tree: &run.tree, table: run.table, sources: &run.sources, out, most, depth: 0 };
        let xml = ty.as_ref().is_some_and(|it| it.kind == TypeKind::Logical && it.namespace.is_some());
        let format = if xml { OutputFormat::Xml } else { OutputFormat::Json };
        if xml {
            writer.xml_root(node)?;
        } else {
            writer.object(node)?;
        }
        let type_name = ty.map_or_else(String::new, |it| it.name.to_string());
        Ok(OutputResult { type_name, format, text: writer.out })
    }
}
