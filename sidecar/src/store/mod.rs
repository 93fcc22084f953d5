//! What the sidecar keeps: consents, audit records, which HL7 v2 messages were done, and messages to the national gateway.
//!
//! Invariants: a write is answered only after its transaction is on disk; the audit table is only ever
//! appended to, but for old records that its rule removes ([`Removal`]); a consent that was written is what the next decision reads.

mod appending;
mod export_cursor;
mod intent;
mod outbox;
mod packed;
mod packing;
mod postings;
mod queue;
mod quota;
mod received;
mod refused;
mod residue;
mod retention;
mod review;
mod schema;
mod sole;
mod trail;
mod trail_index;
mod trail_reader;
mod trail_time;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fhir_models::document::{Limits, OwnedDocument};
use moka::sync::Cache;
use rusqlite::{Connection, OptionalExtension, params};
use varco_core::consent::{CompiledConsent, Reading};

use crate::cache::Counted;
use crate::handoff::Overlap;

pub use export_cursor::TrailRecord;
pub use intent::{OpenIntent, intent_before};
pub use outbox::{OutboxAnswer, OutboxChange, OutboxHead, OutboxMessage, OutboxWaiting};
pub use received::{ReceivedRow, Seen};
pub use refused::{ClosedMinutes, RefusedRow};
pub use retention::{Anchor, Removal};
pub use review::{CloseError, Review, ReviewDesk, ReviewUse, ReviewsWaiting};
pub use trail::{TrailCondition, TrailPage, TrailSearch, TrailText, TrailValue};
pub use trail_reader::{BrokenRecord, Tampering, TrailProof, TrailReader};
pub use trail_time::{TrailTime, period};
pub use work::AuditRow;
pub use writer::Writer;

use sole::Sole;

/// How many patients' consents are kept compiled.
const PATIENTS_REMEMBERED: u64 = 50_000;
/// Most consents of one patient that a decision reads; beyond it the decision is refused.
pub const MOST_CONSENTS: usize = 1_000;

/// The store can't answer. A request that needs it is refused with 503.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database file can't be opened or made.
    #[error("the store {} can't be opened: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Another process has it.
    #[error(
        "the store {} is another process's, which runs: give this one a store of its own, end the other, or let this one take over \
         from it (listen.handoff)", _0.display()
    )]
    Taken(PathBuf),
    /// A query failed.
    #[error("the store can't be read or written: {0}")]
    Database(String),
    /// A fault in the program, in writing out a record.
    #[error(
        "an audit record can't be written out: a fault in the program, and a panic in the log says where"
    )]
    Unwritable,
    /// More writes wait than the queue holds.
    #[error("the store's write queue is full")]
    Busy,
    /// The writer has stopped after a failure.
    #[error("the store's writer has stopped")]
    Stopped,
    /// A search came before the audit trail was indexed.
    #[error("the audit trail is still being indexed; try again in a minute")]
    Indexing,
    /// A stored consent is not readable any more.
    #[error("the stored consent {0} can't be read")]
    Consent(String),
    /// A patient has more consents than a decision reads.
    #[error("a patient has more than {MOST_CONSENTS} consents")]
    TooManyConsents,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Database(error.to_string())
    }
}

/// A consent as it is kept.
#[derive(Debug, Clone)]
pub struct StoredConsent {
    /// Its id here.
    pub id: String,
    /// Its version, from 1.
    pub version: i64,
    /// The FHIR resource, `id` and `meta` included.
    pub body: Vec<u8>,
}

type Compiled = Arc<Vec<Arc<CompiledConsent>>>;

/// The embedded store: one SQLite file.
pub struct Store {
    reader: Mutex<Connection>,
    trail: Mutex<Connection>,
    writer: Writer,
    /// Compiled consents by patient and revision: a write makes every older entry unreachable.
    compiled: Counted<(String, u64), Compiled>,
    revision: AtomicU64,
    /// True once a consent is kept under an identifier: then lookups must ask who a patient is.
    identified: AtomicBool,
    reading: Reading,
    /// Another process that may write for a time.
    overlap: Arc<Overlap>,
    sole: Sole,
}

impl Store {
    /// Opens the database, makes its tables if it is new, and starts the writer. `reading` says how the dates
    /// and references of consents are read.
    pub fn open(path: &Path, reading: Reading) -> Result<Store, StoreError> {
        let writer = Writer::start(schema::open(path)?)?;
        let reader = schema::open(path)?;
        let identified = has_identified(&reader)?;
        let (reader, identified) = (Mutex::new(reader), AtomicBool::new(identified));
        let trail = Mutex::new(schema::open(path)?);
        let compiled = Counted::new("consents", Cache::builder().max_capacity(PATIENTS_REMEMBERED));
        let overlap = Arc::new(Overlap::beside(path));
        Ok(Store {
            reader,
            trail,
            writer,
            compiled,
            revision: AtomicU64::new(0),
            identified,
            reading,
            overlap,
            sole: Sole::of(path),
        })
    }

    /// Takes the store for this process alone, until it is closed; blocks for some seconds while another has it.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where another keeps it.
    pub fn hold(&self) -> Result<(), StoreError> {
        self.sole.take()
    }

    /// True where this process has it alone.
    pub fn is_held(&self) -> bool {
        self.sole.is_held()
    }

    /// Sets the gauges, before metrics are rendered.
    pub fn observe(&self) {
        self.compiled.observe();
    }

    /// The one that writes.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The time in which another process writes too.
    pub fn overlap(&self) -> &Arc<Overlap> {
        &self.overlap
    }

    /// The other process is gone: what it wrote counts from now on, and memory does again. Gives the tokens that either took.
    pub fn end_overlap(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        self.revision.fetch_add(1, Ordering::AcqRel);
        if has_identified(&self.reader())? {
            self.identified.store(true, Ordering::Release);
        }
        self.overlap.end().map_err(|error| StoreError::Database(error.to_string()))
    }

    /// The consents about a patient, compiled; `patient` is a key as [`StoredConsent`]s were written with.
    pub fn consents_of(&self, patient: &str) -> Result<Compiled, StoreError> {
        let key = (patient.to_owned(), self.revision.load(Ordering::Acquire));
        // What another process may have written is not in memory here.
        let shared = self.overlap.is_shared();
        if let Some(compiled) = self.compiled.get(&key).filter(|_| !shared) {
            return Ok(compiled);
        }
        let compiled: Compiled = Arc::new(
            self.consents(patient)?
                .into_iter()
                .map(|stored| compile(&stored, &self.reading))
                .collect::<Result<_, _>>()?,
        );
        if !shared {
            self.compiled.insert(key, compiled.clone());
        }
        Ok(compiled)
    }

    /// A number that grows with each consent that is written: what was decided before may not hold any more.
    pub fn consent_revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The consents about a patient, as they were written, newest first.
    pub fn consents(&self, patient: &str) -> Result<Vec<StoredConsent>, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT id, version, body FROM consent WHERE patient = ?1 ORDER BY updated DESC LIMIT ?2",
        )?;
        let rows = query.query_map(params![patient, MOST_CONSENTS as i64 + 1], stored)?;
        let consents: Vec<StoredConsent> = rows.collect::<Result<_, _>>()?;
        if consents.len() > MOST_CONSENTS { Err(StoreError::TooManyConsents) } else { Ok(consents) }
    }

    /// Whether any consent is kept under an identifier instead of a Patient of this server.
    pub fn has_identified(&self) -> bool {
        self.identified.load(Ordering::Acquire) || self.overlap.is_shared()
    }

    /// One consent by its id.
    pub fn consent(&self, id: &str) -> Result<Option<StoredConsent>, StoreError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached("SELECT id, version, body FROM consent WHERE id = ?1")?;
        Ok(query.query_row([id], stored).optional()?)
    }

    /// Writes a consent (a new one, or over the version before) and makes it the law of the next decision.
    pub async fn put_consent(
        &self,
        consent: StoredConsent,
        patient: String,
        updated: String,
    ) -> Result<(), StoreError> {
        compile(&consent, &self.reading)?;
        if !patient.starts_with("Patient/") {
            self.identified.store(true, Ordering::Release);
        }
        self.writer.put_consent(consent, patient, updated).await?;
        self.revision.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Walks the whole audit trail and checks its hash chain. Gives the number of records.
    pub fn verify_audit(&self) -> Result<Result<u64, i64>, StoreError> {
        schema::verify_chain(&self.reader())
    }

    /// True where the database answers.
    pub fn is_alive(&self) -> bool {
        self.writer.is_alive() && self.reader().query_row("SELECT 1", [], |_| Ok(())).is_ok()
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection for searches of the audit trail.
    fn trail(&self) -> MutexGuard<'_, Connection> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a consent is kept under an identifier.
fn has_identified(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM consent WHERE patient NOT LIKE 'Patient/%')";
    connection.query_row(sql, [], |row| row.get(0))
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredConsent> {
    Ok(StoredConsent { id: row.get(0)?, version: row.get(1)?, body: row.get(2)? })
}

fn compile(stored: &StoredConsent, reading: &Reading) -> Result<Arc<CompiledConsent>, StoreError> {
    let unreadable = || StoreError::Consent(stored.id.clone());
    let document =
        OwnedDocument::parse_json(stored.body.clone(), &Limits::default()).map_err(|_| unreadable())?;
    CompiledConsent::compile(document.root(), reading).map(Arc::new).map_err(|_| unreadable())
}
