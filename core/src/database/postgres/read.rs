//! The scoped read, and what a patch would leave in its columns.

use std::collections::BTreeMap;

use super::PostgresDatabase;
use super::catalogue::{Column, columns_sql};
use super::session::Session;
use crate::database::{RowRead, ScopedRead};
use crate::error::{Code, Error, Result};
use crate::guard::{ColumnType, Dialect, Failure, Normal, Statement};
use crate::primitives::{Identifier, Scalar, compare_decimals};

impl PostgresDatabase {
    pub(super) async fn read_row(&self, read: &ScopedRead) -> Result<Option<RowRead>> {
        // One snapshot for the catalogue and the row. The search path is the role's own again before the row is read.
        let columns = columns_sql(&read.schema, &read.table);
        let settings = Dialect::Postgres.settings().unwrap_or_default();
        let more =
            format!("SET LOCAL search_path = pg_catalog; {columns}; SET LOCAL search_path TO DEFAULT; {settings}");
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let (mut session, mut rows) = self.opened(begin, &more).await?;
        rows.pop();
        let found = self.read_in(&mut session, read, &rows).await;
        // Nothing was written; a connection that cannot say so is closed.
        let _ = session.end("ROLLBACK").await;
        found
    }

    async fn read_in(
        &self,
        session: &mut Session,
        read: &ScopedRead,
        catalogue: &[Vec<Option<String>>],
    ) -> Result<Option<RowRead>> {
        if catalogue.is_empty() {
            return Err(self.missing(format!("table {}.{}", read.schema, read.table)));
        }
        let mut table: BTreeMap<&Identifier, Column> = BTreeMap::new();
        let tenant = read.tenant.iter().map(|(column, _)| column);
        for column in read.columns.iter().chain(read.patch.keys()).chain(tenant).chain([&read.key_column]) {
            let row = catalogue.iter().find(|row| row.first().and_then(Option::as_deref) == Some(column.as_str()));
            let row = row.ok_or_else(|| self.missing(format!("column {column} in table {}", read.table)))?;
            table.insert(column, Column::read(row)?);
        }
        let types: BTreeMap<Identifier, ColumnType> =
            table.iter().map(|(column, known)| ((*column).clone(), known.column_type.clone())).collect();

        let Some(row) = self.select(session, read, &types).await? else { return Ok(None) };
        let domains = table.iter().filter(|(_, known)| known.is_domain);
        let plain_types = domains.map(|(column, known)| ((*column).clone(), known.plain_type.clone())).collect();
        let (values, classes, normal) = Default::default();
        let mut found = RowRead { values, classes, types, plain_types, normal };
        let typed: Vec<_> = read.columns.iter().map(|column| (column, found.types.get(column))).collect();
        for (column, _, scalar) in Dialect::Postgres.scalars(&row, typed)? {
            found.values.insert(column.clone(), scalar);
        }
        let text = |column: &Identifier| found.values.get(column).and_then(Scalar::to_text);
        let key_same = text(&read.key_column).as_deref() == Some(&read.key_value);
        let tenant_same = read.tenant.as_ref().is_none_or(|(column, value)| text(column).as_deref() == Some(value));
        if !key_same || !tenant_same {
            return Ok(None);
        }
        for (column, value) in &read.patch {
            if let Some(known) = table.get(column) {
                let normal = self.normal(session, column, known, value).await?;
                found.normal.insert(column.clone(), normal);
            }
        }
        Ok(Some(found))
    }

    async fn select(
        &self,
        session: &mut Session,
        read: &ScopedRead,
        types: &BTreeMap<Identifier, ColumnType>,
    ) -> Result<Option<Vec<Option<String>>>> {
        let outputs: Vec<String> =
            read.columns.iter().map(|column| Dialect::Postgres.select(column, types.get(column))).collect();
        let mut params = vec![Some(read.key_value.clone())];
        let mut condition = Dialect::Postgres.matches(&read.key_column, 1, types.get(&read.key_column));
        if let Some((column, value)) = &read.tenant {
            params.push(Some(value.clone()));
            condition.push_str(&format!(" AND {}", Dialect::Postgres.matches(column, 2, types.get(column))));
        }
        let sql = format!(
            "SELECT {} FROM {}.{} WHERE {condition} LIMIT 2",
            outputs.join(", "),
            read.schema.quoted(),
            read.table.quoted()
        );
        let mut rows = match session.run(&Statement { sql, params }).await {
            Ok((rows, _)) => rows,
            // The key or the tenant is no value of its column's type: no row has it.
            Err(Failure::Rejected) => return Ok(None),
            Err(Failure::Unreadable) => {
                let unreadable = Error::new(Code::ValueNotReadable).with("column", format!("{}.*", read.table));
                return Err(unreadable.with("reason", "its text is not UTF-8"));
            }
            Err(failure) => return Err(self.explain(failure)),
        };
        if rows.len() > 1 {
            let object = format!("{}.{}", read.schema, read.table);
            return Err(Error::new(Code::RowNotUnique).with("column", &read.key_column).with("object", object));
        }
        Ok(rows.pop())
    }

    /// What the column would hold after `value` is written: the engine casts it, with the type's modifier and without.
    async fn normal(
        &self,
        session: &mut Session,
        column: &Identifier,
        known: &Column,
        value: &Scalar,
    ) -> Result<Normal> {
        if let Some(reason) = known.fixed {
            return Err(Error::new(Code::ColumnNotPatchable).with("column", column).with("reason", reason));
        }
        let refused =
            || Error::new(Code::ValueNotRepresentable).with("column", column).with("type", known.column_type.as_str());
        let is_boolean = known.plain_type.as_str() == "boolean";
        let fits = match value {
            Scalar::Bool(_) => is_boolean,
            Scalar::Int(_) | Scalar::UInt(_) | Scalar::Decimal(_) => !is_boolean,
            _ => true,
        };
        if !fits {
            return Err(refused());
        }
        let cast = |kind: &ColumnType| Dialect::Postgres.cast(1, kind);
        let plain = Dialect::type_name(&known.plain_type);
        let kept = if known.modified {
            format!("(CAST(v.stored AS {plain}) {} v.plain)::pg_catalog.text", Dialect::equals(&known.plain_type))
        } else {
            "'true'".to_owned()
        };
        let sql = format!(
            "SELECT {}, {kept} FROM (SELECT {} AS stored, {} AS plain) AS v",
            Dialect::show("v.stored", &known.column_type),
            cast(&known.column_type),
            cast(&known.plain_type)
        );
        let text = value.to_text();
        let (rows, _) = match session.run(&Statement { sql, params: vec![text.clone()] }).await {
            Ok(answer) => answer,
            Err(Failure::Rejected) => return Err(refused()),
            Err(failure) => return Err(self.explain(failure)),
        };
        let Some([shown, kept]) = rows.first().map(Vec::as_slice) else { return Err(refused()) };
        if text.is_some() && (shown.is_none() || kept.as_deref() != Some("true")) {
            return Err(refused());
        }
        // A float keeps the nearest number; only the number asked for will do.
        let is_number = matches!(value, Scalar::Int(_) | Scalar::UInt(_) | Scalar::Decimal(_));
        let is_float = matches!(known.plain_type.as_str(), "real" | "double precision");
        let order = compare_decimals(text.as_deref().unwrap_or_default(), shown.as_deref().unwrap_or_default());
        if (is_number || is_float) && order.is_some_and(|order| order != std::cmp::Ordering::Equal) {
            return Err(refused());
        }
        let column_type = Some(&known.column_type);
        let value = Dialect::Postgres
            .scalars(std::slice::from_ref(shown), [(column, column_type)])?
            .pop()
            .map(|(_, _, scalar)| scalar);
        Ok(Normal { class: String::new(), value: value.unwrap_or(Scalar::Null) })
    }
}
