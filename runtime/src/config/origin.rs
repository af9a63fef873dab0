//! Where a value was written.

use std::fmt;
use std::panic::Location;

/// Where a key or a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// In a file, or a text of TOML; counted from 1, columns in characters.
    File {
        /// The path or the name that was given.
        name: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In a variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// In the program: the call of [`ConfigBuilder::set`](super::ConfigBuilder::set).
    Code {
        /// The source file.
        file: &'static str,
        /// The line.
        line: u32,
    },
    /// In a larger document, whose reader handed on this part of it.
    Embedded,
}

impl Origin {
    pub(super) fn code(location: &'static Location<'static>) -> Self {
        Self::Code { file: location.file(), line: location.line() }
    }

    /// The place of a byte of a text.
    pub(super) fn in_text(name: &str, text: &str, byte: usize) -> Self {
        let mut end = byte.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::File {
            name: name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Variable { name } => f.write_str(name),
            Self::Code { file, line } => write!(f, "{file}:{line}"),
            Self::Embedded => f.write_str("embedded configuration"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_its_line_and_its_column_in_characters() {
        let text = "a = 1\n# ü\nü = 2\n";
        let at = |byte| Origin::in_text("x.toml", text, byte).to_string();
        assert_eq!(at(0), "x.toml:1:1");
        assert_eq!(at(text.find("2").expect("a value")), "x.toml:3:5");
        assert_eq!(at(text.len() + 10), "x.toml:4:1");
    }
}
