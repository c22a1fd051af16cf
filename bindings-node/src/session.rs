//! Sessions of the runtime. JSON crosses: the text of a request in, a promise of the text of an answer out. What a call does is
//! `signoff::ffi`'s; here is only on whose thread.
//!
//! Nothing runs on the thread of the event loop: calls run on a runtime of our own, which lives as long as the process and
//! keeps it no more alive than an answer that is waited for does. A promise is never rejected: what went wrong is the answer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

use napi::bindgen_prelude::{Either, Env, Object, ToNapiValue};
use napi_derive::napi;
use signoff::Code;
use signoff::ffi::{self, Answer, ConfigSource};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// The threads that calls run on, of every thread of JavaScript.
fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let build = || {
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8));
        Builder::new_multi_thread().worker_threads(threads).thread_name("signoff").enable_all().build().ok()
    };
    RUNTIME.get_or_init(build).as_ref()
}

fn failure(error: signoff::Error) -> String {
    Answer::Failure(error).to_json()
}

/// An answer where there is none: a call panicked, or there are no threads to run it on.
fn broken() -> String {
    failure(signoff::Error::new(Code::Internal).with("detail", "in the native half"))
}

fn closed() -> String {
    let error = signoff::Error::new(Code::Usage).with("problem", "this session is closed").with("hint", "open another");
    failure(error)
}

/// A promise of what `work` comes to. If it panics, that is `or_else`.
fn promise<T>(
    env: &Env,
    work: impl Future<Output = T> + Send + 'static,
    or_else: impl FnOnce() -> T + Send + 'static,
) -> napi::Result<Object<'_>>
where
    T: ToNapiValue + Send + 'static,
{
    let (deferred, promise) = env.create_deferred()?;
    let settle = move |ended: T| deferred.resolve(move |_| Ok(ended));
    match runtime() {
        // One task, not one to watch another: each is a thread to be woken.
        Some(runtime) => drop(runtime.spawn(async move { settle(caught(work).await.unwrap_or_else(or_else)) })),
        None => settle(or_else()),
    }
    Ok(promise)
}

/// What a future comes to, unless it panics.
async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Where files are read.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// An open session.
#[napi]
pub struct Session {
    open: Mutex<Option<Arc<ffi::Session>>>,
    interrupted: watch::Sender<bool>,
}

/// Opens a session from the JSON of an `Open`: it, or the JSON of an answer that says why not.
#[napi(catch_unwind, ts_return_type = "Promise<Session | string>")]
pub fn open_session(env: &Env, open: String) -> napi::Result<Object<'_>> {
    let work = async move {
        match blocking(move || ffi::open_json(&open)).await {
            Some(Ok(session)) => {
                Either::A(Session { open: Mutex::new(Some(Arc::new(session))), interrupted: watch::Sender::new(false) })
            }
            Some(Err(error)) => Either::B(failure(error)),
            None => Either::B(broken()),
        }
    };
    promise(env, work, || Either::B(broken()))
}

#[napi]
impl Session {
    /// Does what the JSON of a request says.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn call<'env>(&self, env: &'env Env, request: String) -> napi::Result<Object<'env>> {
        let session = self.current();
        let work = async move {
            match session {
                Some(session) => session.call_json(&request).await,
                None => closed(),
            }
        };
        promise(env, work, broken)
    }

    /// The same for a request that only waits; [`Session::interrupt`] ends it.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn wait<'env>(&self, env: &'env Env, request: String) -> napi::Result<Object<'env>> {
        let session = self.current();
        let mut interrupted = self.interrupted.subscribe();
        let work = async move {
            let Some(session) = session else { return closed() };
            tokio::select! {
                biased;
                _ = interrupted.wait_for(|now| *now) => closed(),
                answer = session.call_json(&request) => answer,
            }
        };
        promise(env, work, broken)
    }

    /// Ends what waits, now and from now on.
    #[napi(catch_unwind)]
    pub fn interrupt(&self) {
        self.interrupted.send_replace(true);
    }

    /// Lets go of the contract, the ledger and the connections, once no call is under way. Whoever calls afterwards is told
    /// so.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.interrupt();
        let session = self.taken();
        let work = async move {
            blocking(move || drop(session)).await;
        };
        promise(env, work, || ())
    }

    fn current(&self) -> Option<Arc<ffi::Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn taken(&self) -> Option<Arc<ffi::Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Collected by JavaScript, on its thread: files are closed on another.
impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(session), Some(runtime)) = (self.taken(), runtime()) {
            runtime.spawn_blocking(move || drop(session));
        }
    }
}

/// A review of the tools in a text: the JSON of an answer.
#[napi(catch_unwind)]
pub fn audit(text: String, target: String) -> String {
    ffi::audit_tools(&text, &target).to_json()
}

/// What is to be said of a contract that is here as text: the JSON of an answer.
#[napi(catch_unwind)]
pub fn check_contract(text: String) -> String {
    ffi::check_contract(&ConfigSource::Text(text)).to_json()
}

/// The same of a contract in a file.
#[napi(catch_unwind, ts_return_type = "Promise<string>")]
pub fn check_contract_file(env: &Env, path: String) -> napi::Result<Object<'_>> {
    let check = move || ffi::check_contract(&ConfigSource::Path(path)).to_json();
    promise(env, async move { blocking(check).await.unwrap_or_else(broken) }, broken)
}
