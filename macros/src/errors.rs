//! The error bag, and how messages are worded.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Collects what is wrong, so that everything is reported at once.
#[derive(Default)]
pub(crate) struct Bag {
    combined: Option<syn::Error>,
}

impl Bag {
    /// Reports at one token: what is wrong, and what to write instead.
    pub(crate) fn push(&mut self, span: Span, message: impl std::fmt::Display, help: impl std::fmt::Display) {
        self.push_error(syn::Error::new(span, format!("{message}\nhelp: {help}")));
    }

    /// Reports at all tokens of a node.
    pub(crate) fn push_at(
        &mut self,
        node: &impl ToTokens,
        message: impl std::fmt::Display,
        help: impl std::fmt::Display,
    ) {
        self.push_error(syn::Error::new_spanned(node, format!("{message}\nhelp: {help}")));
    }

    pub(crate) fn push_error(&mut self, error: syn::Error) {
        match &mut self.combined {
            Some(combined) => combined.combine(error),
            None => self.combined = Some(error),
        }
    }

    /// Takes over what another bag holds.
    pub(crate) fn push_bag(&mut self, other: Self) {
        if let Some(error) = other.combined {
            self.push_error(error);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.combined.is_none()
    }

    /// The `compile_error!` items.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.combined.map(|error| error.to_compile_error()).unwrap_or_default()
    }
}

/// Where a node of the program begins and ends; the compiler underlines what lies between.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) first: Span,
    pub(crate) last: Span,
}

impl Spot {
    pub(crate) fn of(node: &impl ToTokens) -> Self {
        let mut trees = node.to_token_stream().into_iter();
        let first = trees.next().map_or_else(Span::call_site, |tree| tree.span());
        let last = trees.last().map_or(first, |tree| tree.span());
        Self { first, last }
    }
}

/// The accepted name that is nearest to `given`, if one is near.
pub(crate) fn nearest<'a>(given: &str, accepted: &[&'a str]) -> Option<&'a str> {
    let bound = given.len().max(3) / 3;
    accepted
        .iter()
        .map(|name| (distance(given, name), *name))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean ..? accepted: ..`
pub(crate) fn suggest(given: &str, accepted: &[&str]) -> String {
    let list = accepted.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(given, accepted) {
        Some(name) => format!("did you mean `{name}`? accepted: {list}"),
        None => format!("accepted: {list}"),
    }
}

/// Levenshtein distance, with a swap of neighbours counted as one step.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found() {
        let accepted = ["surface", "access", "input"];
        assert_eq!(nearest("surfce", &accepted), Some("surface"));
        assert_eq!(nearest("inptu", &accepted), Some("input"));
        assert_eq!(nearest("level", &accepted), None);
    }
}
