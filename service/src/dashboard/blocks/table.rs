//! A table.

use serde::Serialize;

use super::Cell;

/// A table with a caption.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Table {
    /// What the table shows; read out first by a screen reader.
    pub caption: String,
    /// The heads of the columns.
    pub columns: Vec<Column>,
    /// The rows, each with one cell for each column; the first cell names the row.
    pub rows: Vec<Vec<Cell>>,
    /// What is said in place of no rows.
    pub when_empty: String,
    /// How many rows there are beyond those that are shown.
    pub left_out: u64,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Column {
    /// The text.
    pub title: String,
    /// Whether its cells are numbers, to be aligned at the right.
    pub is_numeric: bool,
}

impl Table {
    /// A table without rows.
    pub fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        let column = |title: &&str| Column { title: (*title).to_owned(), is_numeric: false };
        Self {
            caption: caption.into(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
            when_empty: "Nothing in this window.".to_owned(),
            left_out: 0,
        }
    }

    /// Adds a row. Cells that are missing are empty, and those too many are left out. A column whose cells
    /// are all numbers is aligned as one.
    #[must_use]
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.push(cells);
        self
    }

    /// Adds a row; see [`row`](Self::row).
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), Cell::None);
        for (column, cell) in self.columns.iter_mut().zip(&row) {
            let is_first = self.rows.is_empty();
            column.is_numeric = match cell {
                Cell::None => column.is_numeric,
                cell => cell.is_numeric() && (is_first || column.is_numeric),
            };
        }
        self.rows.push(row);
    }

    /// Says this in place of no rows: best what makes some appear.
    #[must_use]
    pub fn when_empty(mut self, text: impl Into<String>) -> Self {
        self.when_empty = text.into();
        self
    }

    /// Says that there are more rows than are shown.
    #[must_use]
    pub fn left_out(mut self, rows: u64) -> Self {
        self.left_out = rows;
        self
    }
}
