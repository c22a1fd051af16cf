//! The columns of a table as the engine's own catalogue has them. Read in the transaction of the row, under a search path
//! of the catalogue alone, so that the name of every other type comes with its schema.

use super::PostgresDatabase;
use crate::error::{Code, Error, Result};
use crate::guard::ColumnType;
use crate::primitives::Identifier;

#[derive(Debug, Clone)]
pub(super) struct Column {
    /// The type, with its modifier.
    pub column_type: ColumnType,
    /// Below every domain, without the modifier.
    pub plain_type: ColumnType,
    /// The type is a domain.
    pub is_domain: bool,
    /// The type has a modifier, also inside a domain: a cast may round or cut.
    pub modified: bool,
    /// Why nobody can write it, if so.
    pub fixed: Option<&'static str>,
}

/// The statement that lists the columns. Names are checked identifiers, which need no quoting in a literal.
pub(super) fn columns_sql(schema: &Identifier, table: &Identifier) -> String {
    format!(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), format_type(b.oid, -1), (b.oid <> a.atttypid)::text, (b.modifier >= 0)::text, a.attidentity::text, a.attgenerated::text \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace, \
         LATERAL (WITH RECURSIVE base AS (SELECT a.atttypid AS oid, a.atttypmod AS modifier UNION ALL \
         SELECT t.typbasetype, greatest(t.typtypmod, base.modifier) FROM base JOIN pg_type t ON t.oid = base.oid WHERE t.typtype = 'd') \
         SELECT base.oid, base.modifier FROM base JOIN pg_type t ON t.oid = base.oid WHERE t.typtype <> 'd') b \
         WHERE n.nspname = '{schema}' AND c.relname = '{table}' AND a.attnum > 0 AND NOT a.attisdropped"
    )
}

impl Column {
    /// One row of [`columns_sql`]; a type whose name cannot stand in SQL is no column of ours.
    pub(super) fn read(row: &[Option<String>]) -> Result<Self> {
        let [Some(name), Some(column_type), Some(plain), Some(domain), Some(modified), Some(identity), Some(generated)] =
            row
        else {
            return Err(Error::new(Code::Internal).with("detail", "the catalogue answered another shape"));
        };
        let kind = |text: &String| {
            let unreadable =
                |_| Error::new(Code::ValueNotReadable).with("column", name).with("reason", "the name of its type");
            ColumnType::new(text.as_str()).map_err(unreadable)
        };
        let fixed = match (generated.as_str(), identity.as_str()) {
            ("", "a") => Some("its identity is always generated"),
            ("", _) => None,
            _ => Some("it is generated"),
        };
        Ok(Self {
            column_type: kind(column_type)?,
            plain_type: kind(plain)?,
            is_domain: domain == "true",
            modified: modified == "true",
            fixed,
        })
    }
}

impl PostgresDatabase {
    pub(super) fn missing(&self, object: String) -> Error {
        Error::new(Code::SourceObjectNotFound).with("source", &self.source).with("object", object)
    }
}
