//! One consistent view of the index.

use std::ops::RangeInclusive;

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::error::IndexError;
use super::links::LinkView;
use super::meta::Meta;
use super::row::{self, Row, RowBytes, RowKey};
use super::{CODES, META, META_KEY, ROWS, SCOPES, SURFACES, scope_name};
use crate::ids::Scope;

/// What the index held when the snapshot was taken. Short-lived: while one lives, pages are not reused.
pub(crate) struct Snapshot {
    pub(crate) meta: Meta,
    rows: ReadOnlyTable<&'static RowKey, &'static RowBytes>,
    pub(crate) links: LinkView,
    scopes: ReadOnlyTable<&'static str, u32>,
    surfaces: ReadOnlyTable<&'static str, u32>,
    codes: ReadOnlyTable<&'static str, u32>,
}

impl Snapshot {
    pub(crate) fn new(database: &Database) -> Result<Self, IndexError> {
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?.get(META_KEY)?;
        let meta = meta.and_then(|meta| Meta::from_bytes(meta.value()));
        let meta = meta.ok_or_else(|| IndexError::Damaged("it does not say how far it has read".into()))?;
        Ok(Self {
            meta,
            rows: transaction.open_table(ROWS)?,
            links: LinkView::new(&transaction, &meta)?,
            scopes: transaction.open_table(SCOPES)?,
            surfaces: transaction.open_table(SURFACES)?,
            codes: transaction.open_table(CODES)?,
        })
    }

    /// Every scope with its number.
    pub(crate) fn scopes(&self) -> Result<Vec<(u32, Scope)>, IndexError> {
        let mut scopes = Vec::new();
        for (name, number) in names(&self.scopes)? {
            let scope = name.split_once('/').and_then(|(tenant, env)| Scope::from_stored(tenant, env).ok());
            let scope = scope.ok_or_else(|| IndexError::Damaged(format!("{name:?} is not a scope")))?;
            scopes.push((number, scope));
        }
        Ok(scopes)
    }

    pub(crate) fn scope_number(&self, scope: &Scope) -> Result<Option<u32>, IndexError> {
        let name = scope_name(scope.tenant_id().as_str(), scope.env().as_str());
        Ok(self.scopes.get(&*name)?.map(|number| number.value()))
    }

    pub(crate) fn surfaces(&self) -> Result<Vec<(String, u32)>, IndexError> {
        names(&self.surfaces)
    }

    pub(crate) fn codes(&self) -> Result<Vec<(String, u32)>, IndexError> {
        names(&self.codes)
    }

    /// The first and the last sequence number of a stream.
    pub(crate) fn seqs(&self, scope: u32) -> Result<Option<RangeInclusive<u64>>, IndexError> {
        let (low, high) = (row::row_key(scope, 0), row::row_key(scope, u64::MAX));
        let mut range = self.rows.range::<&RowKey>(&low..=&high)?;
        let Some(first) = range.next() else { return Ok(None) };
        let first = row::seq_of(first?.0.value());
        let last = match range.next_back() {
            Some(last) => row::seq_of(last?.0.value()),
            None => first,
        };
        Ok(Some(first..=last))
    }

    pub(crate) fn row(&self, scope: u32, seq: u64) -> Result<Row, IndexError> {
        let row = self.rows.get(&row::row_key(scope, seq))?;
        let row = row.and_then(|row| Row::from_bytes(row.value()));
        row.ok_or_else(|| unreadable(scope, seq))
    }

    /// The first row of a range of one stream.
    pub(crate) fn row_from(
        &self,
        scope: u32,
        seqs: RangeInclusive<u64>,
    ) -> Result<Option<(u64, Row)>, IndexError> {
        self.rows(scope, &seqs, false)?.next().transpose()
    }

    /// The rows of a range of one stream, in the order asked for.
    ///
    /// A number that is missing is damage, unless the log itself was not gapless.
    pub(crate) fn rows(
        &self,
        scope: u32,
        seqs: &RangeInclusive<u64>,
        is_newest_first: bool,
    ) -> Result<impl Iterator<Item = Result<(u64, Row), IndexError>> + use<>, IndexError> {
        let (low, high) = (row::row_key(scope, *seqs.start()), row::row_key(scope, *seqs.end()));
        let mut range = self.rows.range::<&RowKey>(&low..=&high)?;
        let mut expected = if is_newest_first { *seqs.end() } else { *seqs.start() };
        let mut left = seqs.end() - seqs.start() + 1;
        let may_have_gaps = self.meta.irregular_events > 0;
        Ok(std::iter::from_fn(move || {
            let entry = if is_newest_first { range.next_back() } else { range.next() };
            let Some(entry) = entry else {
                let is_short = !may_have_gaps && std::mem::take(&mut left) > 0;
                return is_short.then(|| Err(unreadable(scope, expected)));
            };
            Some(entry.map_err(IndexError::from).and_then(|(key, value)| {
                let seq = row::seq_of(key.value());
                let row = Row::from_bytes(value.value()).filter(|_| seq == expected || may_have_gaps);
                let row = row.ok_or_else(|| unreadable(scope, expected))?;
                expected = if is_newest_first { seq.wrapping_sub(1) } else { seq.wrapping_add(1) };
                left -= 1;
                Ok((seq, row))
            }))
        }))
    }
}

fn unreadable(scope: u32, seq: u64) -> IndexError {
    IndexError::Damaged(format!("row {seq} of stream {scope} is missing or unreadable"))
}

fn names(table: &ReadOnlyTable<&'static str, u32>) -> Result<Vec<(String, u32)>, IndexError> {
    table
        .range::<&str>(..)?
        .map(|entry| {
            let (name, number) = entry?;
            Ok((name.value().to_owned(), number.value()))
        })
        .collect()
}
