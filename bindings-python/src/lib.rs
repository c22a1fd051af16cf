//! The native half of the Python package `signoff`: it turns arguments, results and errors of the crate into Python's,
//! and decides nothing. What authors see is in `python/signoff`.

mod convert;
mod errors;
mod guard;
mod session;

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use signoff::ffi::{self, ConfigSource};
use signoff::guard::{Dialect, ReceiptTable};
use signoff::handler::{self, MAX_BODY, Policy, SigningSecrets};
use signoff::primitives::Secret;
use signoff::{Code, Error};

use convert::{Headers, When};
use errors::OrRaise as _;

/// Verifies a request; answers the fields of its job.
#[pyfunction]
fn verify<'py>(
    py: Python<'py>,
    body: &[u8],
    headers: Headers<'py>,
    secrets: Vec<String>,
    now: When,
    policy: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let secrets = SigningSecrets::new(secrets.into_iter().map(Secret::new)).or_raise(py)?;
    let policy = match policy {
        "strict" => Policy::Strict,
        "compat" => Policy::Compat,
        _ => return Err(usage(py, "policy is not `strict` or `compat`", "leave it out for `strict`")),
    };
    let job = handler::verify(body, headers.iter(), &secrets, now.instant(py)?, policy).or_raise(py)?;
    convert::job(py, &job)
}

/// Signs a request; answers its headers.
#[pyfunction]
fn sign<'py>(py: Python<'py>, body: &[u8], secrets: Vec<String>, key: &str, now: When) -> PyResult<Bound<'py, PyDict>> {
    let secrets = SigningSecrets::new(secrets.into_iter().map(Secret::new)).or_raise(py)?;
    let headers = PyDict::new(py);
    for (name, value) in handler::sign(body, &secrets, key, now.instant(py)?).or_raise(py)? {
        headers.set_item(name, value)?;
    }
    Ok(headers)
}

/// The statements that make the receipts table.
#[pyfunction]
fn receipts_ddl(py: Python<'_>, dialect: &str, table: Option<&str>) -> PyResult<Vec<String>> {
    let dialect = match dialect {
        "postgres" => Dialect::Postgres,
        "sqlite" => Dialect::Sqlite,
        _ => return Err(usage(py, "dialect is not `postgres` or `sqlite`", "it is the SQL of your database")),
    };
    let table = ReceiptTable::of_handlers(dialect, table).or_raise(py)?;
    Ok(dialect.receipts_ddl(&table))
}

/// The catalogue of codes: code, HTTP status, retryable, message template.
#[pyfunction]
fn catalogue() -> Vec<(&'static str, u16, bool, &'static str)> {
    signoff::error::CATALOGUE.iter().map(|(_, info)| (info.code, info.http, info.retryable, info.message)).collect()
}

/// The answer to `GET /healthz`.
#[pyfunction]
fn health(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    convert::response(py, &handler::Response::health())
}

/// The answer to a method that carries no request.
#[pyfunction]
fn method_not_allowed(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    convert::response(py, &handler::Response::method_not_allowed())
}

/// The error of a configuration that only this language can see to be wrong.
#[pyfunction]
fn invalid<'py>(py: Python<'py>, at: &str, problem: &str) -> PyResult<Bound<'py, PyAny>> {
    errors::exception(py, &Error::new(Code::HandlerConfigInvalid).with("at", at).with("problem", problem))
}

/// What is to be said of a contract: the JSON of an answer.
#[pyfunction]
fn check_contract(py: Python<'_>, path: Option<String>, text: Option<String>) -> PyResult<String> {
    let source = match (path, text) {
        (Some(path), None) => ConfigSource::Path(path),
        (None, Some(text)) => ConfigSource::Text(text),
        _ => return Err(usage(py, "a contract is a path or a text", "give one of them")),
    };
    Ok(py.detach(|| ffi::check_contract(&source).to_json()))
}

/// A review of the tools in a text: the JSON of an answer.
#[pyfunction]
fn audit(py: Python<'_>, text: &str, target: &str) -> String {
    py.detach(|| ffi::audit_tools(text, target).to_json())
}

/// The error of a call that only this language can see to be wrong.
#[pyfunction]
fn misuse<'py>(py: Python<'py>, problem: &str, hint: &str) -> PyResult<Bound<'py, PyAny>> {
    errors::exception(py, &Error::new(Code::Usage).with("problem", problem).with("hint", hint))
}

/// What a server answers with this error.
#[pyfunction]
fn error_response<'py>(py: Python<'py>, code: &str, context: BTreeMap<String, String>) -> PyResult<Bound<'py, PyAny>> {
    let error = Error::retold(Code::parse(code).unwrap_or(Code::Internal), &context);
    convert::response(py, &handler::Response::error(&error))
}

fn usage(py: Python<'_>, problem: &str, hint: &str) -> PyErr {
    errors::raise(py, &Error::new(Code::Usage).with("problem", problem).with("hint", hint))
}

/// Many small strings, made and dropped in one call: a fifth less time in `verify` than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MAX_BODY", MAX_BODY)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<guard::Handler>()?;
    module.add_class::<guard::Guard>()?;
    module.add_class::<session::Session>()?;
    module.add_function(wrap_pyfunction!(audit, module)?)?;
    module.add_function(wrap_pyfunction!(check_contract, module)?)?;
    module.add_function(wrap_pyfunction!(error_response, module)?)?;
    module.add_function(wrap_pyfunction!(misuse, module)?)?;
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(sign, module)?)?;
    module.add_function(wrap_pyfunction!(receipts_ddl, module)?)?;
    module.add_function(wrap_pyfunction!(catalogue, module)?)?;
    module.add_function(wrap_pyfunction!(invalid, module)?)?;
    module.add_function(wrap_pyfunction!(health, module)?)?;
    module.add_function(wrap_pyfunction!(method_not_allowed, module)?)?;
    Ok(())
}
