//! A session of the facade and the threads it runs on. JSON text goes in and comes out; what it means, the Python half
//! and the crate know.

use std::mem;
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use signoff::ffi::{self, Answer};
use signoff::{Code, Error};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::errors::OrRaise as _;

/// A call hops at most once, so more threads only take memory; blocking work has its own.
const WORKERS: usize = 2;

/// An open session. It owns its runtime, so that nothing of it is left when it is closed, as it is before a fork.
#[pyclass(frozen, module = "signoff._native")]
pub struct Session {
    live: Mutex<Option<Live>>,
    calls: Arc<Calls>,
    closing: watch::Sender<bool>,
    process: u32,
}

struct Live {
    session: Arc<ffi::Session>,
    runtime: Runtime,
}

/// How many calls are under way.
#[derive(Default)]
struct Calls {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One of them, and the session for it.
struct Call {
    session: Arc<ffi::Session>,
    closing: watch::Receiver<bool>,
    // Dropped last: when none is counted, nobody else holds the session.
    _counted: Counted,
}

struct Counted(Arc<Calls>);

impl Calls {
    fn begin(self: &Arc<Self>) -> Counted {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Counted(Arc::clone(self))
    }

    /// Waits until there is none; `false` if there still is one then.
    fn ended_within(&self, limit: Duration) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.fewer.wait_timeout_while(count, limit, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        self.0.fewer.notify_all();
    }
}

impl Call {
    /// The answer; none if it only waits for something to happen, and the session is closed meanwhile.
    async fn answer(mut self, request: &str, waits: bool) -> Option<String> {
        let answer = self.session.call_json(request);
        if !waits {
            return Some(answer.await);
        }
        tokio::select! {
            answer = answer => Some(answer),
            _ = self.closing.wait_for(|closing| *closing) => None,
        }
    }
}

#[pymethods]
impl Session {
    /// Opens one from the JSON of an `Open`. Blocks.
    #[staticmethod]
    fn open(py: Python<'_>, open: &str) -> PyResult<Self> {
        let live = py.detach(|| {
            let session = Arc::new(ffi::open_json(open)?);
            let runtime = Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .thread_name("signoff")
                .enable_all()
                .build()
                .map_err(|error| Error::new(Code::Internal).with("detail", error.kind()))?;
            Ok(Live { session, runtime })
        });
        let live = Mutex::new(Some(live.or_raise(py)?));
        Ok(Self { live, calls: Arc::default(), closing: watch::Sender::new(false), process: process::id() })
    }

    /// Answers a request, on this thread. None if the session is closed.
    #[pyo3(signature = (request, waits = false))]
    fn call(&self, py: Python<'_>, request: &str, waits: bool) -> Option<String> {
        py.detach(|| {
            let (runtime, call) = {
                let live = self.live();
                let live = live.as_ref()?;
                (live.runtime.handle().clone(), self.begin(live))
            };
            runtime.block_on(call.answer(request, waits))
        })
    }

    /// Answers a request on another thread, and calls back there with the text, or with None as `call` does. `False`
    /// if the session is closed, and nothing will come.
    #[pyo3(signature = (request, callback, waits = false))]
    fn submit(&self, py: Python<'_>, request: String, callback: Py<PyAny>, waits: bool) -> bool {
        py.detach(|| {
            let live = self.live();
            let Some(live) = live.as_ref() else { return false };
            let call = self.begin(live);
            live.runtime.spawn(async move {
                // In a task of its own, so that even a defect of ours is answered.
                let answered = tokio::spawn(async move { call.answer(&request, waits).await }).await;
                let answer = answered.unwrap_or_else(|_| Some(Answer::Failure(Error::new(Code::Internal)).to_json()));
                // Without an interpreter nobody waits; what the callback raises, it has reported.
                let _ = Python::try_attach(|py| callback.call1(py, (answer,)).map(drop));
            });
            true
        })
    }

    /// Takes no more calls, waits for those under way and lets go of everything. `False`, and it is as it was, if one is
    /// still under way when the time is over.
    fn close(&self, py: Python<'_>, within_seconds: f64) -> bool {
        let limit = Duration::try_from_secs_f64(within_seconds).unwrap_or(Duration::MAX);
        py.detach(|| {
            let Some(live) = self.live().take() else { return true };
            self.closing.send_replace(true);
            if !self.calls.ended_within(limit) {
                self.closing.send_replace(false);
                *self.live() = Some(live);
                return false;
            }
            drop(live.session);
            live.runtime.shutdown_timeout(Duration::from_secs(1));
            true
        })
    }
}

impl Session {
    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, live: &Live) -> Call {
        let counted = self.calls.begin();
        Call { session: Arc::clone(&live.session), closing: self.closing.subscribe(), _counted: counted }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let live = self.live.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.process != process::id() {
            // Its threads stayed in the parent, and one of them may have held any lock.
            mem::forget(live);
        } else if let Some(live) = live {
            live.runtime.shutdown_background();
        }
    }
}
