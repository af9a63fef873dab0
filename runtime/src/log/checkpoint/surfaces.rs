//! The hash of what the writing program could record.

use std::fmt::Write;

use crate::event::LineHash;
use crate::log::line::hash_line;
use crate::surface::{Site, surfaces};

/// The hash of this program's list of surfaces, as a checkpoint names it.
pub(crate) fn surfaces_hash() -> LineHash {
    hash_sites(surfaces())
}

/// SHA-256 of `dataset-events surfaces v1\n` and a sorted line for each annotated function: surface,
/// access, guarantee, module, function, `recorded` or `skipped`, separated by spaces. Source lines are
/// left out: moving a function does not change what is covered.
fn hash_sites<'a>(sites: impl Iterator<Item = &'a Site>) -> LineHash {
    let mut lines: Vec<String> = sites
        .map(|site| {
            let Site { surface, module, function, .. } = site;
            let (access, guarantee) = (site.access.as_str(), site.guarantee.as_str());
            let state = if site.skip.is_some() { "skipped" } else { "recorded" };
            format!("{surface} {access} {guarantee} {module} {function} {state}")
        })
        .collect();
    // The linker decides the order of the registry.
    lines.sort_unstable();
    let mut text = String::from("dataset-events surfaces v1\n");
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    hash_line(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{Access, Guarantee};

    fn site(surface: &'static str, line: u32, skip: Option<&'static str>) -> Site {
        let (access, guarantee) = (Access::Read, Guarantee::Recorded);
        Site::new(
            surface,
            access,
            guarantee,
            "app::chat",
            "send",
            "chat.rs",
            line,
            &[],
            &[],
            &[],
            || &[],
            skip,
            None,
        )
    }

    #[test]
    fn the_hash_depends_on_what_is_covered_and_not_on_link_order() {
        let (a, b) = (site("chat.a", 1, None), site("chat.b", 2, None));
        let hash = hash_sites([&a, &b].into_iter());
        assert_eq!(hash, hash_sites([&b, &a].into_iter()));
        assert_eq!(hash, hash_sites([&site("chat.a", 9, None), &b].into_iter()));
        assert_ne!(hash, hash_sites([&a].into_iter()));
        assert_ne!(hash, hash_sites([&a, &site("chat.b", 2, Some("not a call"))].into_iter()));
    }
}
