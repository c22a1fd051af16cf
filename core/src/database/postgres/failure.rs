//! What an error of the driver or the server means to a rule. Its text stays here.

use sqlx::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::guard::Failure;

pub(super) fn classify(error: &Error) -> Failure {
    let Error::Database(database) = error else {
        return match error {
            Error::ColumnDecode { .. } | Error::Decode(_) => Failure::Unreadable,
            Error::Encode(_) | Error::ColumnNotFound(_) | Error::ColumnIndexOutOfBounds { .. } => Failure::Other,
            // Whatever happened to the connection, an answer may have been lost with it.
            _ => Failure::Lost,
        };
    };
    let fatal = database
        .try_downcast_ref::<PgDatabaseError>()
        .is_none_or(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic));
    if fatal { Failure::Lost } else { from_state(database.code().as_deref().unwrap_or_default()) }
}

/// A prepared statement that is not there, is somebody else's, or has a plan that no longer fits.
pub(super) fn lost_its_statement(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("26000" | "42P05" | "0A000"))
}

/// By the SQLSTATE of an error after which the connection still stands.
fn from_state(state: &str) -> Failure {
    match state {
        "40001" | "40P01" => Failure::Serialization,
        "40003" => Failure::Lost,
        "55P03" | "57014" => Failure::Busy,
        "42P01" | "3F000" => Failure::MissingTable,
        "42703" => Failure::MissingColumn,
        "25006" => Failure::ReadOnly,
        "42501" => Failure::Denied,
        _ => match state.get(..2) {
            Some("08") => Failure::Lost,
            Some("57") if state.starts_with("57P0") => Failure::Lost,
            // Data, constraint, trigger, check option, and what a constraint says at COMMIT.
            Some("22" | "23" | "27" | "44" | "P0") => Failure::Rejected,
            _ if state == "40002" => Failure::Rejected,
            _ => Failure::Other,
        },
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
        ] {
            assert_eq!(from_state(state), failure, "{state}");
        }
        assert_eq!(classify(&Error::PoolTimedOut), Failure::Lost);
    }
}
