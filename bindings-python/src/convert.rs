//! Values in and out.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use serde_json::Value;
use signoff::handler::{Job, Response};
use signoff::primitives::{Identifier, Instant, Scalar};
use signoff::protocol::{ColumnValue, Columns};
use std::time::{Duration, SystemTime};

use crate::errors::OrRaise as _;

/// A point in time: RFC 3339 text, or nanoseconds since 1970.
#[derive(FromPyObject)]
pub enum When {
    /// Nanoseconds.
    Nanoseconds(u64),
    /// RFC 3339.
    Text(String),
}

impl When {
    pub fn instant(&self, py: Python<'_>) -> PyResult<Instant> {
        match self {
            Self::Text(text) => Instant::parse(text).or_raise(py),
            // Microseconds, as the crate's own clock tells the time.
            Self::Nanoseconds(count) => {
                Ok(Instant::from(SystemTime::UNIX_EPOCH + Duration::from_nanos(*count)).to_microseconds())
            }
        }
    }
}

/// Header lines as names and values, in any of the shapes that frameworks have.
pub struct Headers<'py>(Vec<(Line<'py>, Line<'py>)>);

enum Line<'py> {
    Text(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
}

impl AsRef<[u8]> for Line<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            // A lone surrogate has no bytes; 0xFF stands in no header that is accepted.
            Self::Text(text) => text.to_str().map_or(b"\xff", str::as_bytes),
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Line<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self::Text(text.to_owned()));
        }
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes.to_owned())),
            Err(_) => Err(PyTypeError::new_err("names and values of headers are str or bytes")),
        }
    }
}

impl<'py> Headers<'py> {
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

impl<'py> FromPyObject<'_, 'py> for Headers<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        if let Ok(dict) = object.cast_exact::<PyDict>() {
            return dict
                .iter()
                .map(|(name, value)| Ok((name.extract()?, value.extract()?)))
                .collect::<PyResult<_>>()
                .map(Self);
        }
        // Starlette and httpx keep the lines as they came under `raw`; in other mappings `items` has every line.
        let lines = if let Some(raw) = object.getattr_opt(intern!(py, "raw"))? {
            raw
        } else if let Some(items) = object.getattr_opt(intern!(py, "items"))? {
            items.call0()?
        } else {
            object.to_owned()
        };
        lines
            .try_iter()?
            .map(|line| {
                let line = line?;
                let pair: (Line<'py>, Line<'py>) = line.extract()?;
                Ok(pair)
            })
            .collect::<PyResult<_>>()
            .map(Self)
    }
}

/// A class of the Python half.
macro_rules! class {
    ($py:expr, $module:literal, $name:literal) => {{
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import($py, $module, $name)
    }};
}

/// An HTTP answer.
pub fn response<'py>(py: Python<'py>, response: &Response) -> PyResult<Bound<'py, PyAny>> {
    let headers = PyTuple::new(py, response.headers.iter().map(|(name, value)| (*name, value.as_str())))?;
    let class = class!(py, "signoff._errors", "Response")?;
    class.call1((response.status, headers, PyBytes::new(py, response.body.as_bytes())))
}

/// Exact: integers of any size as `int`, decimals as `Decimal`.
pub fn scalar<'py>(py: Python<'py>, value: &Scalar) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Scalar::Null => py.None().into_bound(py),
        Scalar::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Scalar::Int(value) => PyInt::new(py, *value).into_any(),
        Scalar::UInt(value) => PyInt::new(py, *value).into_any(),
        Scalar::Text(text) => PyString::new(py, text).into_any(),
        Scalar::Decimal(text) => class!(py, "decimal", "Decimal")?.call1((text,))?,
        // None exists today; its text is exact, too.
        other => other.to_text().into_pyobject(py)?,
    })
}

pub fn columns<'py>(py: Python<'py>, columns: &Columns) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (column, value) in columns {
        dict.set_item(column.as_str(), scalar(py, value)?)?;
    }
    Ok(dict)
}

fn column_value<'py>(py: Python<'py>, value: &ColumnValue) -> PyResult<Bound<'py, PyAny>> {
    let class = class!(py, "signoff._job", "ColumnValue")?;
    named_tuple(py, class, (value.column.as_str(), scalar(py, &value.value)?))
}

/// A named tuple, past its `__new__`, which is Python code.
fn named_tuple<'py>(
    py: Python<'py>,
    class: &Bound<'py, PyType>,
    items: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<PyTuple>().call_method1(intern!(py, "__new__"), (class, items.into_pyobject(py)?))
}

fn document<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => PyInt::new(py, number).into_any(),
            (None, Some(number)) => PyInt::new(py, number).into_any(),
            (None, None) => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::Array(items) => {
            let list = PyList::empty(py);
            items.iter().try_for_each(|item| list.append(document(py, item)?))?;
            list.into_any()
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            members.iter().try_for_each(|(key, value)| dict.set_item(key, document(py, value)?))?;
            dict.into_any()
        }
    })
}

/// `signoff.Job`, without a row.
pub fn job<'py>(py: Python<'py>, job: &Job) -> PyResult<Bound<'py, PyAny>> {
    let optional = |value: &Option<Value>| match value {
        Some(value) => document(py, value),
        None => Ok(py.None().into_bound(py)),
    };
    let names = |names: &Vec<Identifier>| PyTuple::new(py, names.iter().map(Identifier::as_str));
    let schema = job.target.schema.as_ref().map(Identifier::as_str);
    let key = column_value(py, &job.target.primary_key)?;
    let target = named_tuple(py, class!(py, "signoff._job", "Target")?, (schema, job.target.table.as_str(), key))?;
    let class = class!(py, "signoff._job", "Job")?;
    // A dictionary that has grown to its size already.
    static FIELDS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let fields = FIELDS.get_or_try_init(py, || -> PyResult<_> {
        let names = class.getattr("__dataclass_fields__")?;
        Ok(py.get_type::<PyDict>().call_method1("fromkeys", (names,))?.cast_into::<PyDict>()?.unbind())
    })?;
    let fields = fields.bind(py).copy()?;
    let set = |name: &Bound<'py, PyString>, value: Bound<'py, PyAny>| fields.set_item(name, value);
    macro_rules! fields {
        ($($name:literal: $value:expr),* $(,)?) => {
            $(set(intern!(py, $name), $value.into_pyobject(py)?.into_any())?;)*
        };
    }
    fields! {
        "job_id": job.job_id.as_str(),
        "proposal_id": job.proposal_id.as_str(),
        "proposal_version": job.proposal_version,
        "proposal_hash": job.proposal_hash.as_str(),
        "idempotency_key": job.idempotency_key.as_str(),
        "action": job.action.as_str(),
        "tenant_id": job.tenant_id.as_str(),
        "tenant_column": job.tenant_column.as_str(),
        "object_id": job.object_id.as_str(),
        "target": target,
        "expected_version": column_value(py, &job.expected_version)?,
        "allowed_columns": job.allowed_columns.as_ref().map(names).transpose()?,
        "patch": columns(py, &job.patch)?,
        "before": columns(py, &job.before)?,
        "principal": job.principal.as_deref(),
        "approval": optional(&job.approval)?,
        "evidence": optional(&job.evidence)?,
        "audience": job.audience.as_deref(),
        "issued_at": job.issued_at.map(|instant| instant.to_string()),
        "row": PyDict::new(py),
    }
    fields.set_item(intern!(py, "dry_run"), job.dry_run)?;
    // Past the frozen assignments of its `__init__`, which cost more than all the rest.
    let object = py.get_type::<PyAny>();
    let job = object.call_method1(intern!(py, "__new__"), (class,))?;
    object.call_method1(intern!(py, "__setattr__"), (&job, intern!(py, "__dict__"), fields))?;
    Ok(job)
}
