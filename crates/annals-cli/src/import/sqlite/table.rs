//! The tables of a file, and their columns matched by name.

use rusqlite::Connection;

use super::super::ImportReport;

/// A table or view of a file.
pub struct Named {
    /// As it is spelt there.
    pub name: String,
    pub is_view: bool,
}

impl Named {
    /// Whether it is called so: SQLite's names have no case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The table or view of this name.
pub fn find<'t>(tables: &'t [Named], name: &str) -> Option<&'t Named> {
    tables.iter().find(|table| table.is(name))
}

/// All tables and views.
pub fn tables(file: &Connection) -> rusqlite::Result<Vec<Named>> {
    let mut query = file.prepare(
        "SELECT name, type = 'view' FROM sqlite_master
         WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names = query.query_map([], |row| {
        Ok(Named {
            name: row.get(0)?,
            is_view: row.get(1)?,
        })
    })?;
    names.collect()
}

/// A name as SQL has it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// How many rows a table has; `None` if it cannot be read to its end.
pub fn count(file: &Connection, table: &str) -> Option<u64> {
    let count = format!("SELECT COUNT(*) FROM {}", quoted(table));
    let count: i64 = file.query_row(&count, [], |row| row.get(0)).ok()?;
    Some(count.unsigned_abs())
}

/// A table whose columns have been matched: those that are not there are read as NULL.
pub struct SourceTable<'f> {
    pub file: &'f Connection,
    /// Its name here.
    pub name: &'static str,
    /// Its name there, for SQL.
    from: String,
    /// The column that numbers its rows, for SQL; `None` if there is none.
    pub number: Option<String>,
    /// Whether its rows lie in the order of their numbers.
    pub is_ordered: bool,
    columns: String,
    /// Names of all columns.
    pub all: Vec<String>,
    /// Columns that are asked for behind those that are wanted.
    pub more: Vec<String>,
    /// Columns that are not known; their values stand behind those that are wanted.
    pub others: Vec<String>,
    pub rows: Option<u64>,
}

/// A column, as the file describes it.
struct FileColumn {
    name: String,
    kind: String,
    key: i64,
}

impl<'f> SourceTable<'f> {
    /// Matches the columns; says what is missing and what is left over.
    pub fn open(
        file: &'f Connection,
        name: &'static str,
        found: &Named,
        wanted: &[&str],
        report: &mut ImportReport,
    ) -> rusqlite::Result<Self> {
        let from = quoted(&found.name);
        // Generated columns are hidden from table_info; hidden ones of virtual tables are no
        // columns.
        let mut query =
            file.prepare("SELECT name, type, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1")?;
        let there: Vec<FileColumn> = query
            .query_map([&found.name], |row| {
                Ok(FileColumn {
                    name: row.get(0)?,
                    kind: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                    key: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
                })
            })?
            .collect::<Result<_, _>>()?;
        let mut columns = String::new();
        for column in wanted {
            let known = there
                .iter()
                .find(|there| there.name.eq_ignore_ascii_case(column));
            columns.push_str(", ");
            match known {
                Some(known) => columns.push_str(&quoted(&known.name)),
                None => {
                    report.notes.push(format!("{name} has no column {column}"));
                    columns.push_str("NULL");
                }
            }
        }
        let is_known = |other: &FileColumn| {
            let mut known = wanted.iter();
            let is_wanted = known.any(|column| column.eq_ignore_ascii_case(&other.name));
            is_wanted || other.name.eq_ignore_ascii_case("id")
        };
        let others = there.iter().filter(|other| !is_known(other));
        let rows = count(file, &found.name);
        let (number, is_ordered) = numbered(file, found, &there, rows);
        Ok(SourceTable {
            file,
            name,
            number,
            is_ordered,
            columns,
            all: there.iter().map(|column| column.name.clone()).collect(),
            more: Vec::new(),
            others: others.map(|other| other.name.clone()).collect(),
            rows,
            from,
        })
    }

    /// Asks for the rows' numbers, the columns that are wanted, `more` of them, and the others if
    /// `others`; from the number `?1` on, if it is to be `bounded`.
    pub fn select(&self, others: bool, bounded: bool) -> String {
        let mut columns = self.columns.clone();
        let others = self.others.iter().filter(|_| others);
        for other in self.more.iter().chain(others) {
            columns.push_str(", ");
            columns.push_str(&quoted(other));
        }
        let number = self.number.as_deref().unwrap_or("NULL");
        let from = &self.from;
        let bound = if bounded {
            format!(" WHERE {number} >= ?1")
        } else {
            String::new()
        };
        let order = match &self.number {
            Some(number) => format!(" ORDER BY {number}"),
            None => String::new(),
        };
        format!("SELECT {number}{columns} FROM {from}{bound}{order}")
    }

    /// How many values each of the other columns holds; `None` if it cannot be read to its end.
    pub fn values_of_others(&self) -> Option<Vec<u64>> {
        let counts = self
            .others
            .iter()
            .map(|name| format!("COUNT({})", quoted(name)));
        let counts: Vec<String> = counts.collect();
        let count = format!("SELECT {} FROM {}", counts.join(", "), self.from);
        let count = self.file.query_row(&count, [], |row| {
            (0..self.others.len())
                .map(|index| row.get::<_, i64>(index).map(i64::unsigned_abs))
                .collect::<Result<Vec<_>, _>>()
        });
        count.ok()
    }
}

/// The column that numbers the rows, and whether they lie in that order: the rowid, unless a column
/// `id` numbers them itself.
fn numbered(
    file: &Connection,
    found: &Named,
    there: &[FileColumn],
    rows: Option<u64>,
) -> (Option<String>, bool) {
    // Each of the rowid's names may be a column's.
    let mut rowids = ["rowid", "_rowid_", "oid"].into_iter();
    let rowid = rowids.find(|name| {
        let is_free = !there
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(name));
        let from = quoted(&found.name);
        let asked = format!("SELECT {name} FROM {from} LIMIT 0");
        // A name in quotes would be a text where there is no rowid.
        is_free && !found.is_view && file.prepare(&asked).is_ok()
    });
    let id = there
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case("id"));
    let keys = there.iter().filter(|column| column.key > 0).count();
    let is_key = |id: &&FileColumn| id.key > 0 && keys == 1 && !found.is_view;
    match (rowid, id) {
        (Some(rowid), Some(id)) if is_key(&id) && id.kind.eq_ignore_ascii_case("INTEGER") => {
            // It is the rowid.
            (Some(rowid.to_owned()), true)
        }
        (rowid, Some(id)) if is_numbering(file, found, id, rows) => {
            let is_ordered = rowid.is_none() && is_key(&id);
            (Some(quoted(&id.name)), is_ordered)
        }
        (Some(rowid), _) => (Some(rowid.to_owned()), true),
        (None, _) => (None, false),
    }
}

/// Whether all values of a column are integers, and each is there once.
fn is_numbering(file: &Connection, found: &Named, id: &FileColumn, rows: Option<u64>) -> bool {
    let (column, from) = (quoted(&id.name), quoted(&found.name));
    let ask = format!(
        "SELECT COUNT(DISTINCT {column}), COALESCE(SUM(typeof({column}) = 'integer'), 0)
         FROM {from}"
    );
    let counted = file.query_row(&ask, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    counted.is_ok_and(|(distinct, integers)| {
        distinct == integers && Some(integers.unsigned_abs()) == rows
    })
}
