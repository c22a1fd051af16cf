//! Postgres: a value is the text of its type's own output function, which is what its input function reads back. JSON
//! functions would be shorter, and lose: `json` text, jsonb `"1"` beside `1`, JSON null beside NULL, array bounds.
//!
//! Output functions heed the session, so [`settings`] sets what they heed, and answers what was set before. Whatever
//! our SQL names is qualified: a search path of somebody else's has no say.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::super::job::Cell;
use super::ColumnType;
use crate::error::{Code, Error, Result};
use crate::primitives::{Identifier, Scalar};

const LOCK_TIMEOUT: &str = "lock_timeout";

/// What the guard's transaction needs, by `SET LOCAL`; [`restore`] gives the author's function the session's own back.
const SETTINGS: &[(&str, &str)] = &[
    (LOCK_TIMEOUT, "2000"),
    ("row_security", "on"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
];

/// The two of them that instants heed, and the one that a lock does.
const OF_INSTANTS: &[&str] = &[LOCK_TIMEOUT, "TimeZone", "DateStyle"];
const OF_LOCKS: &[&str] = &[LOCK_TIMEOUT];

/// What of [`SETTINGS`] columns of these types heed, and the wait for their lock. A policy does not ask `row_security`
/// when it is run but when it is planned, and `off` refuses: no statement can set that for itself, and none has to.
fn heeded<'a>(types: impl IntoIterator<Item = &'a ColumnType>) -> Vec<(&'static str, &'static str)> {
    const NONE: &[&str] = &[
        "bigint",
        "boolean",
        "bpchar",
        "character varying",
        "integer",
        "json",
        "jsonb",
        "numeric",
        "smallint",
        "text",
        "uuid",
    ];
    const INSTANTS: &[&str] = &["date", "timestamp with time zone", "timestamp without time zone"];
    let mut names = Some(OF_LOCKS);
    for column_type in types {
        names = match column_type.as_str() {
            name if NONE.contains(&name) => names,
            name if INSTANTS.contains(&name) => names.map(|_| OF_INSTANTS),
            _ => None,
        };
    }
    let heeded = |name: &str| names.map_or(name != "row_security", |names| names.contains(&name));
    SETTINGS.iter().copied().filter(|(name, _)| heeded(name)).collect()
}

/// What a statement needs to bring its own settings along: see [`super::super::statements::claim_lock_and_restore`].
#[derive(Debug)]
pub(in crate::guard) struct Within {
    /// The session's own values, one output for each, `s0` and so on.
    pub(in crate::guard) session: String,
    /// Sets ours. Never NULL, and evaluated after `session`, of which it needs a value.
    pub(in crate::guard) set: String,
    /// Gives the session its own back, evaluated after all rows that it is given are there, of which it needs the number.
    pub(in crate::guard) restore: String,
    /// True if the columns have the types that they are taken to have.
    pub(in crate::guard) proof: String,
}

pub(super) fn within(types: &BTreeMap<Identifier, ColumnType>, after: &str) -> Within {
    let heeded = heeded(types.values());
    let all = |write: &dyn Fn(usize, &str, &str) -> String| -> Vec<String> {
        heeded.iter().enumerate().map(|(n, (name, value))| write(n, name, value)).collect()
    };
    let set = all(&|n, name, value| {
        format!("pg_catalog.set_config('{name}', CASE WHEN s{n} IS NOT NULL THEN '{value}' END, true)")
    });
    let restore = all(&|n, name, _| format!("pg_catalog.set_config('{name}', s{n}, n IS NOT NULL)"));
    Within {
        session: all(&|n, name, _| format!("pg_catalog.current_setting('{name}') AS s{n}")).join(", "),
        set: format!("(SELECT pg_catalog.concat({}, {DURABLE}) FROM session)", set.join(", ")),
        restore: format!(
            "(SELECT pg_catalog.concat({}) FROM session, (SELECT pg_catalog.count(*) AS n FROM {after}) AS waited)",
            restore.join(", ")
        ),
        proof: proof(types),
    }
}

fn proof(types: &BTreeMap<Identifier, ColumnType>) -> String {
    let same = |(column, column_type): (&Identifier, &ColumnType)| {
        format!(
            "pg_catalog.pg_typeof({}) OPERATOR(pg_catalog.=) '{}'::pg_catalog.regtype",
            column.quoted(),
            type_name(column_type)
        )
    };
    types.iter().map(same).collect::<Vec<_>>().join(" AND ")
}

/// The text of the type's own output function. `format('%s')` calls it for any type, where a cast to text may do something
/// else (it drops the padding of `character`); of NULL it makes an empty text. For these types a cast is the same, and cheaper.
pub(super) fn select(expression: &str, column_type: Option<&ColumnType>) -> String {
    const CAST: &[&str] = &[
        "bigint",
        "character varying",
        "date",
        "integer",
        "json",
        "jsonb",
        "numeric",
        "smallint",
        "text",
        "timestamp",
        "uuid",
    ];
    let castable = column_type.is_some_and(|known| {
        let text = known.as_str();
        let bare = text.split('(').next().unwrap_or(text);
        let bare =
            bare.strip_suffix(" with time zone").or_else(|| bare.strip_suffix(" without time zone")).unwrap_or(bare);
        CAST.contains(&bare.trim_end()) && !text.ends_with(']')
    });
    if castable {
        return format!("{expression}::pg_catalog.text");
    }
    format!(
        "CASE WHEN pg_catalog.num_nulls({expression}) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.format('%s', {expression}) END"
    )
}

/// A COMMIT has to be on disk before it is answered, here and on a standby that the server waits for anyway.
pub(super) const DURABLE: &str = "pg_catalog.set_config('synchronous_commit', pg_catalog.replace(pg_catalog.replace(pg_catalog.current_setting('synchronous_commit'), 'off', 'on'), 'local', 'on'), true)";

/// Deferred constraints and triggers run from here on with each statement.
pub(super) const IMMEDIATE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// [`settings`] as a batch, without [`DURABLE`], for a transaction in which nobody wants the session's own settings back.
pub(super) static SET_LOCAL: LazyLock<String> = LazyLock::new(|| {
    SETTINGS.iter().map(|(name, value)| format!("SET LOCAL {name} = '{value}'")).collect::<Vec<_>>().join("; ")
});

/// `true` on a standby, then what each setting was. Locks are waited for so many milliseconds.
pub(super) fn settings(patience: u32) -> String {
    let value = |name: &str, value: &str| match name {
        LOCK_TIMEOUT => patience.to_string(),
        _ => value.to_owned(),
    };
    let mut outputs = vec!["pg_catalog.pg_is_in_recovery()::pg_catalog.text".to_owned()];
    outputs.extend(SETTINGS.iter().map(|(name, _)| format!("pg_catalog.current_setting('{name}')")));
    outputs.extend(SETTINGS.iter().map(|(name, ours)| {
        let value = value(name, ours);
        format!("pg_catalog.set_config('{name}', '{value}', true)")
    }));
    outputs.push(DURABLE.to_owned());
    format!("SELECT {}", outputs.join(", "))
}

/// The statement and parameters that undo [`settings`], from the row that it answered.
pub(super) fn restore(row: &[Option<String>]) -> (String, Vec<Option<String>>) {
    let outputs: Vec<String> = SETTINGS
        .iter()
        .enumerate()
        .map(|(n, (name, _))| format!("pg_catalog.set_config('{name}', ${}, true)", n + 1))
        .collect();
    let mut params: Vec<Option<String>> = row.iter().skip(1).take(SETTINGS.len()).cloned().collect();
    params.resize(SETTINGS.len(), None);
    (format!("SELECT {}", outputs.join(", ")), params)
}

/// One more output of the settings statement: `{"column": "type"}`. The name of a type comes with its schema, whatever
/// the search path of the session is, and without a modifier: a value that is only compared is not to be cut or rounded. Names are checked identifiers, which need no escaping in a literal.
pub(super) fn describe<'a>(
    schema: &Identifier,
    table: &Identifier,
    columns: impl IntoIterator<Item = &'a Identifier>,
) -> String {
    let names: Vec<String> = columns.into_iter().map(|column| format!("'{column}'")).collect();
    let (table, names) = (format!("{}.{}", schema.quoted(), table.quoted()), names.join(", "));
    format!(
        ", (SELECT pg_catalog.json_object_agg(a.attname, CASE WHEN t.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace \
         OR pg_catalog.strpos(f.name, '.') OPERATOR(pg_catalog.>) 0 THEN f.name ELSE pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', f.name) END)::pg_catalog.text \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid \
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace, LATERAL (SELECT pg_catalog.format_type(a.atttypid, -1) AS name) f \
         WHERE a.attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('{table}') AND a.attname OPERATOR(pg_catalog.=) ANY (ARRAY[{names}]::pg_catalog.name[]) AND NOT a.attisdropped)"
    )
}

/// What [`describe`] answered; nothing if there is no such table, which the next statement finds out.
pub(super) fn described(row: &[Option<String>]) -> Result<BTreeMap<Identifier, ColumnType>> {
    // Standby, each setting before and after, the way of COMMIT.
    let Some(text) = row.get(2 * SETTINGS.len() + 2).and_then(Option::as_deref) else { return Ok(BTreeMap::new()) };
    let types: BTreeMap<Identifier, String> = serde_json::from_str(text)
        .map_err(|_| Error::new(Code::Internal).with("detail", "the catalogue answered another shape"))?;
    // A search path that has another `text` makes the catalogue say which one it means: its own.
    let bare = |name: String| name.strip_prefix("pg_catalog.").map_or_else(|| name.clone(), str::to_owned);
    types.into_iter().map(|(column, name)| Ok((column, ColumnType::new(bare(name))?))).collect()
}

/// A type as SQL. The grammar knows some names by itself; any other of the catalogue's own is qualified, and a name that
/// has a schema already has it from the catalogue.
pub(super) fn type_name(column_type: &ColumnType) -> String {
    const GRAMMAR: &[&str] = &[
        "bigint",
        "bit",
        "boolean",
        "character",
        "double",
        "integer",
        "interval",
        "numeric",
        "real",
        "smallint",
        "time",
        "timestamp",
    ];
    let text = column_type.as_str();
    let word = text.split([' ', '(', '[']).next().unwrap_or(text);
    if GRAMMAR.contains(&word) || in_another_schema(column_type) {
        text.to_owned()
    } else {
        format!("pg_catalog.{text}")
    }
}

fn in_another_schema(column_type: &ColumnType) -> bool {
    column_type.as_str().contains('.')
}

/// Equality as the type has it. Types of an extension (citext) bring their own operator, and their indexes know only that.
pub(super) fn equals(column_type: Option<&ColumnType>) -> &'static str {
    match column_type {
        Some(known) if !in_another_schema(known) => "OPERATOR(pg_catalog.=)",
        _ => "=",
    }
}

pub(super) fn scalar(cell: &Cell, column_type: Option<&ColumnType>) -> Scalar {
    let Some(text) = &cell.text else { return Scalar::Null };
    let name = column_type.map_or("", ColumnType::as_str);
    if name.ends_with(']') {
        return Scalar::Text(text.clone());
    }
    match name {
        "boolean" => Scalar::Bool(matches!(text.as_str(), "t" | "true")),
        "smallint" | "integer" | "bigint" => Scalar::from_number_text(text),
        "real" | "double precision" => Scalar::Decimal(text.clone()),
        numeric if numeric.starts_with("numeric") => Scalar::Decimal(text.clone()),
        timestamp if timestamp.starts_with("timestamp") => {
            Scalar::Text(rfc3339(text, timestamp.ends_with("with time zone")))
        }
        _ => Scalar::Text(text.clone()),
    }
}

/// `2026-06-20 14:31:08.0003+00` as `2026-06-20T14:31:08.0003+00:00`. `infinity` stays, and so does ` BC`.
fn rfc3339(text: &str, zoned: bool) -> String {
    let text = text.replacen(' ', "T", usize::from(text.starts_with(|c: char| c.is_ascii_digit())));
    match text.strip_suffix("+00") {
        Some(local) if zoned => format!("{local}+00:00"),
        _ if zoned => text.replace("+00 BC", "+00:00 BC"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> ColumnType {
        ColumnType::new(text).unwrap()
    }

    #[test]
    fn names_of_types_do_not_depend_on_a_search_path() {
        for (text, sql) in [
            ("bigint", "bigint"),
            ("text", "pg_catalog.text"),
            ("text[]", "pg_catalog.text[]"),
            ("numeric(10,2)[]", "numeric(10,2)[]"),
            ("\"char\"", "pg_catalog.\"char\""),
            ("\"bit\"", "pg_catalog.\"bit\""),
            ("bpchar", "pg_catalog.bpchar"),
            ("timestamp(3) with time zone", "timestamp(3) with time zone"),
            ("character varying(5)", "character varying(5)"),
            ("public.citext", "public.citext"),
        ] {
            assert_eq!(type_name(&kind(text)), sql);
        }
    }

    #[test]
    fn instants_are_shown_as_json_has_them() {
        let show = |text: &str, name: &str| {
            let cell = Cell { class: String::new(), text: Some(text.to_owned()) };
            scalar(&cell, Some(&kind(name))).to_text().unwrap()
        };
        for (text, expected) in [
            ("2026-06-20 14:31:08.0003+00", "2026-06-20T14:31:08.0003+00:00"),
            ("0044-03-15 10:00:00+00 BC", "0044-03-15T10:00:00+00:00 BC"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
        ] {
            assert_eq!(show(text, "timestamp with time zone"), expected);
        }
        assert_eq!(show("2026-06-20 14:31:08", "timestamp(0) without time zone"), "2026-06-20T14:31:08");
        assert_eq!(show("{\"2026-06-20 14:31:08+00\"}", "timestamp with time zone[]"), "{\"2026-06-20 14:31:08+00\"}");
        assert_eq!(show("{1.10}", "numeric(4,2)[]"), "{1.10}");
        assert_eq!((show("t", "boolean"), show("f", "boolean")), ("true".into(), "false".into()));
    }
}
