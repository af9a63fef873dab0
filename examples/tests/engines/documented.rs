//! The page about the engines names every surface, with what it does and what survives.

const PAGE: &str = include_str!("../../../docs/engines.md");

#[test]
fn the_page_lists_every_surface_and_no_other() {
    let (_, table) = PAGE.split_once("## Surfaces").expect("the section");
    let listed: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let mut expected: Vec<String> = dataset_events::surfaces()
        .filter(|site| site.crate_name() == "dataset_events_examples" && site.skip.is_none())
        .map(|site| format!("| `{}` | {} | `{}` |", site.surface, site.access, site.guarantee))
        .collect();
    expected.sort_unstable();
    assert_eq!(listed, expected, "the table should be:\n{}", expected.join("\n"));
}
