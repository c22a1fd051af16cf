//! A program's list of tools over its standard input and output. It gets an environment of its own, without ours, and ends
//! with everything that it started.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use signoff::{Code, Error, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::messages::{LIMIT, Pages, Trouble, answer, initialize, initialized, request};

/// What every program gets of our environment: what finding and running one takes.
const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TERM",
    "SYSTEMROOT",
    "APPDATA",
    "PATHEXT",
];

/// A program to ask.
pub struct Program {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Program {
    /// From a command line, which no shell reads.
    pub fn of_line(line: &str, handed_on: &[String]) -> Result<Self> {
        let invalid = |problem: &str| {
            Error::new(Code::Usage).with("problem", problem).with("hint", "such as --stdio 'node server.js'")
        };
        let mut words =
            shlex::split(line).ok_or_else(|| invalid("the command line has a quote that is not closed"))?.into_iter();
        let program = words.next().ok_or_else(|| invalid("the command line is empty"))?;
        let environment = environment(handed_on)?;
        Ok(Self { program, arguments: words.collect(), environment })
    }

    /// From a client's configuration, with the variables that it sets. A reference to a variable of ours is not followed.
    pub fn of_client(
        program: &str,
        arguments: &[String],
        set: &BTreeMap<String, String>,
        handed_on: &[String],
    ) -> Result<Self> {
        let mut environment = environment(handed_on)?;
        let literal = set.iter().filter(|(_, value)| !value.contains("${"));
        environment.extend(literal.map(|(name, value)| (name.clone(), value.clone())));
        Ok(Self { program: program.to_owned(), arguments: arguments.to_vec(), environment })
    }

    /// Without its arguments, among which may be a token.
    pub fn shown(&self) -> String {
        format!("stdio:{}", self.program)
    }
}

fn environment(handed_on: &[String]) -> Result<BTreeMap<String, String>> {
    let ours = |name: &str| std::env::var(name).ok().map(|value| (name.to_owned(), value));
    let mut environment: BTreeMap<String, String> = INHERITED.iter().filter_map(|name| ours(name)).collect();
    for name in handed_on {
        let (name, value) = ours(name).ok_or_else(|| {
            Error::new(Code::Usage)
                .with("problem", "a variable that --env names is not set")
                .with("hint", "--env takes names alone")
        })?;
        environment.insert(name, value);
    }
    Ok(environment)
}

/// Every tool that the program lists, as `{"tools": […]}`.
///
/// # Errors
/// `AUDIT_TARGET_UNREACHABLE`, `AUDIT_ANSWER_INVALID`.
pub async fn tools(program: &Program, time: Duration) -> Result<Value> {
    let asked = tokio::time::timeout(time, list(program)).await;
    asked
        .unwrap_or_else(|_| Err(Trouble::Unreachable(format!("no answer within {} ms", time.as_millis()))))
        .map_err(|trouble| trouble.error(&program.shown()))
}

async fn list(program: &Program) -> std::result::Result<Value, Trouble> {
    let mut command = Command::new(&program.program);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Its words are not ours to repeat.
        .stderr(Stdio::null())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let failed = |error: std::io::Error| Trouble::Unreachable(format!("it cannot be started: {}", error.kind()));
    let mut child = command.spawn().map_err(failed)?;
    let _group = Group::of(&child);
    let gone = || Trouble::Unreachable("it ended before it answered".to_owned());
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Err(gone()) };
    let mut talk = Talk { input, output, held: Vec::new(), read: 0, id: 0 };
    talk.call("initialize", initialize()).await?;
    talk.say(&initialized()).await?;
    let mut pages = Pages::default();
    while pages.take(talk.call("tools/list", pages.ask(json!({}))).await?)? {}
    Ok(pages.document())
}

/// One message a line, both ways.
struct Talk {
    input: ChildStdin,
    output: ChildStdout,
    held: Vec<u8>,
    read: usize,
    id: u64,
}

impl Talk {
    async fn say(&mut self, message: &Value) -> std::result::Result<(), Trouble> {
        let gone = |_| Trouble::Unreachable("it ended before it answered".to_owned());
        self.input.write_all(format!("{message}\n").as_bytes()).await.map_err(gone)?;
        self.input.flush().await.map_err(gone)
    }

    /// The answer to a request. What else it says is passed over: a line for people, a notification, a request of its own.
    async fn call(&mut self, method: &str, params: Value) -> std::result::Result<Value, Trouble> {
        self.id += 1;
        self.say(&request(self.id, method, params)).await?;
        loop {
            let line = self.line().await?;
            let message = serde_json::from_slice::<Value>(&line).unwrap_or_default();
            if let Some(answer) = answer(&message, self.id) {
                return answer;
            }
        }
    }

    async fn line(&mut self) -> std::result::Result<Vec<u8>, Trouble> {
        let mut searched = 0;
        loop {
            let rest = self.held.get(searched..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n').map(|at| at + searched) {
                return Ok(self.held.drain(..=end).collect());
            }
            searched = self.held.len();
            let mut part = vec![0; 64 << 10];
            let count = self.output.read(&mut part).await.unwrap_or(0);
            if count == 0 {
                return Err(Trouble::Unreachable("it ended before it answered".to_owned()));
            }
            self.read += count;
            if self.read > LIMIT {
                return Err(Trouble::too_long());
            }
            self.held.extend_from_slice(part.get(..count).unwrap_or_default());
        }
    }
}

/// The process group of a child; it is ended on the way out, whichever way that is.
struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        #[cfg(unix)]
        return Self { id: child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) };
        #[cfg(not(unix))]
        {
            let _ = child;
            Self {}
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.id {
            // Gone already is as good.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}
