//! One bounded pool for each address, shared by the whole process: a runtime asks for its database anew at every call.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection as _};

use crate::guard::Failure;
use crate::primitives::{Digest, IdSource as _, SystemIds};

/// Connections of one pool at most. A guard holds one from BEGIN to COMMIT.
pub(super) const CONNECTIONS: u32 = 16;
/// How long to wait for one, the time to open it included.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How old a connection may get: what a server keeps for it grows, and a failover moves addresses.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Pools kept at most; beyond that all are let go, and those in use end with their last user.
const POOLS: usize = 32;

/// The parameters an address may have. The driver would ignore any other, and with it what it was to make safe.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

const NO_VERIFY: &str = "sslmode=no-verify";

/// Does the address ask for encryption without a look at the server's certificate?
pub(super) fn unverified(address: &str) -> bool {
    address.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair == NO_VERIFY))
}

/// A connection lives on the runtime that opened it, so a pool belongs to one.
type Key = (tokio::runtime::Id, Digest);

static CACHE: LazyLock<Mutex<HashMap<Key, Pool>>> = LazyLock::new(Mutex::default);

/// Where a database is, and as whom.
#[derive(Clone)]
pub(super) struct Address {
    options: PgConnectOptions,
    /// False where the operator said `statement-cache-capacity=0`.
    names: bool,
    digest: Digest,
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address(..)")
    }
}

impl Address {
    /// Reads `postgres://` and `postgresql://`.
    pub(super) fn parse(address: &str) -> Option<Self> {
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| address.strip_prefix(scheme))?;
        if address.contains('\0') || rest.contains('#') {
            return None;
        }
        let known = |pair: &str| {
            let name = pair.split('=').next().unwrap_or_default();
            PARAMETERS.contains(&name) || name.starts_with("options[")
        };
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        if !query.split('&').filter(|pair| !pair.is_empty()).all(known) {
            return None;
        }
        // node-postgres' word for what libpq calls `require`: encrypted, whoever answers.
        let unverified = unverified(address);
        let spoken: String = match address.split_once('?') {
            Some((place, query)) if unverified => {
                let word = |pair: &str| if pair == NO_VERIFY { "sslmode=require" } else { pair }.to_owned();
                format!("{place}?{}", query.split('&').map(word).collect::<Vec<_>>().join("&"))
            }
            _ => address.to_owned(),
        };
        // A pooler refuses a session over a setting that it does not know. Each transaction of ours makes this one itself.
        let options = PgConnectOptions::from_str(&spoken).ok()?.disable_statement_logging().extra_float_digits(None);
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("signoff"),
        };
        let names = !query.split('&').any(|pair| pair == "statement-cache-capacity=0");
        Some(Self { options, names, digest: Digest::of(address.as_bytes()) })
    }

    /// Tells addresses apart.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// What a connection is opened with.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// The pool of this address on the present runtime.
    pub(super) fn pool(&self) -> Result<Pool, Failure> {
        let key = (tokio::runtime::Handle::current().id(), self.digest);
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= POOLS && !cache.contains_key(&key) {
            cache.clear();
        }
        if let Some(pool) = cache.get(&key) {
            return Ok(pool.clone());
        }
        let pool = self.open()?;
        cache.insert(key, pool.clone());
        Ok(pool)
    }

    fn open(&self) -> Result<Pool, Failure> {
        let named = Arc::new(AtomicBool::new(self.names));
        let pool = Pool::builder(Manager { options: self.options.clone(), named })
            .max_size(CONNECTIONS as usize)
            .wait_timeout(Some(ACQUIRE))
            .create_timeout(Some(ACQUIRE))
            .runtime(Runtime::Tokio1)
            .build();
        // Timeouts need a runtime; it has one.
        pool.map_err(|_| Failure::Other)
    }
}

/// What the pool hands out.
pub(super) type Pool = managed::Pool<Manager>;

/// Opens connections. A dead one is not looked for here, at the cost of a round trip each time: it shows at BEGIN.
#[derive(Debug)]
pub(super) struct Manager {
    options: PgConnectOptions,
    named: Arc<AtomicBool>,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<Connection> {
        Ok(Connection {
            inner: PgConnection::connect_with(&self.options).await?,
            tag: format!("/* {} */ ", SystemIds.uuid()),
            named: Arc::clone(&self.named),
        })
    }

    async fn recycle(&self, _: &mut Connection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() < LIFETIME { Ok(()) } else { Err(RecycleError::message("it is old")) }
    }
}

/// A connection to a server, or to a pooler in front of one.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) inner: PgConnection,
    /// What the statements begin with that this connection prepared.
    pub(super) tag: String,
    named: Arc<AtomicBool>,
}

impl Connection {
    /// May statements be prepared under a name?
    pub(super) fn named(&self) -> bool {
        self.named.load(Ordering::Relaxed)
    }

    /// Names are not safe here: there is a pooler between.
    pub(super) fn forget_names(&self) {
        self.named.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_whole_or_not_at_all() {
        for good in [
            "postgres://u:p@h/db",
            "postgresql://h",
            "postgres://u@h:5433/db?sslmode=verify-full&sslrootcert=/ca.pem",
            "postgres:///db?host=/run/postgresql&user=u",
            "postgres://h/db?sslmode=no-verify",
        ] {
            assert!(Address::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "mysql://h/db",
            "h/db",
            "postgres://h/db?sslmode=nonsense",
            "postgres://h/db?sslmod=require",
            "postgres://h/db?SSLMODE=require",
            "postgres://h:99999/db",
            "postgres://h/db#x",
            "postgres://h/d\0b",
        ] {
            assert!(Address::parse(bad).is_none(), "{bad}");
        }
        let mode = |address: &str| format!("{:?}", Address::parse(address).unwrap().options.get_ssl_mode());
        assert_eq!(mode("postgres://h/db?port=5&sslmode=no-verify"), "Require");
        assert_eq!(mode("postgres://h/db?sslmode=verify-full"), "VerifyFull");
        assert!(unverified("postgres://h/db?port=5&sslmode=no-verify"));
        assert!(!unverified("postgres://h/sslmode=no-verify") && !unverified("postgres://h/db?sslmode=require"));
        let address = Address::parse("postgres://u:hunter2@h/db").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
    }
}
