//! What an error of a database means to a rule. Every driver asks here, so that no adapter holds a list of its own.

use super::machine::Failure;

impl Failure {
    /// The failure with this SQLSTATE ("PostgreSQL Error Codes", appendix A of its manual). A severity of `FATAL` or
    /// `PANIC` says that the connection went with it.
    ///
    /// ```
    /// use signoff::guard::Failure;
    /// assert_eq!(Failure::from_sqlstate("40001", None), Failure::Serialization);
    /// assert_eq!(Failure::from_sqlstate("23505", Some("ERROR")), Failure::Rejected);
    /// assert_eq!(Failure::from_sqlstate("XX000", Some("FATAL")), Failure::Lost);
    /// ```
    #[must_use]
    pub fn from_sqlstate(state: &str, severity: Option<&str>) -> Self {
        if matches!(severity, Some("FATAL" | "PANIC")) {
            return Self::Lost;
        }
        match state {
            "40001" | "40P01" => Self::Serialization,
            "40002" => Self::Rejected,
            // Completion unknown; the session ended by a timeout of the server's.
            "40003" | "25P03" | "25P04" => Self::Lost,
            "55P03" | "57014" => Self::Busy,
            "42P01" | "3F000" => Self::MissingTable,
            "42703" => Self::MissingColumn,
            "25006" => Self::ReadOnly,
            "42501" => Self::Denied,
            _ => match state.get(..2) {
                Some("08") => Self::Lost,
                Some("57") if state.starts_with("57P0") => Self::Lost,
                // Data, constraint, trigger, check option, and what a constraint says at COMMIT.
                Some("22" | "23" | "27" | "44" | "P0") => Self::Rejected,
                _ => Self::Other,
            },
        }
    }

    /// The failure that this error of sqlx's Postgres driver is; its text stays there.
    #[cfg(any(feature = "axum", feature = "postgres"))]
    pub(crate) fn from_sqlx(error: &sqlx::Error) -> Self {
        use sqlx::Error;
        use sqlx::postgres::{PgDatabaseError, PgSeverity};

        let Error::Database(database) = error else {
            return match error {
                Error::ColumnDecode { .. } | Error::Decode(_) => Self::Unreadable,
                Error::Encode(_) | Error::ColumnNotFound(_) | Error::ColumnIndexOutOfBounds { .. } => Self::Other,
                // Whatever happened to the connection, an answer may have been lost with it.
                _ => Self::Lost,
            };
        };
        let fatal = database
            .try_downcast_ref::<PgDatabaseError>()
            .is_none_or(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic));
        let state = database.code();
        Self::from_sqlstate(state.as_deref().unwrap_or_default(), fatal.then_some("FATAL"))
    }

    /// The failure with this extended result code of SQLite ("Result and Error Codes" in its manual). SQLite has one
    /// code for every mistake in a statement: only its message tells a missing table from a missing column.
    ///
    /// ```
    /// use signoff::guard::Failure;
    /// assert_eq!(Failure::from_sqlite(5, ""), Failure::Busy);
    /// assert_eq!(Failure::from_sqlite(1, "no such table: main.invoices"), Failure::MissingTable);
    /// ```
    #[must_use]
    pub fn from_sqlite(code: i32, message: &str) -> Self {
        const BUSY_SNAPSHOT: i32 = 517;
        match (code, code & 0xff) {
            (BUSY_SNAPSHOT, _) => Self::Serialization,
            (_, 5 | 6) => Self::Busy,
            (_, 8) => Self::ReadOnly,
            // Constraint, type mismatch, too big.
            (_, 18..=20) => Self::Rejected,
            // Permission, authorisation.
            (_, 3 | 23) => Self::Denied,
            // I/O, corrupt, full, cannot open, not a database.
            (_, 10 | 11 | 13 | 14 | 26) => Self::Lost,
            _ if message.starts_with("no such table") => Self::MissingTable,
            _ if message.starts_with("no such column") || message.contains("has no column named") => {
                Self::MissingColumn
            }
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_means_one_thing() {
        for (state, failure) in [
            ("40001", Failure::Serialization),
            ("40P01", Failure::Serialization),
            ("40002", Failure::Rejected),
            ("40003", Failure::Lost),
            ("08006", Failure::Lost),
            ("25P03", Failure::Lost),
            ("57P01", Failure::Lost),
            ("57014", Failure::Busy),
            ("55P03", Failure::Busy),
            ("23505", Failure::Rejected),
            ("22P02", Failure::Rejected),
            ("P0001", Failure::Rejected),
            ("25006", Failure::ReadOnly),
            ("42501", Failure::Denied),
            ("42P01", Failure::MissingTable),
            ("42703", Failure::MissingColumn),
            ("53100", Failure::Other),
            ("", Failure::Other),
            ("é", Failure::Other),
        ] {
            assert_eq!(Failure::from_sqlstate(state, Some("ERROR")), failure, "{state}");
        }
    }

    #[test]
    fn a_result_code_means_one_thing() {
        for (code, message, failure) in [
            (5, "", Failure::Busy),
            (6, "", Failure::Busy),
            (261, "", Failure::Busy),
            (517, "", Failure::Serialization),
            (1_032, "", Failure::ReadOnly),
            (787, "", Failure::Rejected),
            (10, "", Failure::Lost),
            (1, "no such column: x", Failure::MissingColumn),
            (1, "table t has no column named x", Failure::MissingColumn),
            (1, "near \"x\": syntax error", Failure::Other),
            (-1, "", Failure::Other),
        ] {
            assert_eq!(Failure::from_sqlite(code, message), failure, "{code} {message}");
        }
    }

    #[cfg(any(feature = "axum", feature = "postgres"))]
    #[test]
    fn whatever_happened_to_the_connection_an_answer_may_be_lost() {
        assert_eq!(Failure::from_sqlx(&sqlx::Error::PoolTimedOut), Failure::Lost);
    }
}
