//! The guard of one request, step by step; `python/signoff/_guard.py` performs the steps.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use signoff::handler::{self, HandlerConfig, HandlerGuard, Reply, Step};

use crate::convert::{self, Headers, When};
use crate::errors::{self, OrRaise as _};

/// An application's handler.
#[pyclass(frozen, module = "signoff._native")]
pub struct Handler(handler::Handler);

#[pymethods]
impl Handler {
    /// Reads a configuration.
    #[new]
    fn new(py: Python<'_>, config: &str) -> PyResult<Self> {
        HandlerConfig::from_json(config).and_then(handler::Handler::new).or_raise(py).map(Self)
    }

    /// What the operator should know.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.warnings().to_vec()
    }

    /// The statements that make the receipts table.
    fn receipts_ddl(&self) -> Vec<String> {
        self.0.receipts_ddl()
    }

    /// Takes a request in.
    fn accept(&self, py: Python<'_>, body: &[u8], headers: Headers<'_>, now: When) -> PyResult<Guard> {
        let now = now.instant(py)?;
        self.0.accept(body, headers.iter(), now).or_raise(py).map(Guard)
    }
}

/// The guard of one request. Each reply answers the next step: a tuple whose first item names it.
#[pyclass(module = "signoff._native")]
pub struct Guard(HandlerGuard);

#[pymethods]
impl Guard {
    /// The job, without its row.
    #[getter]
    fn job<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        convert::job(py, self.0.job())
    }

    /// What went wrong, once it is over.
    #[getter]
    fn fault<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.fault().map(|error| errors::exception(py, error)).transpose()
    }

    /// The digest of what makes this change this one and no other.
    #[getter]
    fn fingerprint(&self) -> String {
        self.0.fingerprint().to_string()
    }

    /// The step that is waited for.
    #[getter]
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        step(py, self.0.step())
    }

    /// It ran.
    #[pyo3(signature = (rows = Vec::new(), changed = 0))]
    fn ran<'py>(
        &mut self,
        py: Python<'py>,
        rows: Vec<Vec<Option<String>>>,
        changed: u64,
    ) -> PyResult<Bound<'py, PyTuple>> {
        step(py, self.0.next(Reply::Ran { rows, changed }))
    }

    /// Anything else, in the form that `Reply::parse` reads.
    fn reply<'py>(&mut self, py: Python<'py>, reply: &str) -> PyResult<Bound<'py, PyTuple>> {
        let reply = Reply::parse(reply).or_raise(py)?;
        step(py, self.0.next(reply))
    }
}

fn step<'py>(py: Python<'py>, step: &Step) -> PyResult<Bound<'py, PyTuple>> {
    let name = |name: &str| PyString::intern(py, name);
    match step {
        Step::Begin { sql, set } => (name("begin"), sql, set.as_deref()).into_pyobject(py),
        Step::Run { sql, params, rows } => (name("run"), sql, PyTuple::new(py, params)?, *rows).into_pyobject(py),
        Step::Effect { row } => {
            let columns = PyDict::new(py);
            for (column, value) in row {
                columns.set_item(column.as_str(), convert::scalar(py, value)?)?;
            }
            (name("effect"), columns).into_pyobject(py)
        }
        Step::Commit => (name("commit"),).into_pyobject(py),
        Step::Rollback => (name("rollback"),).into_pyobject(py),
        Step::Pause { ms } => (name("pause"), *ms).into_pyobject(py),
        Step::Done { response } => (name("done"), convert::response(py, response)?).into_pyobject(py),
        // The crate may learn steps that this binding does not know; they are built together.
        _ => Err(pyo3::exceptions::PyNotImplementedError::new_err("a step of another version")),
    }
}
