//! `varco snapshot`: the snapshot of a profile that was written as a differential.
//!
//! Exit codes: 0 with the snapshot on standard output, 1 where none can be made of the structure, 2 where the input
//! or the definitions can't be read.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fhir_models::definition::Definitions;
use fhir_models::document::xml::DefinitionSchema;
use fhir_models::document::{Limits, OwnedDocument};
use varco_core::snapshot::snapshot;

use super::say;
use varco::definitions::gather;

/// Makes the snapshot of a StructureDefinition from its differential, and prints the whole resource as JSON.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  varco snapshot profile.json > profile-with-snapshot.json
  varco snapshot --definition profiles/ profiles/my-observation.json
  varco snapshot --package hl7.fhir.r4.core-4.0.1.tgz --package my-guide.tgz profile.xml

R4, HL7 Terminology, the extensions pack and IPS are built in, without descriptions and mappings of their
elements: bring the package itself where the snapshot shall repeat them.")]
pub struct Snapshot {
    /// FHIR version of the structure: 4.0.1 (also written 4.0 or R4).
    #[arg(long, value_name = "V", default_value = "4.0.1")]
    fhir_version: String,
    /// A FHIR package that the structure is built on: a .tgz file, a folder, or id#version in the package cache.
    #[arg(long, value_name = "TGZ|DIR|ID#VER")]
    package: Vec<String>,
    /// A definition that it is built on, or a folder of such, in JSON or XML.
    #[arg(long, value_name = "FILE|DIR")]
    definition: Vec<PathBuf>,
    /// The StructureDefinition in JSON or XML, or `-` for standard input.
    #[arg(value_name = "FILE")]
    input: String,
}

impl Snapshot {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        let fault = |message: String| {
            say::note(format!("varco snapshot: {message}"));
            ExitCode::from(2)
        };
        if !matches!(self.fhir_version.to_ascii_uppercase().as_str(), "4.0.1" | "4.0" | "R4") {
            return fault(format!("FHIR version {} is not supported: use R4 (4.0.1)", self.fhir_version));
        }
        let gathered = match gather(&self.package, &self.definition) {
            Ok(gathered) => gathered,
            Err(error) => return fault(error.to_string()),
        };
        for warning in &gathered.warnings {
            say::note(format!("note: {warning}"));
        }
        let document = match self.read() {
            Ok(document) => document,
            Err(message) => return fault(message),
        };
        match snapshot(document.root(), &gathered.definitions) {
            Ok(made) => {
                for warning in &made.warnings {
                    say::note(format!("{}: warning: {warning}", self.input));
                }
                say::line(made.json);
                ExitCode::SUCCESS
            }
            Err(error) => {
                say::note(format!("{}: no snapshot can be made: {error}", self.input));
                ExitCode::FAILURE
            }
        }
    }

    fn read(&self) -> Result<OwnedDocument, String> {
        let limits = Limits::default();
        let mut text = Vec::new();
        let read = if self.input == "-" {
            std::io::stdin().take(limits.bytes as u64 + 1).read_to_end(&mut text).map(|_| ())
        } else {
            std::fs::read(&self.input).map(|bytes| text = bytes)
        };
        read.map_err(|error| format!("{} can't be read: {error}", self.input))?;
        let schema = DefinitionSchema::new(Definitions::r4());
        OwnedDocument::parse(text, &schema, &limits).map_err(|error| format!("{}: {error}", self.input))
    }
}
