//! What a command needs that runs for long: an orderly end, and lines for a log.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use signoff::primitives::looks_secret;
use signoff::{Code, Error, Result};

/// Becomes ready with the first SIGTERM, SIGINT or Ctrl-C. The second one ends the process at once: whatever was begun is
/// found by the next one that looks, as after a crash.
pub fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.next().await;
        let _ = tell.send(());
        let code = signals.next().await;
        std::process::exit(code);
    });
    Ok(async {
        let _ = told.await;
    })
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|_| Error::new(Code::Internal).with("detail", "no signal handler"));
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?]))
    }

    /// Waits for one; answers the exit code that a process has that it ends.
    async fn next(&mut self) -> i32 {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        130
    }
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The log of a long-running command, on standard error: lines of JSON, or on a terminal one line that moves, with what is
/// wrong above it.
pub struct Log {
    bar: Option<ProgressBar>,
    secrets: Vec<String>,
    lines: Option<Lines>,
}

/// Lines on their way to standard error. Whoever reads it may be slow, or have stopped: a thread waits for them, and not
/// the transactions that this one is in the middle of.
struct Lines {
    sender: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    lost: AtomicU64,
}

impl Lines {
    /// Lines that wait at most.
    const AT_MOST: usize = 16_384;

    fn start() -> Option<Self> {
        let (sender, receiver) = sync_channel::<String>(Self::AT_MOST);
        let write = move || receiver.iter().for_each(|line| drop(writeln!(std::io::stderr(), "{line}")));
        let thread = std::thread::Builder::new().name("signoff-log".to_owned()).spawn(write).ok()?;
        Some(Self { sender: Some(sender), thread: Some(thread), lost: AtomicU64::new(0) })
    }

    fn send(&self, line: String) {
        let Some(sender) = &self.sender else { return };
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let told = json!({ "level": "warn", "message": "lines of this log were lost", "meta": { "lines": lost } });
            if sender.try_send(told.to_string()).is_ok() {
                self.lost.fetch_sub(lost, Ordering::Relaxed);
            }
        }
        if sender.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // What was said is written before the process ends.
        self.sender.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Log {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let lines = if bar.is_none() { Lines::start() } else { None };
        Self { bar, secrets: Vec::new(), lines }
    }

    /// Values that are never written, whatever they look like.
    pub fn hide(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// Those values.
    pub fn hidden(&self) -> &[String] {
        &self.secrets
    }

    pub fn write(&self, level: Level, message: &str, meta: Value) {
        let line = redacted(json!({ "level": level.as_str(), "message": message, "meta": meta }), &self.secrets);
        match &self.bar {
            None => match &self.lines {
                Some(lines) => lines.send(line.to_string()),
                None => drop(writeln!(std::io::stderr(), "{line}")),
            },
            Some(bar) if level != Level::Info => {
                bar.println(format!("{}: {message} {}", level.as_str(), line.get("meta").unwrap_or(&Value::Null)))
            }
            Some(_) => {}
        }
    }

    /// What stands in the line that moves.
    pub fn now(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Puts a member into an object.
pub fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

/// The value with `[redacted]` for every text that is a credential, or that holds one of these.
pub fn redacted(value: Value, secrets: &[String]) -> Value {
    let hidden = |text: &str| looks_secret(text) || secrets.iter().any(|secret| text.contains(secret.as_str()));
    match value {
        Value::String(text) if hidden(&text) => Value::from("[redacted]"),
        Value::Array(items) => items.into_iter().map(|item| redacted(item, secrets)).collect(),
        Value::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| {
                let key = if hidden(&key) { "[redacted]".to_owned() } else { key };
                (key, redacted(value, secrets))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_written() {
        let value = json!({
            "reason": "use postgres://u:planted@h/db", "held": ["x my-own-secret y"], "Bearer abcdefghijklmnop1234": 1, "plain": "Bearer bonds please",
        });
        let text = redacted(value, &["my-own-secret".to_owned()]).to_string();
        assert!(
            !text.contains("planted") && !text.contains("my-own-secret") && !text.contains("abcdefghijklmnop"),
            "{text}"
        );
        assert!(text.contains("Bearer bonds please"));
    }
}
