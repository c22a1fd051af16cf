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
    let state = database.code();
    Failure::from_sqlstate(state.as_deref().unwrap_or_default(), fatal.then_some("FATAL"))
}

/// A prepared statement that is not there, is somebody else's, or has a plan that no longer fits.
pub(super) fn lost_its_statement(error: &Error) -> bool {
    let Some(error) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return false;
    };
    match error.code() {
        "26000" | "42P05" => true,
        // A code for much else: what a rule or a trigger does not support is no fault of the statement's name.
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happened_to_the_connection_an_answer_may_be_lost() {
        assert_eq!(classify(&Error::PoolTimedOut), Failure::Lost);
    }
}
