//! The audit trail read from outside of the sidecar that writes it: for reports, and for the proof of its chain.
//!
//! Invariants: the file is opened for reading alone; records are read a bounded number at a time, and no transaction
//! lasts longer than that, so that a sidecar at work is not held up.

use std::path::Path;
use std::time::{Duration, Instant};

use fhir_models::document::{Limits, OwnedDocument};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use varco_core::audit::chain::RecordHash;
use varco_core::audit::{Access, Removed, search_terms, split_reference};

use super::packed::Unpacked;
use super::retention::{self, Anchor};
use super::trail::page;
use super::{OpenIntent, StoreError, TrailCondition, TrailPage, TrailSearch, intent, schema, trail_index};

/// Records read at a time.
const STEP: i64 = 500;
/// How long one page is looked for.
const LONGEST: Duration = Duration::from_secs(60);
/// How far ahead of a break the record that belongs there is looked for.
const AHEAD: i64 = 10_000;

/// Reads a trail.
pub struct TrailReader(Connection);

/// What a proof came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailProof {
    /// Where the proof began, if not with the first record: what was removed before, when and by which rule.
    pub began_after: Option<Anchor>,
    /// Records that follow from each other.
    pub records: u64,
    /// When the last of them was recorded.
    pub last_recorded: Option<String>,
    /// The hash that the last of them carries: kept elsewhere, it shows later that nothing was cut off.
    pub last_hash: RecordHash,
    /// True where the hash kept elsewhere stands in the trail; `None` where none was given.
    pub kept_found: Option<bool>,
    /// The first record that is not as it was written.
    pub broken: Option<BrokenRecord>,
}

/// A record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRecord {
    /// Its number in the trail.
    pub seq: i64,
    /// The id of its AuditEvent, as the table has it.
    pub id: String,
    /// When it was recorded, as the table has it.
    pub recorded: String,
    /// What happened to it.
    pub what: Tampering,
}

/// What happened to a record, as far as its neighbours tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Tampering {
    /// Numbers are missing before it.
    #[error("{0} record(s) before it were removed")]
    Removed(i64),
    /// Its content changed: the next record follows from the hash that it had.
    #[error("its content was changed, or a record before it was removed and the rest renumbered")]
    Content,
    /// Its hash changed: its content follows from the one before.
    #[error("its content is as it was written, but its hash was changed")]
    Hash,
    /// The next record follows from the one before it.
    #[error("it was inserted: the record after it follows from the one before it")]
    Inserted,
    /// A later record follows from the one before.
    #[error("the order was changed: record {0} belongs here")]
    Moved(i64),
    /// Nothing after it fits.
    #[error("it was changed or replaced, and nothing after it follows from what stood before")]
    Unknown,
    /// The record is good, but what it is found by is not.
    #[error("its content is as it was written, but {0} that it is found by was changed: searches miss it")]
    FoundBy(&'static str),
    /// The anchor says something else of the records before it than the event in the chain.
    #[error("records before it were removed, and what the store says of that is not what this record says")]
    Anchor,
    /// The event that says what was removed is not there.
    #[error("records before it were removed, and the record that should say so is missing")]
    Unsaid,
}

/// Whether a record meets conditions on its terms.
fn meets(body: &[u8], conditions: &[TrailCondition]) -> bool {
    let Ok(document) = OwnedDocument::parse_json(body.to_vec(), &Limits::default()) else { return false };
    let terms = search_terms(document.root());
    conditions.iter().all(|condition| condition.is_met_by(&terms))
}

/// What a record says of a removal.
fn said_by(row: &Row) -> Option<Removed> {
    let document = OwnedDocument::parse_json(row.body.clone(), &Limits::default()).ok()?;
    Removed::of(document.root())
}

struct Row {
    seq: i64,
    id: String,
    recorded: String,
    hash: RecordHash,
    body: Vec<u8>,
}

impl TrailReader {
    /// Opens the file of a store; a sidecar may be at work on it.
    pub fn open(path: &Path) -> Result<TrailReader, StoreError> {
        let refuse =
            |error: rusqlite::Error| StoreError::Open { path: path.to_owned(), cause: error.to_string() };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(refuse)?;
        connection.busy_timeout(schema::OTHERS).map_err(refuse)?;
        let found: Option<i64> = connection
            .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(refuse)?;
        match found {
            Some(_) => Ok(TrailReader(connection)),
            None => Err(StoreError::Open {
                path: path.to_owned(),
                cause: "it holds no audit trail; name the database of `store.path`".to_owned(),
            }),
        }
    }

    /// A page of records, oldest first.
    pub fn page(&self, wanted: &TrailSearch) -> Result<TrailPage, StoreError> {
        let deadline = Instant::now() + LONGEST;
        page(&self.0, wanted, deadline).map_err(StoreError::from)
    }

    /// Every record that meets the conditions, oldest first, each handed to `each`, which says whether to go on. What is
    /// not indexed yet is looked through record by record: nothing is missed because the index lags behind the trail.
    pub fn each(
        &self,
        conditions: &[TrailCondition],
        mut each: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<(), StoreError> {
        let (terms, others): (Vec<_>, Vec<_>) =
            conditions.iter().cloned().partition(|own| matches!(own, TrailCondition::Term { .. }));
        let indexed = if terms.is_empty() { i64::MAX } else { trail_index::reached(&self.0)? };
        let mut wanted = TrailSearch {
            conditions: conditions.to_vec(),
            oldest_first: true,
            last: Some(indexed),
            most: STEP as usize,
            ..TrailSearch::default()
        };
        self.pages(&mut wanted, &mut each)?;
        if terms.is_empty() {
            return Ok(());
        }
        let mut rest = TrailSearch { conditions: others, after: Some(indexed), last: None, ..wanted };
        self.pages(&mut rest, &mut |body| match meets(&body, &terms) {
            true => each(body),
            false => true,
        })
    }

    fn pages(
        &self,
        wanted: &mut TrailSearch,
        each: &mut impl FnMut(Vec<u8>) -> bool,
    ) -> Result<(), StoreError> {
        loop {
            let page = self.page(wanted)?;
            for body in page.records {
                if !each(body) {
                    return Ok(());
                }
            }
            match page.next {
                Some(next) => wanted.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// How many records there are, by their numbers.
    pub fn span(&self) -> Result<u64, StoreError> {
        let span: i64 = self.0.query_row(
            "SELECT coalesce((SELECT max(seq) FROM audit) - (SELECT min(seq) FROM audit) + 1, 0)",
            [],
            |row| row.get(0),
        )?;
        Ok(u64::try_from(span).unwrap_or_default())
    }

    /// The intents that no record follows, oldest first. Those of requests under way are among them.
    pub fn open_intents(&self) -> Result<Vec<OpenIntent>, StoreError> {
        Ok(intent::open(&self.0, i64::MAX)?)
    }

    /// Where the trail begins since records were removed by the rule.
    pub fn anchor(&self) -> Result<Option<Anchor>, StoreError> {
        Ok(retention::anchor(&self.0)?)
    }

    /// Proves the chain from its beginning, or from where old records were removed: each record by its hash, and what it
    /// is found by. That those records were removed by a rule is proven by the event in the chain that says so. `seen` is
    /// told after each step how many records were proven.
    pub fn prove(
        &self,
        kept: Option<RecordHash>,
        mut seen: impl FnMut(u64),
    ) -> Result<TrailProof, StoreError> {
        // A sidecar at work may remove more in the meantime: what was begun with is then begun with anew.
        loop {
            let began = self.anchor()?;
            let proof = self.prove_from(began.clone(), kept, &mut seen)?;
            if proof.broken.is_none() || self.anchor()? == began {
                return Ok(proof);
            }
        }
    }

    fn prove_from(
        &self,
        began_after: Option<Anchor>,
        kept: Option<RecordHash>,
        seen: &mut impl FnMut(u64),
    ) -> Result<TrailProof, StoreError> {
        let removed = began_after.as_ref().map(|anchor| &anchor.removed);
        let last_hash = removed.map_or(RecordHash::GENESIS, |removed| removed.hash);
        let mut seq = removed.map_or(0, |removed| removed.through);
        let mut unsaid = began_after.clone();
        let mut proof = TrailProof {
            began_after,
            records: 0,
            last_recorded: None,
            last_hash,
            kept_found: kept.map(|kept| kept == RecordHash::GENESIS || kept == last_hash),
            broken: None,
        };
        loop {
            let indexed = trail_index::reached(&self.0)?;
            let rows = self.rows(seq, STEP)?;
            let Some(last) = rows.last().map(|row| row.seq) else {
                proof.broken = unsaid.map(|anchor| BrokenRecord {
                    seq: anchor.event,
                    id: "missing".to_owned(),
                    recorded: anchor.at,
                    what: Tampering::Unsaid,
                });
                return Ok(proof);
            };
            for row in rows {
                let mut fault = match self.fault(&row, seq, proof.last_hash)? {
                    None => self.found_by(&row, indexed)?.map(Tampering::FoundBy),
                    fault => fault,
                };
                if let (None, Some(anchor)) = (&fault, unsaid.take_if(|anchor| anchor.event == row.seq)) {
                    fault = (said_by(&row) != Some(anchor.removed)).then_some(Tampering::Anchor);
                }
                if let Some(what) = fault {
                    let Row { seq, id, recorded, .. } = row;
                    proof.broken = Some(BrokenRecord { seq, id, recorded, what });
                    return Ok(proof);
                }
                seq = row.seq;
                proof.records += 1;
                proof.last_hash = row.hash;
                proof.last_recorded = Some(row.recorded);
                if kept == Some(row.hash) {
                    proof.kept_found = Some(true);
                }
            }
            seq = last;
            seen(proof.records);
        }
    }

    fn rows(&self, after: i64, most: i64) -> Result<Vec<Row>, StoreError> {
        let mut query = self.0.prepare_cached(
            "SELECT seq, id, recorded, hash, body FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        )?;
        let rows = query.query_map(params![after, most], |row| {
            Ok(Row {
                seq: row.get(0)?,
                id: row.get(1)?,
                recorded: row.get(2)?,
                // A hash of another length is no hash of ours: the record then fails its proof.
                hash: RecordHash(row.get::<_, Vec<u8>>(3)?.try_into().unwrap_or_default()),
                body: row.get::<_, Unpacked>(4)?.0,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is wrong with the record that follows the one numbered `before`, which carries `last`; none, where it is good.
    fn fault(&self, row: &Row, before: i64, last: RecordHash) -> Result<Option<Tampering>, StoreError> {
        let expected = last.of_next(&row.body);
        if expected == row.hash {
            return Ok(None);
        }
        let missing = row.seq.saturating_sub(before).saturating_sub(1);
        let next = self.rows(row.seq, 1)?.pop();
        let follows =
            |from: RecordHash| next.as_ref().is_some_and(|next| from.of_next(&next.body) == next.hash);
        // In this order: what the next record proves comes before what is likely.
        if follows(expected) {
            return Ok(Some(Tampering::Hash));
        }
        if follows(last) {
            return Ok(Some(Tampering::Inserted));
        }
        let (mut at, end) = (row.seq, row.seq.saturating_add(AHEAD));
        while at < end {
            let rows = self.rows(at, STEP)?;
            let Some(reached) = rows.last().map(|row| row.seq) else { break };
            if let Some(found) = rows.iter().find(|later| last.of_next(&later.body) == later.hash) {
                return Ok(Some(Tampering::Moved(found.seq)));
            }
            at = reached;
        }
        if missing > 0 {
            return Ok(Some(Tampering::Removed(missing)));
        }
        Ok(Some(if follows(row.hash) || next.is_none() { Tampering::Content } else { Tampering::Unknown }))
    }

    /// What a good record is found by that doesn't say what the record says. By its patients it is found up to `indexed`.
    fn found_by(&self, row: &Row, indexed: i64) -> Result<Option<&'static str>, StoreError> {
        let Ok(document) = OwnedDocument::parse_json(row.body.clone(), &Limits::default()) else {
            return Ok(None);
        };
        let text = |key: &str| Some(document.root().get_key(key)?.as_str()?.into_owned());
        if text("id").as_ref() != Some(&row.id) {
            return Ok(Some("the id"));
        }
        let time = |text: &str| text.parse::<Timestamp>().ok().map(|at| at.as_millisecond());
        if text("recorded").as_deref().and_then(time) != time(&row.recorded) {
            return Ok(Some("the time"));
        }
        if row.seq > indexed {
            return Ok(None);
        }
        let mut query = self.0.prepare_cached(&format!(
            "SELECT ?1 IN ({} WHERE parameter = 'patient' AND audit_posting.value = ?2 AND block = ?3 AND system = 'Patient')",
            trail_index::having()
        ))?;
        let Access { patients, resources, .. } = Access::of(document.root());
        for reference in patients.iter().chain(&resources) {
            let ("Patient", id) = split_reference(reference) else { continue };
            let key = params![row.seq, id, trail_index::block_of(row.seq)];
            if !query.query_row(key, |row| row.get::<_, bool>(0))? {
                return Ok(Some("the patient"));
            }
        }
        Ok(None)
    }
}
