//! A local command, asked by one line of JSON on its standard input, that answers a receipt on its standard output. No
//! shell reads the command line; the command gets an environment of its own; in time or not, its whole process group ends.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answered, Asked, MAX_ANSWER, judge};
use super::{Ended, Execution, Executor, Masks, request};
use crate::error::{Code, Error, Result};
use crate::guard::Purpose;
use crate::primitives::Secret;

/// What every command gets of our environment; anything else is named in the contract.
pub(crate) const INHERITED: [&str; 11] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE"];

/// How a command is run.
#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// The executor's name.
    pub name: String,
    /// The variable that its command line comes from, for messages.
    pub variable: String,
    /// The command line: a program and its arguments, parted by white space, with `'`, `"` and `\`.
    pub command: Secret,
    /// Until it is ended.
    pub timeout: Duration,
    /// It honours `dry_run`.
    pub dry_run: bool,
    /// All that its environment holds.
    pub environment: Vec<(String, Secret)>,
    /// What is never repeated of its answers.
    pub masks: Masks,
}

/// A local command.
#[derive(Debug)]
pub struct CommandHandler {
    settings: CommandSettings,
    program: Secret,
    arguments: Vec<Secret>,
}

impl CommandHandler {
    /// Checks the settings. Nothing runs yet.
    ///
    /// # Errors
    /// `EXECUTOR_COMMAND_INVALID`.
    pub fn new(settings: CommandSettings) -> Result<Self> {
        let invalid = |reason: &str| {
            Error::new(Code::ExecutorCommandInvalid)
                .with("executor", &settings.name)
                .with("variable", &settings.variable)
                .with("reason", reason)
        };
        let mut words = split(settings.command.expose()).map_err(invalid)?.into_iter().map(Secret::new);
        let program = words.next().ok_or_else(|| invalid("it is empty"))?;
        let arguments = words.collect();
        Ok(Self { settings, program, arguments })
    }

    /// Whether the program can be found: the reason if not.
    ///
    /// # Errors
    /// `EXECUTOR_UNREACHABLE`.
    pub fn probe(&self) -> Result<()> {
        let program = std::path::Path::new(self.program.expose());
        let path = self.settings.environment.iter().find(|(name, _)| name == "PATH");
        let found = if program.components().count() > 1 {
            is_program(program)
        } else {
            path.is_some_and(|(_, path)| std::env::split_paths(path.expose()).any(|at| is_program(&at.join(program))))
        };
        if found { Ok(()) } else { Err(self.unreachable("there is no such program")) }
    }

    fn unreachable(&self, reason: &str) -> Error {
        Error::new(Code::ExecutorUnreachable).with("executor", &self.settings.name).with("reason", reason)
    }

    fn spawn(&self) -> std::io::Result<Child> {
        Command::new(self.program.expose())
            .args(self.arguments.iter().map(Secret::expose))
            .env_clear()
            .envs(self.settings.environment.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what it started ends with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// The words of a command line, as v1 parts them: no shell, no variables, no globs.
fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (_, '\0') => return Err("it holds a NUL"),
            (None | Some('"'), '\\') => {
                let next = characters.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), close) if open == close => quote = None,
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

fn is_program(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The process group of a child; it is ended on the way out, whichever way that is.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What a command did.
struct Ran {
    status: ExitStatus,
    out: Vec<u8>,
}

/// Talks to a child to its end: all three at once, so that nobody waits for a full pipe.
async fn talk(mut child: Child, line: String) -> Result<Ran, &'static str> {
    if let Some(mut input) = child.stdin.take() {
        tokio::spawn(async move {
            // A command that does not read tells by its answer what became of it.
            let _ = input.write_all(line.as_bytes()).await;
            let _ = input.shutdown().await;
        });
    }
    if let Some(errors) = child.stderr.take() {
        tokio::spawn(discard(errors));
    }
    let out = match child.stdout.take() {
        Some(output) => bounded(output).await?,
        None => Vec::new(),
    };
    let status = child.wait().await.map_err(|_| "how it ended is not known")?;
    Ok(Ran { status, out })
}

async fn bounded(mut output: impl AsyncRead + Unpin) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    let limit = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX).saturating_add(1);
    (&mut output).take(limit).read_to_end(&mut out).await.map_err(|_| "its answer was cut off")?;
    if out.len() > MAX_ANSWER { Err("its answer was longer than 1 MiB") } else { Ok(out) }
}

/// What it says there is its own, and may hold anything: it is read so that the command does not wait, and not kept.
async fn discard(mut errors: impl AsyncRead + Unpin) {
    let mut some = vec![0; 1 << 13];
    while errors.read(&mut some).await.is_ok_and(|count| count > 0) {}
}

#[async_trait]
impl Executor for CommandHandler {
    fn patience(&self) -> Duration {
        self.settings.timeout
    }

    fn rehearses(&self) -> bool {
        self.settings.dry_run
    }

    async fn execute(&self, execution: Execution) -> Result<Ended> {
        let mut line = request::text(request::body(&execution, &self.settings.name, None))?;
        line.push('\n');
        let deadline = Instant::now() + self.settings.timeout;
        let child = self.spawn().map_err(|error| {
            self.unreachable(match error.kind() {
                std::io::ErrorKind::NotFound => "there is no such program",
                std::io::ErrorKind::PermissionDenied => "it may not be run",
                _ => "it could not be started",
            })
        })?;
        let group = Group::of(&child);
        let ran = timeout_at(deadline, talk(child, line)).await;
        drop(group);
        let ran = match ran {
            Ok(Ok(ran)) => ran,
            Ok(Err(why)) => return Ok(Ended::Unknown(why.to_owned())),
            Err(_) => return Ok(Ended::Unknown("the command did not end in time, and was ended".to_owned())),
        };
        let asked = Asked {
            proposal_id: &execution.job.proposal_id,
            idempotency_key: &execution.job.idempotency_key,
            job_id: &execution.job.writeback_job_id,
            dry_run: execution.purpose == Purpose::DryRun,
            masks: &self.settings.masks,
        };
        // Ended well, as an answer of status 200; ended with a number, as one of 500.
        let status = if ran.status.success() { 200 } else { 500 };
        let answered = match (judge(status, &ran.out, &asked), ran.status.code()) {
            (Answered::Unknown(_), Some(0)) => Answered::Unknown("the command ended without a receipt".to_owned()),
            (Answered::Unknown(_), Some(code)) => Answered::Unknown(format!(
                "the command ended with {code} and without a receipt that nothing was changed"
            )),
            (_, None) => Answered::Unknown("the command was ended by a signal".to_owned()),
            (answered, _) => answered,
        };
        Ok(answered.ended(&self.settings.name, status, &execution))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_parted_without_a_shell() {
        for (line, words) in [
            ("python3 handler.py", vec!["python3", "handler.py"]),
            ("  a\t'b c'  \"d \\\" e\" f\\ g '\\' ''", vec!["a", "b c", "d \" e", "f g", "\\", ""]),
            ("a$HOME `b` $(c) *; d | e > f", vec!["a$HOME", "`b`", "$(c)", "*;", "d", "|", "e", ">", "f"]),
            ("a'b'\"c\"d", vec!["abcd"]),
            ("   ", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for broken in ["'a", "\"a", "a\\", "a\0b"] {
            assert!(split(broken).is_err(), "{broken:?}");
        }
    }
}
