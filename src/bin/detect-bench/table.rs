//! [`Table`]: rows and columns of a report, with units, alignment and notes.
//!
//! `tables/` fills tables; `text.rs` and `html/` render them.

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    /// A number with so many decimals.
    Number(usize),
    /// The same with a sign, also in front of positive numbers.
    Signed(usize),
    /// A share from 0 to 1, drawn as a bar.
    Bar,
}

#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    unit: &'static str,
    pub format: Format,
}

impl Column {
    pub const fn text(title: &'static str) -> Self {
        Self::new(title, "", Format::Text)
    }

    pub const fn number(title: &'static str, unit: &'static str, decimals: usize) -> Self {
        Self::new(title, unit, Format::Number(decimals))
    }

    pub const fn new(title: &'static str, unit: &'static str, format: Format) -> Self {
        Self {
            title,
            unit,
            format,
        }
    }

    /// Returns title and unit, as the head of the column has them.
    pub fn heading(&self) -> String {
        match (self.title, self.unit) {
            (title, "") => title.to_owned(),
            ("", unit) => unit.to_owned(),
            (title, unit) => format!("{title}, {unit}"),
        }
    }

    /// Returns true for numbers, so that their digits stand below each other.
    pub fn is_aligned_right(&self) -> bool {
        matches!(self.format, Format::Number(_) | Format::Signed(_))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
    /// Not measured, or without meaning in this row.
    Missing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Number(count as f64)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, T::into)
    }
}

/// Rows below columns, with a title and, where a reader needs it, a note.
#[derive(Debug, Clone)]
pub struct Table {
    pub title: &'static str,
    pub note: Option<String>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(title: &'static str, columns: &[Column]) -> Self {
        Self {
            title,
            note: None,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Makes a table of names and what is known about each.
    pub fn facts(title: &'static str) -> Self {
        Self::new(title, &[Column::text(""), Column::text("")])
    }

    pub fn add(&mut self, row: impl IntoIterator<Item = Cell>) {
        let row: Vec<_> = row.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len(), "{}", self.title);
        self.rows.push(row);
    }

    /// Adds a row of a table of [`facts`](Self::facts).
    pub fn add_fact(&mut self, name: &str, value: impl Into<Cell>) {
        self.add([name.into(), value.into()]);
    }

    /// Returns whether any column has a heading.
    pub fn has_headings(&self) -> bool {
        (self.columns.iter()).any(|column| !column.heading().is_empty())
    }

    /// Returns the text of each cell of a row, `missing` where there is no value.
    pub fn texts<'a>(&'a self, row: &'a [Cell], missing: &'a str) -> impl Iterator<Item = String> {
        (self.columns.iter().zip(row)).map(move |(column, cell)| match (cell, column.format) {
            (Cell::Missing, _) => missing.to_owned(),
            (Cell::Text(text), _) => text.clone(),
            (Cell::Number(number), Format::Signed(decimals)) => format!("{number:+.decimals$}"),
            (Cell::Number(number), Format::Number(decimals)) => format!("{number:.decimals$}"),
            (Cell::Number(number), Format::Text | Format::Bar) => number.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_says_its_unit_and_how_numbers_are_written() {
        let columns = [
            Column::text("row"),
            Column::number("p50", "ms", 1),
            Column::new("score", "", Format::Signed(3)),
            Column::number("", "frames", 0),
        ];
        let headings = columns.map(|column| column.heading());
        assert_eq!(headings, ["row", "p50, ms", "score", "frames"]);
        assert_eq!(
            columns.map(|column| column.is_aligned_right()),
            [false, true, true, true]
        );
        let mut table = Table::new("x", &columns);
        table.add(["a".into(), 12.34.into(), 0.5.into(), 7_u64.into()]);
        table.add(["b".into(), None::<f64>.into(), Cell::Missing, 0_u64.into()]);
        let texts = |row: usize| table.texts(&table.rows[row], "-").collect::<Vec<_>>();
        assert_eq!(texts(0), ["a", "12.3", "+0.500", "7"]);
        assert_eq!(texts(1), ["b", "-", "-", "0"]);
    }

    #[test]
    fn facts_have_no_headings() {
        assert!(!Table::facts("x").has_headings());
        assert!(Table::new("x", &[Column::number("", "ms", 1)]).has_headings());
    }
}
