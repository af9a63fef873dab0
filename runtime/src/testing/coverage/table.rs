//! Tables in plain text.

use std::fmt;

use super::{Coverage, SurfaceCoverage};

/// Writes rows under a heading, each column as wide as its widest cell.
pub(super) fn write(f: &mut fmt::Formatter<'_>, heading: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = widths.iter().zip(cells).map(|(width, cell)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(f, "{}", line(&mut heading.iter().copied()))?;
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    writeln!(f, "{}", line(&mut rule.iter().map(String::as_str)))?;
    for row in rows {
        writeln!(f, "{}", line(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

fn codes(surface: &SurfaceCoverage) -> String {
    let mut parts = Vec::new();
    if !surface.codes_declared.is_empty() {
        let declared = surface.codes_declared.len();
        parts.push(format!("{} of {declared}", declared - surface.codes_never_seen.len()));
    } else if !surface.codes_seen.is_empty() {
        parts.push(surface.codes_seen.join(", "));
    }
    for (what, codes) in [("never", &surface.codes_never_seen), ("undeclared", &surface.codes_undeclared)] {
        if !codes.is_empty() {
            parts.push(format!("{what}: {}", codes.join(", ")));
        }
    }
    parts.join("; ")
}

fn row(surface: &SurfaceCoverage) -> Vec<String> {
    let yes = |is_so: bool| if is_so { "yes" } else { "NO" }.to_owned();
    let failed = match (&surface.cannot_fail, surface.has_failed) {
        (Some(reason), false) => format!("cannot: {reason}"),
        (Some(reason), true) => format!("YES, but cannot: {reason}"),
        (None, has_failed) => yes(has_failed),
    };
    vec![
        surface.surface.clone(),
        surface.access.to_string(),
        surface.guarantee.to_string(),
        yes(surface.is_ok),
        failed,
        codes(surface),
        surface.place(),
    ]
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.surfaces.iter().map(row).collect();
        write(f, &["surface", "access", "guarantee", "ok", "failed", "codes seen", "function"], &rows)?;
        let count =
            |is_so: fn(&SurfaceCoverage) -> bool| self.surfaces.iter().filter(|one| is_so(one)).count();
        writeln!(
            f,
            "\n{} surfaces: {} seen to succeed, {} seen to fail, {} that cannot fail, {} never seen; {} processes",
            self.surfaces.len(),
            count(|one| one.is_ok),
            count(|one| one.has_failed),
            count(|one| one.cannot_fail.is_some()),
            self.never_seen().count(),
            self.processes,
        )?;
        if self.outdated > 0 {
            writeln!(f, "{} files left out: their programs were built again since", self.outdated)?;
        }
        if self.skipped.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        let rows = self.skipped.iter().map(|skipped| {
            let place =
                format!("{}::{} ({}:{})", skipped.module, skipped.function, skipped.file, skipped.line);
            vec![skipped.surface.clone(), skipped.reason.clone(), place]
        });
        write(f, &["skipped", "reason", "function"], &rows.collect::<Vec<_>>())
    }
}
