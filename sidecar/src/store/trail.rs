//! Searching the audit trail: newest or oldest first, a page at a time.
//!
//! Invariants: a page is read in stretches of the trail, each with a bounded number of records, for a bounded time
//! ([`LONGEST`]); a page that ends there says where to go on. The trail has a connection of its own, so that a long
//! search keeps no decision waiting.

use std::time::{Duration, Instant};

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use tokio::runtime::{Handle, RuntimeFlavor};
use varco_core::audit::{SearchTerm, split_reference};

use super::packed::Unpacked;
use super::{Store, StoreError, TrailTime, intent, schema, trail_index};

/// Records of one stretch.
const STRETCH: i64 = 50_000;
/// How long one page is looked for.
const LONGEST: Duration = Duration::from_millis(1_500);
/// Steps of indexing that one search waits for.
const STEPS: usize = 40;

/// Which records are wanted: those that meet every condition.
#[derive(Debug, Clone, Default)]
pub struct TrailSearch {
    /// The conditions.
    pub conditions: Vec<TrailCondition>,
    /// Oldest first, instead of newest first.
    pub oldest_first: bool,
    /// Go on after this record.
    pub after: Option<i64>,
    /// No record after this one.
    pub last: Option<i64>,
    /// Most records to give.
    pub most: usize,
}

/// A condition, met by any of its values.
#[derive(Debug, Clone)]
pub enum TrailCondition {
    /// The record's id.
    Ids(Vec<String>),
    /// The request's id (`X-Request-Id`).
    Requests(Vec<String>),
    /// When it was recorded.
    Recorded(Vec<TrailTime>),
    /// The value of a search parameter.
    Term {
        /// The parameter, as the index names it.
        parameter: &'static str,
        /// The values.
        values: Vec<TrailValue>,
        /// None of the values instead: for parameters that every record has once.
        not: bool,
    },
}

impl TrailCondition {
    /// The record names one of these patients, told by their keys, as in `Patient/1`.
    pub fn patients<'k>(keys: impl IntoIterator<Item = &'k str>) -> TrailCondition {
        let value = |key: &str| {
            let (kind, id) = split_reference(key);
            TrailValue::is(id, Some(kind))
        };
        let values = keys.into_iter().map(value).collect();
        TrailCondition::Term { parameter: "patient", values, not: false }
    }

    /// The key of the one patient that is asked for.
    pub fn patient(&self) -> Option<String> {
        let TrailCondition::Term { parameter: "patient", values, not: false } = self else { return None };
        match values.as_slice() {
            [TrailValue { value: TrailText::Is(id), system: Some(kind) }] if kind == "Patient" => {
                Some(format!("{kind}/{id}"))
            }
            _ => None,
        }
    }

    /// Whether a record with these terms meets the condition. What is no condition on terms is met.
    pub(super) fn is_met_by(&self, terms: &[SearchTerm]) -> bool {
        let TrailCondition::Term { parameter, values, not } = self else { return true };
        let meets = |term: &SearchTerm, wanted: &TrailValue| {
            let value = match &wanted.value {
                TrailText::Any => true,
                TrailText::Is(value) => term.value == *value,
                TrailText::Begins(value) => term.value.starts_with(value.as_str()),
                TrailText::Contains(value) => term.value.contains(value.as_str()),
            };
            value && wanted.system.as_ref().is_none_or(|system| term.system == *system)
        };
        let mut own = terms.iter().filter(|term| term.parameter == *parameter);
        own.any(|term| values.iter().any(|wanted| meets(term, wanted))) != *not
    }
}

/// A value of a search parameter.
#[derive(Debug, Clone)]
pub struct TrailValue {
    /// The value.
    pub value: TrailText,
    /// Its system; `None` for any.
    pub system: Option<String>,
}

impl TrailValue {
    /// The same value, of this system or of any.
    pub fn is(value: &str, system: Option<&str>) -> TrailValue {
        TrailValue { value: TrailText::Is(value.to_owned()), system: system.map(str::to_owned) }
    }
}

/// How a value is compared.
#[derive(Debug, Clone)]
pub enum TrailText {
    /// Any value.
    Any,
    /// The same.
    Is(String),
    /// Its beginning.
    Begins(String),
    /// A part of it.
    Contains(String),
}

/// A page of records.
#[derive(Debug, Clone, Default)]
pub struct TrailPage {
    /// AuditEvents as FHIR JSON.
    pub records: Vec<Vec<u8>>,
    /// Where the next page goes on; `None` where there is none.
    pub next: Option<i64>,
}

impl Store {
    /// A page of the audit trail. It may hold fewer records than were asked for and still have a next one.
    pub async fn search_trail(&self, wanted: &TrailSearch) -> Result<TrailPage, StoreError> {
        let by_term = |condition: &TrailCondition| matches!(condition, TrailCondition::Term { .. });
        if wanted.conditions.iter().any(by_term) {
            let last = trail_index::last(&self.trail())?;
            let mut steps = 0;
            while trail_index::indexed(&self.trail())? < last {
                steps += 1;
                if steps > STEPS {
                    return Err(StoreError::Indexing);
                }
                self.writer().index().await?;
            }
        }
        let find = || page(&self.trail(), wanted, Instant::now() + LONGEST).map_err(StoreError::from);
        // A search may take long: other requests of this thread go on elsewhere meanwhile.
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => tokio::task::block_in_place(find),
            _ => find(),
        }
    }
}

pub(super) fn page(
    connection: &Connection,
    wanted: &TrailSearch,
    deadline: Instant,
) -> Result<TrailPage, rusqlite::Error> {
    let (mut low, mut high) = bounds(connection, wanted)?;
    match (wanted.after, wanted.oldest_first) {
        (Some(after), true) => low = low.max(after.saturating_add(1)),
        (Some(after), false) => high = high.min(after.saturating_sub(1)),
        (None, _) => {}
    }
    high = high.min(wanted.last.unwrap_or(i64::MAX));
    let mut page = TrailPage::default();
    let most = wanted.most.max(1);
    // One more than the page holds tells whether there is a next one.
    let mut last_given = None;
    while low <= high {
        let (from, to) = match wanted.oldest_first {
            true => (low, high.min(low.saturating_add(STRETCH - 1))),
            false => (low.max(high.saturating_sub(STRETCH - 1)), high),
        };
        let (sql, values) = stretch(wanted, from, to, most.saturating_add(1) - page.records.len());
        let mut query = connection.prepare_cached(&sql)?;
        let mut rows = query.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if page.records.len() == most {
                page.next = last_given;
                return Ok(page);
            }
            last_given = Some(row.get(0)?);
            page.records.push(row.get::<_, Unpacked>(1)?.0);
        }
        let end = if wanted.oldest_first { to } else { from };
        match wanted.oldest_first {
            true => low = to.saturating_add(1),
            false => high = from.saturating_sub(1),
        }
        if low <= high && Instant::now() >= deadline {
            page.next = Some(end);
            return Ok(page);
        }
    }
    Ok(page)
}

/// The first and the last record that may match: of the whole trail, or of the time asked for.
fn bounds(connection: &Connection, wanted: &TrailSearch) -> Result<(i64, i64), rusqlite::Error> {
    // Alone, each of the two is a step down the tree; together they would be a walk over all of it.
    let (low, high) = connection
        .prepare_cached(
            "SELECT (SELECT coalesce(min(seq), 1) FROM audit), (SELECT coalesce(max(seq), 0) FROM audit)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut of_block = String::new();
    let mut values = Vec::new();
    for condition in &wanted.conditions {
        if let TrailCondition::Recorded(times) = condition
            && let [TrailTime { from, until, outside: false }] = times.as_slice()
        {
            for (comparison, bound) in [("last >=", from), ("first <", until)] {
                if let Some(bound) = bound {
                    of_block.push_str(if values.is_empty() { "" } else { " AND " });
                    of_block.push_str(&format!("{comparison} ?"));
                    values.push(Sql::from(bound.clone()));
                }
            }
        }
    }
    if values.is_empty() {
        return Ok((low, high));
    }
    let (first, last) = trail_index::blocks_of_time(connection, &of_block, values)?;
    Ok((low.max(first), high.min(last)))
}

/// The query for one stretch, and its values.
fn stretch(wanted: &TrailSearch, from: i64, to: i64, most: usize) -> (String, Vec<Sql>) {
    let mut sql = "SELECT seq, body FROM audit WHERE seq BETWEEN ? AND ?".to_owned();
    let mut values = vec![Sql::from(from), Sql::from(to)];
    for condition in &wanted.conditions {
        sql.push_str(" AND ");
        match condition {
            TrailCondition::Ids(ids) => one_of("id", ids, &mut sql, &mut values),
            TrailCondition::Requests(ids) => {
                sql.push_str(&schema::of_requests(ids.len()));
                values.extend(ids.iter().chain(ids).cloned().map(Sql::from));
            }
            TrailCondition::Recorded(times) => recorded(times, &mut sql, &mut values),
            TrailCondition::Term { parameter, values: any, not } => {
                sql.push_str(if *not { "seq NOT IN (" } else { "seq IN (" });
                for (at, value) in any.iter().enumerate() {
                    if at > 0 {
                        sql.push_str(" UNION ALL ");
                    }
                    sql.push_str(&trail_index::having());
                    sql.push_str(" WHERE parameter = ? AND block BETWEEN ? AND ?");
                    values.push(Sql::from((*parameter).to_owned()));
                    values.extend([from, to].map(|seq| Sql::from(trail_index::block_of(seq))));
                    term(value, &mut sql, &mut values);
                }
                sql.push(')');
            }
        }
    }
    if !wanted.conditions.iter().any(|condition| matches!(condition, TrailCondition::Ids(_))) {
        sql.push_str(&format!(" AND {}", intent::told_once()));
    }
    let order = if wanted.oldest_first { "" } else { " DESC" };
    sql.push_str(&format!(" ORDER BY seq{order} LIMIT {most}"));
    (sql, values)
}

fn one_of(column: &str, any: &[String], sql: &mut String, values: &mut Vec<Sql>) {
    sql.push_str(&format!("{column} IN ({})", vec!["?"; any.len()].join(", ")));
    values.extend(any.iter().cloned().map(Sql::from));
}

fn recorded(times: &[TrailTime], sql: &mut String, values: &mut Vec<Sql>) {
    sql.push('(');
    for (at, TrailTime { from, until, outside }) in times.iter().enumerate() {
        if at > 0 {
            sql.push_str(" OR ");
        }
        sql.push_str(if *outside { "NOT (1" } else { "(1" });
        for (comparison, bound) in [(">=", from), ("<", until)] {
            if let Some(bound) = bound {
                sql.push_str(&format!(" AND recorded {comparison} ?"));
                values.push(Sql::from(bound.clone()));
            }
        }
        sql.push(')');
    }
    sql.push(')');
}

fn term(wanted: &TrailValue, sql: &mut String, values: &mut Vec<Sql>) {
    match &wanted.value {
        TrailText::Any => {}
        TrailText::Is(value) => {
            sql.push_str(" AND audit_posting.value = ?");
            values.push(Sql::from(value.clone()));
        }
        TrailText::Begins(value) => {
            sql.push_str(" AND audit_posting.value >= ? AND audit_posting.value < ?");
            values.extend([Sql::from(value.clone()), Sql::from(format!("{value}\u{10FFFF}"))]);
        }
        TrailText::Contains(value) => {
            sql.push_str(" AND instr(audit_posting.value, ?) > 0");
            values.push(Sql::from(value.clone()));
        }
    }
    if let Some(system) = &wanted.system {
        sql.push_str(" AND system = ?");
        values.push(Sql::from(system.clone()));
    }
}

#[cfg(test)]
#[path = "trail_tests.rs"]
mod tests;
