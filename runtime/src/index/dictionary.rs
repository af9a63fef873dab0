//! Small numbers for names that repeat: scopes, surfaces, codes.

use std::collections::HashMap;

use redb::{ReadableTable, Table, TableDefinition};

use super::error::IndexError;

/// Name to number. Numbers begin at 1, so that 0 can stand for "none".
pub(crate) type DictionaryTable = TableDefinition<'static, &'static str, u32>;

/// The writer's copy in memory.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    numbers: HashMap<Box<str>, u32>,
    /// Numbered, but not yet in the table.
    fresh: Vec<(u32, Box<str>)>,
}

impl Dictionary {
    pub(crate) fn load(table: &impl ReadableTable<&'static str, u32>) -> Result<Self, IndexError> {
        let mut numbers = HashMap::new();
        let len = table.len()?;
        for entry in table.iter()? {
            let (name, number) = entry?;
            let number = number.value();
            if number == 0 || u64::from(number) > len {
                return Err(IndexError::Damaged(format!("a dictionary of {len} names has number {number}")));
            }
            numbers.insert(Box::from(name.value()), number);
        }
        Ok(Self { numbers, fresh: Vec::new() })
    }

    /// The number of a name that has one.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.numbers.len() as u32 + 1;
        self.numbers.insert(Box::from(name), number);
        self.fresh.push((number, Box::from(name)));
        number
    }

    /// Writes the names that are new since the last call.
    pub(crate) fn store(&mut self, table: &mut Table<'_, &'static str, u32>) -> Result<(), IndexError> {
        for (number, name) in self.fresh.drain(..) {
            table.insert(&*name, number)?;
        }
        Ok(())
    }
}
