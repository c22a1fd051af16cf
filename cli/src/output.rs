//! Answers on standard output, everything else on standard error. A reader that went away is not an error.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use signoff::error::visible_json;
use signoff::{Code, Error};

/// JSON for people and programs alike: what a terminal would act on stands as its escape.
pub fn pretty(value: &impl Serialize) -> String {
    visible_json(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Where answers go.
pub struct Output {
    json: bool,
    colour: bool,
    closed: bool,
    lost: Option<Error>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let colour = std::io::stdout().is_terminal() && !unwanted && !dumb;
        Self { json, colour, closed: false, lost: None }
    }

    /// Is the answer for a program?
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Does a person look at it, in colour?
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// The answer in a form of its own.
    pub fn raw(&mut self, text: &str) {
        self.put(text);
    }

    /// A line of a human answer; nothing in JSON.
    pub fn line(&mut self, text: impl AsRef<str>) {
        if !self.json {
            self.put(&format!("{}\n", text.as_ref()));
        }
    }

    /// Writes an answer as it stands, to people and programs alike.
    pub fn text(&mut self, text: &str) {
        self.put(text);
    }

    /// One answer of many, on a line of its own; nothing for humans.
    pub fn json_line(&mut self, value: &impl Serialize) {
        if self.json {
            self.put(&format!("{}\n", visible_json(serde_json::to_string(value).unwrap_or_default())));
        }
    }

    /// Nobody reads the answers any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn put(&mut self, text: &str) {
        let mut stdout = std::io::stdout();
        if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            self.closed = true;
            if error.kind() != ErrorKind::BrokenPipe && self.lost.is_none() {
                let lost = Error::new(Code::FileUnwritable).with("path", "standard output");
                self.lost = Some(lost.with("reason", error.kind()));
            }
        }
    }

    /// How the program ends: an answer that a full disk swallowed was not given.
    pub fn end(&mut self, exit: u8) -> u8 {
        match self.lost.take() {
            Some(error) if exit == 0 => {
                self.json = false;
                self.error(&error);
                u8::from(error.exit())
            }
            _ => exit,
        }
    }

    /// The answer of a program; nothing for humans.
    pub fn value(&mut self, value: &impl Serialize) {
        if self.json {
            self.put(&format!("{}\n", pretty(value)));
        }
    }

    /// A line for people, beside the answer.
    pub fn note(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
    }

    /// Something a person should know, beside the answer.
    pub fn warn(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "warning: {}", text.as_ref());
    }

    pub fn error(&mut self, error: &Error) {
        if self.json {
            self.value(&json!({ "ok": false, "error": error }));
            return;
        }
        let mut text = format!("error: {}\n  code: {}", error.message(), error.code());
        if let Some(help) = error.help() {
            text.push_str(&format!("\n  help: {help}"));
        }
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Red on a terminal.
    pub fn old(&self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Green on a terminal.
    pub fn new_value(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Bold on a terminal.
    pub fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// How far a long work is: a bar on a terminal, nothing elsewhere. Work that is done at once shows none.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn begin(label: &'static str, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:24}] {human_pos}/{human_len} {msg} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(label);
        bar.set_message(what);
        Self(bar)
    }

    /// What the work tells how far it is.
    pub fn teller(&self) -> Box<dyn FnMut(u64, u64) + Send> {
        let (bar, begun, mut shown) = (self.0.clone(), self.0.elapsed(), false);
        Box::new(move |done, all| {
            if bar.elapsed().saturating_sub(begun) > Duration::from_millis(300) {
                if !shown {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    shown = true;
                }
                bar.set_length(all);
                bar.set_position(done);
            }
        })
    }

    /// Takes the bar away.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Waits until nobody reads standard output any more, looking every so often.
pub async fn reader_gone(every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        #[cfg(unix)]
        {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};
            let stdout = std::io::stdout();
            let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Asked for nothing, it tells of errors and of a reader that hung up.
            if poll(&mut asked, Some(&now)).is_ok_and(|found| found > 0) {
                return;
            }
        }
    }
}
