//! Variables of the environment as a layer: `DATASET_EVENTS__SINKS__ARCHIVE__URL` is `sinks.archive.url`.

use std::ffi::OsString;

use super::tree::{Entry, Node, Raw, Table};
use super::{Origin, Problem};

/// What the names of the variables that are read begin with.
pub(super) const PREFIX: &str = "DATASET_EVENTS__";

/// Reads the variables whose name begins with the prefix.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Table {
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with(PREFIX).then_some((name, value))
        })
        .collect();
    ours.sort();
    let mut table = Table::new();
    for (name, value) in ours {
        let origin = Origin::Variable { name: name.clone() };
        let Ok(value) = value.into_string() else {
            problems.push(Problem::at(&origin, "the value is not UTF-8"));
            continue;
        };
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        if path.iter().any(String::is_empty) {
            problems.push(Problem::at(
                &origin,
                "expected a path whose parts are separated by `__`, as in \
                 `DATASET_EVENTS__SINKS__ARCHIVE__URL`",
            ));
            continue;
        }
        if let Err(message) = insert(&mut table, &path, value, &origin) {
            problems.push(Problem::at(&origin, message));
        }
    }
    table
}

fn insert(table: &mut Table, path: &[String], value: String, origin: &Origin) -> Result<(), String> {
    let [first, rest @ ..] = path else { return Ok(()) };
    let conflict = |other: &Origin| format!("conflicts with {other}: a value, or parts of it, not both");
    if rest.is_empty() {
        if let Some(other) = table.get(first) {
            return Err(conflict(&other.origin));
        }
        let node = Node { origin: origin.clone(), raw: Raw::Text(value) };
        table.insert(first.clone(), Entry { origin: origin.clone(), node });
        return Ok(());
    }
    let entry = table.entry(first.clone()).or_insert_with(|| Entry {
        origin: origin.clone(),
        node: Node { origin: origin.clone(), raw: Raw::Table(Table::new()) },
    });
    match &mut entry.node.raw {
        Raw::Table(inner) => insert(inner, rest, value, origin),
        _ => Err(conflict(&entry.origin)),
    }
}

/// Names sinks as the layers below do: in the name of a variable `-` cannot stand, `_` stands for it.
pub(super) fn name_sinks_as_below(above: &mut Table, below: &Table) {
    let Some(Raw::Table(known)) = below.get("sinks").map(|entry| &entry.node.raw) else { return };
    let Some(Raw::Table(named)) = above.get_mut("sinks").map(|entry| &mut entry.node.raw) else { return };
    for name in named.keys().cloned().collect::<Vec<_>>() {
        if known.contains_key(&name) {
            continue;
        }
        let mut alike = known.keys().filter(|known| known.replace('-', "_") == name);
        if let (Some(known), None) = (alike.next(), alike.next())
            && let Some(entry) = named.remove(&name)
        {
            named.insert(known.clone(), entry);
        }
    }
}
