//! Where documents lie.

use crate::ids::{EventId, LedgerId, Scope};
use crate::log::LogPosition;

/// Collections of documents.
pub(crate) const EVENTS: &str = "events";
pub(crate) const LEDGERS: &str = "ledgers";
pub(crate) const ATTEMPTS: &str = "attempts";
pub(crate) const IDENTITIES: &str = "identities";
pub(crate) const HEAD_TABLES: &str = "head_tables";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const CUTS: &str = "cuts";

/// The place of a line as text that sorts as places do: `0000000001:0000000000004475`.
pub(crate) fn place(position: LogPosition) -> String {
    format!("{:010}:{:016}", position.segment, position.offset)
}

/// The place in a text of [`place`].
pub(crate) fn parse_place(text: &str) -> Option<LogPosition> {
    let (segment, offset) = text.split_once(':')?;
    let position = LogPosition { segment: segment.parse().ok()?, offset: offset.parse().ok()? };
    (place(position) == text).then_some(position)
}

/// The id of the document of a checkpoint or a cut, which sorts as numbers do.
pub(crate) fn number(number: u64) -> String {
    format!("{number:020}")
}

/// The id of a part of what does not fit into one document; parts sort behind each other.
pub(crate) fn part(id: &str, part: usize) -> String {
    if part == 0 { id.to_owned() } else { format!("{id}~{part:06}") }
}

/// The document under which a scope's events lie: `tenants/acme/envs/prod`.
pub(crate) fn of_scope(scope: &Scope) -> String {
    format!("tenants/{}/envs/{}", id(scope.tenant_id().as_str()), id(scope.env().as_str()))
}

/// The document of an event.
pub(crate) fn of_event(scope: &Scope, event_id: EventId) -> String {
    format!("{}/{EVENTS}/{event_id}", of_scope(scope))
}

/// The document of a ledger: it says that the ledger is there.
pub(crate) fn of_ledger(ledger_id: LedgerId) -> String {
    format!("{LEDGERS}/{ledger_id}")
}

/// Firestore keeps ids that begin and end with two underscores to itself. No tenant and no env begins with `$__`.
fn id(name: &str) -> String {
    if name.starts_with("__") && name.ends_with("__") { format!("${name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Env, TenantId};

    #[test]
    fn places_sort_as_positions_do_and_read_back() {
        let positions = [(1, 0), (1, 9), (1, 10), (2, 0), (10, 5), (u32::MAX, (1 << 53) - 1)];
        let places: Vec<String> =
            positions.map(|(segment, offset)| place(LogPosition { segment, offset })).to_vec();
        assert!(places.is_sorted(), "{places:?}");
        for (text, (segment, offset)) in places.iter().zip(positions) {
            assert_eq!(parse_place(text), Some(LogPosition { segment, offset }));
        }
        for bad in ["", "1:0", "0000000001:000000000000004475", "0000000001:+00000000004475"] {
            assert_eq!(parse_place(bad), None, "{bad}");
        }
    }

    #[test]
    fn parts_sort_between_documents() {
        let ids = [part(&number(1), 0), part(&number(1), 1), part(&number(1), 2), part(&number(2), 0)];
        assert!(ids.is_sorted(), "{ids:?}");
    }

    #[test]
    fn reserved_names_are_moved_where_no_other_tenant_can_be() {
        let scope = |tenant: &str, env: &str| {
            let (tenant, env) = (TenantId::new(tenant).expect("a tenant"), Env::new(env).expect("an env"));
            of_scope(&Scope::new(tenant, env))
        };
        assert_eq!(scope("acme", "prod"), "tenants/acme/envs/prod");
        assert_eq!(scope("__a__", "__"), "tenants/$__a__/envs/$__");
        assert_eq!(scope("a:b.c-d_e", "prod"), "tenants/a:b.c-d_e/envs/prod");
        assert_eq!(of_scope(&Scope::system()), "tenants/$system/envs/$system");
    }
}
