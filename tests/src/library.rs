//! The library on a workspace's files, as an application embeds it; in this process, and in several at once.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use signoff::Runtime;
use signoff::contract::Contract;
use signoff::ledger::{LedgerOptions, SqliteLedger};
use signoff::primitives::{Clock, SystemIds};
use signoff::runtime::Environment;

use crate::Workspace;

/// The ledger of this name in a workspace's folder, made if there is none.
pub fn ledger(folder: &Path, name: &str, clock: &dyn Clock) -> Arc<SqliteLedger> {
    let opened = SqliteLedger::open(LedgerOptions::create(folder.join(name)), clock, &SystemIds);
    Arc::new(opened.unwrap_or_else(|error| panic!("the ledger opens: {error}")))
}

/// A runtime on a workspace's contract, on the source at this address and on this ledger.
pub fn runtime(folder: &Path, address: &str, ledger: Arc<SqliteLedger>, clock: Arc<dyn Clock>) -> Runtime {
    let text = std::fs::read_to_string(folder.join("signoff.json")).expect("a contract");
    let contract = Contract::parse(&text).unwrap_or_else(|found| panic!("the contract is valid: {found:?}")).0;
    let environment = environment(address.to_owned());
    Runtime::new(Some(contract), ledger).with_environment(environment).with_clock(clock, Arc::new(SystemIds))
}

/// The environment of a workspace's commands, its source at this address.
pub fn environment(address: String) -> Environment {
    Environment::new(move |name| match name {
        "BILLING_APP_READ_URL" | "BILLING_APP_WRITE_URL" => Some(address.clone()),
        "SYNAPSOR_TENANT_ID" => Some("acme".to_owned()),
        "SYNAPSOR_PRINCIPAL" => Some("support_agent".to_owned()),
        _ => None,
    })
}

/// Runs one call to its end on this thread.
pub fn block<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(call)
}

/// Starts a `hammer` for each list of arguments, its source at this address, lets them begin together, and answers what
/// each said.
pub fn hammer(workspace: &Workspace, program: &Path, address: &str, all: &[Vec<String>]) -> Vec<Vec<Value>> {
    let folder = workspace.path("").display().to_string();
    let mut started: Vec<_> = all
        .iter()
        .map(|arguments| {
            let mut command = workspace.command_of(program);
            command.env("BILLING_APP_READ_URL", address).env("BILLING_APP_WRITE_URL", address);
            command.arg(&arguments[0]).arg(&folder).args(&arguments[1..]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a hammer starts");
            let out = BufReader::new(child.stdout.take().expect("its output"));
            (child, out)
        })
        .collect();
    for (_, out) in &mut started {
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
    }
    for (child, _) in &mut started {
        child.stdin.take().expect("its input").write_all(b"\n").expect("it reads");
    }
    let mut said = Vec::new();
    for (mut child, mut out) in started {
        let mut text = String::new();
        out.read_to_string(&mut text).expect("what it says");
        assert!(child.wait().expect("it ends").success(), "a hammer broke");
        said.push(serde_json::from_str(&text).expect("JSON"));
    }
    said
}

/// Words as arguments.
pub fn texts<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// How many answers are this word.
pub fn count(answers: &[Value], word: &str) -> usize {
    answers.iter().filter(|answer| *answer == word).count()
}
