//! Postgres: every value travels as the text that `to_jsonb(column) #>> '{}'` gives under TimeZone UTC.

use super::super::job::Cell;
use super::ColumnType;
use crate::primitives::{Identifier, Scalar};

pub(super) fn select(column: &Identifier) -> String {
    format!("to_jsonb({}) #>> '{{}}'", column.quoted())
}

pub(super) fn scalar(cell: &Cell, column_type: Option<&ColumnType>) -> Scalar {
    let Some(text) = &cell.text else { return Scalar::Null };
    match column_type.map(ColumnType::as_str) {
        Some("boolean") => Scalar::Bool(text == "true"),
        Some("smallint" | "integer" | "bigint") => Scalar::from_number_text(text),
        Some(numeric) if numeric.starts_with("numeric") => Scalar::Decimal(text.clone()),
        _ => Scalar::Text(text.clone()),
    }
}
