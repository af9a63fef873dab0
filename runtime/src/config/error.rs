//! What is wrong with a configuration: all of it at once.

use std::fmt;

use super::Origin;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where it was written; `None` when something is absent.
    pub origin: Option<Origin>,
    /// What is wrong and what to write; no secrets.
    pub message: String,
}

impl Problem {
    pub(super) fn at(origin: &Origin, message: impl Into<String>) -> Self {
        Self { origin: Some(origin.clone()), message: message.into() }
    }

    pub(super) fn absent(message: impl Into<String>) -> Self {
        Self { origin: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A configuration cannot be used. It names everything that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// `Err` when there is a problem.
    pub(super) fn of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// What is wrong, in the order of the layers; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.problems {
            [one] => write!(f, "the configuration cannot be used: {one}"),
            several => {
                write!(f, "the configuration cannot be used, for {} reasons:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// `did you mean ..? accepted: ..`
pub(super) fn accepted<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let distance = |name: &&str| strsim::damerau_levenshtein(given, name);
    let near = names.iter().copied().min_by_key(distance);
    match near.filter(|name| distance(name) <= (given.chars().count() / 3).max(1)) {
        Some(near) => format!("did you mean `{near}`? accepted: {list}"),
        None => format!("accepted: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let names = ["journal_bytes", "journal_dir"];
        assert_eq!(
            accepted("journal_byte", names),
            "did you mean `journal_bytes`? accepted: `journal_bytes`, `journal_dir`"
        );
        assert_eq!(accepted("colour", names), "accepted: `journal_bytes`, `journal_dir`");
        assert_eq!(accepted("r", ["x"]), "did you mean `x`? accepted: `x`");
    }

    #[test]
    fn several_problems_stand_on_a_line_each() {
        let problem = |text: &str| Problem::absent(text);
        let one = ConfigError { problems: vec![problem("a")] };
        assert_eq!(one.to_string(), "the configuration cannot be used: a");
        let two = ConfigError { problems: vec![problem("a"), problem("b")] };
        assert_eq!(two.to_string(), "the configuration cannot be used, for 2 reasons:\n  a\n  b");
    }
}
