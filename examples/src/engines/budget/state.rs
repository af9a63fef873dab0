//! The statements of the budget engine.

use super::model::{KindTotal, Label, Origin, OriginTotal, Policy, UsageKind};
use super::money::Money;
use crate::engines::nexus::{NexusError, ScopedTransaction};

/// One entry of usage.
pub(super) struct Entry {
    pub(super) usage_id: String,
    pub(super) kind: UsageKind,
    pub(super) amount: Money,
    pub(super) origin: Origin,
    pub(super) recorded_by: String,
    pub(super) recorded_at_us: i64,
}

pub(super) fn policy(db: &ScopedTransaction<'_>) -> Result<Option<Policy>, NexusError> {
    const ACTION: &str = "read a budget policy";
    let sql = "SELECT limit_amount, currency, version, updated_by, updated_at_us FROM budget_policies
               WHERE tenant_id = :tenant_id AND env = :env";
    let row = db.row(ACTION, sql, &[], |row| {
        let (limit, currency): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((limit, currency, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    let Some((limit, currency, version, updated_by, updated_at_us)) = row else { return Ok(None) };
    let corrupt = |column| NexusError::Corrupt { action: ACTION, column };
    Ok(Some(Policy {
        limit: Money::from_stored(&limit).ok_or(corrupt("limit_amount"))?,
        currency: currency.parse().map_err(|_| corrupt("currency"))?,
        version,
        updated_by,
        updated_at_us,
    }))
}

pub(super) fn save_policy(db: &ScopedTransaction<'_>, policy: &Policy) -> Result<(), NexusError> {
    let sql = "INSERT INTO budget_policies
                   (tenant_id, env, limit_amount, currency, version, updated_by, updated_at_us)
               VALUES (:tenant_id, :env, :limit_amount, :currency, :version, :updated_by, :updated_at_us)
               ON CONFLICT (tenant_id, env) DO UPDATE SET
                   limit_amount = excluded.limit_amount, currency = excluded.currency,
                   version = excluded.version, updated_by = excluded.updated_by,
                   updated_at_us = excluded.updated_at_us";
    db.execute(
        "save a budget policy",
        sql,
        &[
            (":limit_amount", &policy.limit.to_string()),
            (":currency", &policy.currency.as_str()),
            (":version", &policy.version),
            (":updated_by", &policy.updated_by),
            (":updated_at_us", &policy.updated_at_us),
        ],
    )?;
    Ok(())
}

pub(super) fn has_usage(db: &ScopedTransaction<'_>) -> Result<bool, NexusError> {
    let sql = "SELECT 1 FROM budget_totals WHERE tenant_id = :tenant_id AND env = :env LIMIT 1";
    let row = db.row("look for recorded usage", sql, &[], |row| row.get::<_, i64>(0))?;
    Ok(row.is_some())
}

/// Adds an entry, and keeps the month's totals, so that a check reads a few rows only.
pub(super) fn save_usage(db: &ScopedTransaction<'_>, month: &str, usage: &Entry) -> Result<(), NexusError> {
    let sql = "INSERT INTO budget_usage
                   (tenant_id, env, usage_id, month, kind, amount, provider, model, tool, recorded_by,
                    recorded_at_us)
               VALUES (:tenant_id, :env, :usage_id, :month, :kind, :amount, :provider, :model, :tool,
                       :recorded_by, :recorded_at_us)";
    db.execute(
        "save a usage",
        sql,
        &[
            (":usage_id", &usage.usage_id),
            (":month", &month),
            (":kind", &usage.kind.as_str()),
            (":amount", &usage.amount.to_string()),
            (":provider", &usage.origin.provider.as_ref().map(Label::as_str)),
            (":model", &usage.origin.model.as_ref().map(Label::as_str)),
            (":tool", &usage.origin.tool.as_ref().map(Label::as_str)),
            (":recorded_by", &usage.recorded_by),
            (":recorded_at_us", &usage.recorded_at_us),
        ],
    )?;
    let before = totals(db, month)?.into_iter().find(|total| total.kind == usage.kind);
    let total = before.map_or(Money::ZERO, |total| total.total).saturating_add(usage.amount);
    let sql = "INSERT INTO budget_totals (tenant_id, env, month, kind, total, entries)
               VALUES (:tenant_id, :env, :month, :kind, :total, 1)
               ON CONFLICT (tenant_id, env, month, kind) DO UPDATE SET
                   total = excluded.total, entries = entries + 1";
    db.execute(
        "add to a month's usage",
        sql,
        &[(":month", &month), (":kind", &usage.kind.as_str()), (":total", &total.to_string())],
    )?;
    add_to_origin(db, month, &usage.origin, usage.amount)
}

fn add_to_origin(
    db: &ScopedTransaction<'_>,
    month: &str,
    origin: &Origin,
    amount: Money,
) -> Result<(), NexusError> {
    const ACTION: &str = "add to what was paid to an origin";
    let text = |label: &Option<Label>| label.as_ref().map_or("", Label::as_str).to_owned();
    let (provider, model, tool) = (text(&origin.provider), text(&origin.model), text(&origin.tool));
    let sql = "SELECT total FROM budget_origins
               WHERE tenant_id = :tenant_id AND env = :env AND month = :month
                 AND provider = :provider AND model = :model AND tool = :tool";
    let named: [(&str, &dyn rusqlite::ToSql); 4] =
        [(":month", &month), (":provider", &provider), (":model", &model), (":tool", &tool)];
    let before = db.row(ACTION, sql, &named, |row| row.get::<_, String>(0))?;
    let corrupt = NexusError::Corrupt { action: ACTION, column: "total" };
    let before = before.map_or(Some(Money::ZERO), |total| Money::from_stored(&total)).ok_or(corrupt)?;
    let sql = "INSERT INTO budget_origins (tenant_id, env, month, provider, model, tool, total, entries)
               VALUES (:tenant_id, :env, :month, :provider, :model, :tool, :total, 1)
               ON CONFLICT (tenant_id, env, month, provider, model, tool) DO UPDATE SET
                   total = excluded.total, entries = entries + 1";
    let total = before.saturating_add(amount).to_string();
    let [month, provider, model, tool] = named;
    db.execute(ACTION, sql, &[month, provider, model, tool, (":total", &total)])?;
    Ok(())
}

/// What was paid in a month, by origin.
pub(super) fn origins(db: &ScopedTransaction<'_>, month: &str) -> Result<Vec<OriginTotal>, NexusError> {
    const ACTION: &str = "read what was paid to origins";
    let sql = "SELECT provider, model, tool, total, entries FROM budget_origins
               WHERE tenant_id = :tenant_id AND env = :env AND month = :month
               ORDER BY provider, model, tool";
    let rows = db.rows(ACTION, sql, &[(":month", &month)], |row| {
        let (provider, model, tool): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let total: String = row.get(3)?;
        Ok((provider, model, tool, total, row.get(4)?))
    })?;
    let corrupt = |column| NexusError::Corrupt { action: ACTION, column };
    let label = |text: String, column| match text.as_str() {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| corrupt(column)),
    };
    let total = |(provider, model, tool, total, entries): (String, String, String, String, u64)| {
        let (provider, model) = (label(provider, "provider")?, label(model, "model")?);
        let origin = Origin { provider, model, tool: label(tool, "tool")? };
        Ok(OriginTotal { origin, total: Money::from_stored(&total).ok_or(corrupt("total"))?, entries })
    };
    rows.into_iter().map(total).collect()
}

pub(super) fn totals(db: &ScopedTransaction<'_>, month: &str) -> Result<Vec<KindTotal>, NexusError> {
    const ACTION: &str = "read a month's usage";
    let sql = "SELECT kind, total, entries FROM budget_totals
               WHERE tenant_id = :tenant_id AND env = :env AND month = :month ORDER BY kind";
    let rows = db.rows(ACTION, sql, &[(":month", &month)], |row| {
        let (kind, total): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((kind, total, row.get(2)?))
    })?;
    let corrupt = |column| NexusError::Corrupt { action: ACTION, column };
    let total = |(kind, total, entries): (String, String, u64)| {
        Ok(KindTotal {
            kind: UsageKind::from_stored(&kind).ok_or(corrupt("kind"))?,
            total: Money::from_stored(&total).ok_or(corrupt("total"))?,
            entries,
        })
    };
    rows.into_iter().map(total).collect()
}

pub(super) fn spent(db: &ScopedTransaction<'_>, month: &str) -> Result<Money, NexusError> {
    let totals = totals(db, month)?;
    Ok(totals.into_iter().fold(Money::ZERO, |sum, kind| sum.saturating_add(kind.total)))
}
