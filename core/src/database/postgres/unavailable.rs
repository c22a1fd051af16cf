//! Why there is no connection, in our own words. A pool tells only that it gave up, so the address is tried once more by
//! itself; what the server or the driver says is looked at and never passed on: it may hold names, and more.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSslMode};
use sqlx::{ConnectOptions as _, Error as Driver};

use super::PostgresDatabase;
use super::session::{Rows, Session};
use crate::error::{Code, Error, Result};
use crate::guard::Failure;

/// How long to listen for a reason, after the pool has waited its own time.
const LISTEN: Duration = Duration::from_secs(2);

impl PostgresDatabase {
    /// Opens a transaction, or says why not.
    pub(super) async fn opened(&self, mode: &str, more: &str) -> Result<(Session, Rows)> {
        match self.begin(mode, more).await {
            Err(Failure::Lost) => Err(self.unavailable().await),
            begun => begun.map_err(|failure| self.explain(failure)),
        }
    }

    pub(super) async fn unavailable(&self) -> Error {
        Error::new(Code::SourceUnavailable)
            .with("source", &self.source)
            .with("variable", &self.variable)
            .with("reason", self.diagnosis().await)
    }

    /// Tries the address once more, beside the pool.
    pub(super) async fn diagnosis(&self) -> &'static str {
        let options = self.address.options();
        match tokio::time::timeout(LISTEN, options.connect()).await {
            Ok(Ok(_)) => "the connection was lost, or all connections of this process are in use; it answers now",
            Ok(Err(error)) => reason(&error, options.get_ssl_mode()),
            Err(_) => "nothing answers there in time",
        }
    }
}

fn reason(error: &Driver, mode: PgSslMode) -> &'static str {
    match error {
        Driver::Database(error) => {
            let routine = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::routine);
            refusal(error.code().as_deref().unwrap_or_default(), routine.unwrap_or_default(), mode)
        }
        Driver::Tls(_) => {
            "no TLS connection could be made: the server may not offer it, or a certificate that sslrootcert, sslcert or sslkey names cannot be used"
        }
        Driver::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => "nothing listens there: the connection was refused",
            ErrorKind::InvalidData => {
                "the server's certificate is not one that sslmode and sslrootcert accept, or its TLS is not ours"
            }
            ErrorKind::NotFound => "there is no such socket, or no file where sslrootcert, sslcert or sslkey says",
            ErrorKind::PermissionDenied => "this process may not use that socket, or a file of the address",
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "what answers there hangs up at once"
            }
            _ => "the host is not known or cannot be reached",
        },
        Driver::Protocol(_) => "what answers there is not a PostgreSQL server",
        _ => "no connection could be opened",
    }
}

/// By the SQLSTATE of the refused login; 28000 stands for several, which the server's own routine tells apart.
fn refusal(state: &str, routine: &str, mode: PgSslMode) -> &'static str {
    match state {
        "28P01" => "the password is wrong, or there is no such role",
        "28000" if routine == "InitializeSessionUserId" => "there is no such role, or it may not log in",
        "28000" if matches!(mode, PgSslMode::Disable | PgSslMode::Allow) => {
            "the server lets nobody in this way: it may ask for TLS (sslmode=require or stricter), or its pg_hba.conf has no rule for this role, database and host"
        }
        "28000" => "the server lets nobody in this way: its pg_hba.conf has no rule for this role, database and host",
        "3D000" => "there is no such database",
        "42501" => "the role may not connect to this database",
        "53300" => "the server takes no more connections",
        "55000" => "the database takes no connections",
        "57P01" | "57P02" | "57P03" => "the server is starting, stopping or recovering",
        _ => "the server refused the login",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_error_is_told_in_our_words() {
        let told = |error: Driver| reason(&error, PgSslMode::Prefer);
        let io = |kind: ErrorKind| told(Driver::Io(std::io::Error::new(kind, "host=secret.example")));
        for (text, words) in [
            (io(ErrorKind::ConnectionRefused), "nothing listens"),
            (io(ErrorKind::InvalidData), "certificate"),
            (io(ErrorKind::NotFound), "no such socket"),
            (io(ErrorKind::HostUnreachable), "cannot be reached"),
            (io(ErrorKind::UnexpectedEof), "hangs up"),
            (told(Driver::Tls("secret".into())), "TLS"),
            (told(Driver::Protocol("secret".to_owned())), "not a PostgreSQL server"),
            (told(Driver::PoolClosed), "no connection"),
            (refusal("28000", "ClientAuthentication", PgSslMode::Disable), "sslmode=require"),
            (refusal("28000", "ClientAuthentication", PgSslMode::Require), "pg_hba.conf"),
            (refusal("53300", "", PgSslMode::Prefer), "no more connections"),
            (refusal("57P03", "", PgSslMode::Prefer), "starting"),
            (refusal("", "", PgSslMode::Prefer), "refused the login"),
        ] {
            assert!(text.contains(words) && !text.contains("secret"), "{text}");
        }
    }
}
