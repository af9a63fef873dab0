//! The kill switch: an operator stops an engine, or all of them, in one scope.

mod error;
mod model;

use dataset_events::{RequestContext, current, dataset_event};

pub use super::action::Target;
use super::nexus::{Nexus, NexusError, ScopedTransaction};
use super::to_its_end::to_its_end;
pub use error::KillSwitchError;
pub use model::{Change, Reason, Switch};

/// The kill switch engine.
#[derive(Debug, Clone)]
pub struct KillSwitch {
    nexus: Nexus,
}

impl KillSwitch {
    pub(super) fn new(nexus: Nexus) -> Self {
        Self { nexus }
    }

    /// Engages or releases the switch of `target`.
    ///
    /// `expected_version` guards against two operators who do not know of each other: 0 for a switch
    /// that was never set, else the version of the [`Switch`] that the caller has seen; `None` overrides.
    ///
    /// Once begun, the update goes on to its end even if the caller's future is dropped.
    ///
    /// # Errors
    ///
    /// - `kill_switch.stale_version`: somebody else was quicker.
    /// - `ledger.unavailable`: the update cannot be recorded durably, so it is not made.
    /// - `kill_switch.internal`: the database failed.
    pub async fn update(
        &self,
        ctx: &RequestContext,
        target: &Target,
        change: Change,
        expected_version: Option<u64>,
    ) -> Result<Switch, KillSwitchError> {
        let (engine, target) = (self.clone(), target.clone());
        to_its_end(ctx, "update a kill switch", |ctx| async move {
            engine.recorded_update(&ctx, target, change, expected_version).await
        })
        .await
    }

    #[dataset_event(
        surface = "kill_switch.update",
        access = "update",
        guarantee = "durable",
        input(%target, change = change.name(), reason = change.reason(), expected_version),
        output(version = ret.version, updated_at_us = ret.updated_at_us),
        source_refs(kill_switch = target),
    )]
    async fn recorded_update(
        &self,
        ctx: &RequestContext,
        target: Target,
        change: Change,
        expected_version: Option<u64>,
    ) -> Result<Switch, KillSwitchError> {
        let updated_by = super::acting(ctx);
        let updated_at_us = self.nexus.now_us();
        let updated = self.nexus.write(ctx, "update a kill switch", move |db| {
            let before = find(db, &target)?;
            let found = before.as_ref().map_or(0, |switch| switch.version);
            if let Some(expected) = expected_version.filter(|expected| *expected != found) {
                return Err(KillSwitchError::StaleVersion { target, expected, found });
            }
            let switch = Switch {
                is_engaged: change.is_engaged(),
                reason: change.reason(),
                version: found + 1,
                updated_by,
                updated_at_us,
                target,
            };
            save(db, &switch)?;
            Ok((before, switch))
        });
        let (before, after) = updated.await?;
        let was_engaged = before.is_some_and(|switch| switch.is_engaged);
        if was_engaged != after.is_engaged {
            current().change("is_engaged", was_engaged, after.is_engaged);
        }
        Ok(after)
    }

    /// Whether `target` may act: succeeds unless its switch, or the switch of all engines, is engaged.
    ///
    /// # Errors
    ///
    /// - `kill_switch.blocked`: a switch is engaged.
    /// - `kill_switch.internal`: the database failed; the caller must not act.
    #[dataset_event(
        surface = "kill_switch.check",
        access = "read",
        input(%target),
        source_refs(kill_switch = target),
    )]
    pub async fn check(&self, ctx: &RequestContext, target: &Target) -> Result<(), KillSwitchError> {
        let target = target.clone();
        let read = self.nexus.read(ctx, "check a kill switch", move |db| {
            for target in [Target::ALL, target] {
                if let Some(switch) = find(db, &target)?.filter(|switch| switch.is_engaged) {
                    return Err(KillSwitchError::Blocked { target, reason: switch.reason });
                }
            }
            Ok(())
        });
        read.await
    }
}

fn find(db: &ScopedTransaction<'_>, target: &Target) -> Result<Option<Switch>, NexusError> {
    const ACTION: &str = "read a kill switch";
    let sql = "SELECT is_engaged, reason, version, updated_by, updated_at_us FROM kill_switches
               WHERE tenant_id = :tenant_id AND env = :env AND target = :target";
    let row = db.row(ACTION, sql, &[(":target", &target.as_str())], |row| {
        let (is_engaged, reason, version): (bool, String, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((is_engaged, reason, version, row.get(3)?, row.get(4)?))
    })?;
    let Some((is_engaged, reason, version, updated_by, updated_at_us)) = row else { return Ok(None) };
    let reason =
        Reason::from_stored(&reason).ok_or(NexusError::Corrupt { action: ACTION, column: "reason" })?;
    Ok(Some(Switch { target: target.clone(), is_engaged, reason, version, updated_by, updated_at_us }))
}

fn save(db: &ScopedTransaction<'_>, switch: &Switch) -> Result<(), NexusError> {
    let sql = "INSERT INTO kill_switches
                   (tenant_id, env, target, is_engaged, reason, version, updated_by, updated_at_us)
               VALUES (:tenant_id, :env, :target, :is_engaged, :reason, :version, :updated_by, :updated_at_us)
               ON CONFLICT (tenant_id, env, target) DO UPDATE SET
                   is_engaged = excluded.is_engaged, reason = excluded.reason, version = excluded.version,
                   updated_by = excluded.updated_by, updated_at_us = excluded.updated_at_us";
    db.execute(
        "save a kill switch",
        sql,
        &[
            (":target", &switch.target.as_str()),
            (":is_engaged", &switch.is_engaged),
            (":reason", &switch.reason.as_str()),
            (":version", &switch.version),
            (":updated_by", &switch.updated_by),
            (":updated_at_us", &switch.updated_at_us),
        ],
    )?;
    Ok(())
}
