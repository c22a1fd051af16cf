//! Group commit: what several callers of this process want to write at the same time goes into one transaction, so that
//! they wait for the disk once. Each has a savepoint of its own, and nobody is answered before COMMIT.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::schema::check_schema;
use super::{Failed, Store};
use crate::error::{Code, Error, Result};
use crate::fault_point;

/// Writes that share a commit at most: the file's one write lock is held as long.
pub(super) const AT_MOST: usize = 64;

/// A write that waits for its turn, and then for COMMIT.
pub(super) trait Write: Send {
    /// Writes inside the open transaction. `false` if what it wrote has to be undone.
    fn work(&mut self, store: &Store) -> bool;

    /// Answers the caller: what the work came to, or why nothing of it was kept.
    fn answer(self: Box<Self>, kept: Result<()>);
}

/// A write and who waits for it.
pub(super) struct Pending<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Pending<T, F> {
    pub(super) fn new(work: F, answer: oneshot::Sender<Result<T>>) -> Self {
        Self { work: Some(work), result: None, answer }
    }
}

impl<T: Send, F: FnOnce(&Store) -> Result<T> + Send> Write for Pending<T, F> {
    fn work(&mut self, store: &Store) -> bool {
        self.result = self.work.take().map(|work| work(store));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, kept: Result<()>) {
        let Self { result, answer, .. } = *self;
        let undone = || Err(Error::new(Code::Internal).with("detail", "a write of the ledger was not run"));
        // The caller may be gone; what was done stays done.
        let _ = answer.send(kept.and_then(|()| result.unwrap_or_else(undone)));
    }
}

/// Runs all of them and commits once. Each is kept or undone alone; if the commit fails, all are undone.
pub(super) fn commit(store: &Store, mut writes: Vec<Box<dyn Write>>) {
    let kept = match writes.as_mut_slice() {
        [] => return,
        [one] => transaction(store, |_| Ok(one.work(store))),
        several => transaction(store, |connection| {
            several.iter_mut().try_for_each(|write| apart(connection, || write.work(store))).map(|()| true)
        }),
    };
    for write in writes {
        write.answer(kept.clone());
    }
}

/// Runs one of several in a savepoint.
fn apart(connection: &Connection, work: impl FnOnce() -> bool) -> Result<()> {
    run(connection, "SAVEPOINT write")?;
    if !work() {
        // A full disk and the like end the whole transaction: then this fails, and nobody is told that it was kept.
        run(connection, "ROLLBACK TO write")?;
    }
    run(connection, "RELEASE write")
}

/// Runs `work` in a transaction that takes the write lock first, so that nothing read in it can be stale. `Ok(false)`
/// undoes it.
pub(super) fn transaction(store: &Store, work: impl FnOnce(&Connection) -> Result<bool>) -> Result<()> {
    let connection = &store.connection;
    fault_point!("fault:ledger.begin");
    run(connection, "BEGIN IMMEDIATE")?;
    let result = same_schema(store).and_then(|()| work(connection)).and_then(|keep| {
        if !keep {
            return Ok(());
        }
        fault_point!("fault:ledger.commit");
        run(connection, "COMMIT")?;
        fault_point!("fault:ledger.committed");
        Ok(())
    });
    if !connection.is_autocommit() {
        // If even this fails the connection is broken, and closing it rolls back.
        let _ = run(connection, "ROLLBACK");
    }
    result
}

/// Nobody changed the schema since it was found to be ours.
fn same_schema(store: &Store) -> Result<()> {
    let version: i64 = store
        .connection
        .prepare_cached("PRAGMA schema_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .failed()?;
    if version == store.schema_version { Ok(()) } else { check_schema(&store.connection).map(|_| ()) }
}

/// Runs a statement without rows, prepared once.
pub(super) fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).failed().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::MacKey;

    fn store() -> Store {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON; CREATE TABLE parents (n INTEGER PRIMARY KEY);
                 CREATE TABLE t (n INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
            )
            .unwrap();
        let schema_version = connection.pragma_query_value(None, "schema_version", |row| row.get(0)).unwrap();
        Store { connection, key: MacKey::new([7; 32]), path: std::path::PathBuf::new(), schema_version }
    }

    /// Writes these rows together; `n` fails after its INSERT if it is odd. What each caller was told.
    fn together(store: &Store, rows: &[(i64, Option<i64>)]) -> Vec<Result<i64>> {
        let (mut writes, mut waits) = (Vec::<Box<dyn Write>>::new(), Vec::new());
        for &(n, parent) in rows {
            let (answer, wait) = oneshot::channel();
            let work = move |store: &Store| {
                store.connection.execute("INSERT INTO t VALUES (?1, ?2)", (n, parent)).failed()?;
                if n % 2 == 1 { Err(Error::new(Code::RowBusy)) } else { Ok(n) }
            };
            writes.push(Box::new(Pending::new(work, answer)));
            waits.push(wait);
        }
        commit(store, writes);
        waits.into_iter().map(|mut wait| wait.try_recv().unwrap()).collect()
    }

    fn kept(store: &Store) -> Vec<i64> {
        let mut statement = store.connection.prepare("SELECT n FROM t ORDER BY n").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(std::result::Result::unwrap).collect()
    }

    #[test]
    fn each_is_undone_alone() {
        let store = store();
        let told = together(&store, &[(2, None), (3, None), (4, None), (5, None)]);
        let codes: Vec<_> = told.into_iter().map(|told| told.map_err(|error| error.code())).collect();
        assert_eq!(codes, [Ok(2), Err(Code::RowBusy), Ok(4), Err(Code::RowBusy)]);
        assert_eq!(kept(&store), [2, 4]);
        assert_eq!(together(&store, &[(7, None)]).pop().unwrap().unwrap_err().code(), Code::RowBusy);
        assert_eq!(kept(&store), [2, 4]);
    }

    #[test]
    fn nobody_is_told_what_a_failed_commit_undid() {
        let store = store();
        // A deferred constraint fails at COMMIT, as a full disk would.
        let told = together(&store, &[(2, None), (3, None), (4, Some(99))]);
        assert!(told.iter().all(|told| told.as_ref().is_err_and(|error| error.code() != Code::RowBusy)), "{told:?}");
        assert!(kept(&store).is_empty() && store.connection.is_autocommit());
        assert!(together(&store, &[(4, Some(99))]).pop().unwrap().is_err());
        assert_eq!(together(&store, &[(4, None)]).pop().unwrap().unwrap(), 4);
    }

    #[test]
    fn a_transaction_that_ended_early_keeps_nothing() {
        let store = store();
        let (mut writes, mut waits) = (Vec::<Box<dyn Write>>::new(), Vec::new());
        for ends in [false, true, false] {
            let (answer, wait) = oneshot::channel();
            let work = move |store: &Store| {
                store.connection.execute("INSERT INTO t (parent) VALUES (NULL)", []).failed()?;
                // What SQLite does by itself when the disk is full.
                if ends { store.connection.execute_batch("ROLLBACK").failed() } else { Ok(()) }
            };
            writes.push(Box::new(Pending::new(work, answer)));
            waits.push(wait);
        }
        commit(&store, writes);
        assert!(waits.into_iter().all(|mut wait| wait.try_recv().unwrap().is_err()));
        assert!(kept(&store).is_empty());
    }
}
