//! One error of the crate as one exception of Python: `signoff.SignoffError`, with the answer that a server sends.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use signoff::handler::Response;

use crate::convert;

/// The exception. It is a class of the Python half, so that it pickles and has real attributes.
pub fn raise(py: Python<'_>, error: &signoff::Error) -> PyErr {
    exception(py, error).map_or_else(|failed| failed, PyErr::from_value)
}

/// The same, not raised.
pub fn exception<'py>(py: Python<'py>, error: &signoff::Error) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "signoff._errors", "SignoffError")?;
    let context = PyDict::new(py);
    for (field, value) in error.context() {
        context.set_item(field, value)?;
    }
    let response = convert::response(py, &Response::error(error))?;
    class.call1((error.code().as_str(), error.message(), error.help(), error.retryable(), context, response))
}

/// `?` for results of the crate.
pub trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for signoff::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}
