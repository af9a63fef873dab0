use super::table::{Kind, Table};
use crate::event::Outcome;

fn kind<'a>(tenant_id: &'a str, surface: &'a str, code: Option<&'a str>) -> Kind<'a> {
    let outcome = if code.is_some() { Outcome::Error } else { Outcome::Ok };
    Kind { tenant_id, env: "prod", surface, outcome, code }
}

#[test]
fn series_are_in_the_order_of_their_names_whenever_they_came() {
    let mut table = Table::new(100);
    for (tenant, surface, code) in [
        ("b", "x.y", None),
        ("a", "z.y", Some("e.two")),
        ("a", "z.y", None),
        ("a", "z.y", Some("e.one")),
        ("a", "x.y", None),
    ] {
        assert!(table.add(kind(tenant, surface, code), 1));
        table.sort();
    }
    let series: Vec<_> =
        table.iter().map(|one| (one.scope.tenant_id().as_str(), one.surface, one.code)).collect();
    let expected = [
        ("a", "x.y", None),
        ("a", "z.y", None),
        ("a", "z.y", Some("e.one")),
        ("a", "z.y", Some("e.two")),
        ("b", "x.y", None),
    ];
    assert_eq!(series, expected);
}

#[test]
fn beyond_the_cap_the_first_series_stay_exact_and_the_rest_is_said_to_be_cut() {
    let mut table = Table::new(2);
    for _ in 0..3 {
        for tenant in ["a", "b", "c", "d"] {
            assert!(table.add(kind(tenant, "x.y", None), 1));
        }
    }
    table.sort();
    let kept: Vec<_> = table.iter().map(|one| (one.scope.tenant_id().as_str(), one.events)).collect();
    assert_eq!(kept, [("a", 3), ("b", 3)]);
    let cut = table.cut_series();
    assert_eq!((cut.events, cut.series, cut.is_lower_bound), (6, 2, false));
    assert_eq!(table.total(), 12);
}

#[test]
fn what_is_no_scope_is_not_counted() {
    let mut table = Table::new(2);
    assert!(!table.add(kind("../etc", "x.y", None), 1));
    assert_eq!(table.total(), 0);
}
