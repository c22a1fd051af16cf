//! Opening a session, and looking at a contract without one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, value};
use super::session::Session;
use crate::contract::{Contract, Diagnostic};
use crate::error::{Code, Error, Result};
use crate::primitives::{Clock as _, Instant, Scripted, SystemClock};
use crate::runtime::{Environment, Opening, load_contract, parse_contract, read_contract};

/// Where a session's contract and ledger are.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Open {
    /// The contract; without one, what is in the ledger can be shown, decided and replayed.
    pub config: Option<ConfigSource>,
    /// The path of the ledger; left out, as for the command line: `SIGNOFF_LOCAL_STORE`, the contract's, or
    /// `.signoff/ledger.db`.
    pub ledger: Option<String>,
    /// Make the ledger, and its key, if there is none.
    pub create: bool,
    /// Variables that are looked up here before they are in the process's environment.
    pub environment: BTreeMap<String, String>,
    /// For tests: time and ids as they say.
    pub testing: Option<Testing>,
}

/// A contract by its path, or as text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConfigSource {
    /// The path of its file.
    Path(String),
    /// Its text.
    Text(String),
}

/// Time and ids as a test wants them. Ids can be guessed then.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testing {
    /// Where the clock stands.
    pub at: Instant,
    /// What ids follow from.
    pub seed: String,
}

/// The values of variables are not shown: addresses hold passwords.
impl fmt::Debug for Open {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&String> = self.environment.keys().collect();
        formatter
            .debug_struct("Open")
            .field("config", &self.config)
            .field("ledger", &self.ledger)
            .field("create", &self.create)
            .field("environment", &variables)
            .field("testing", &self.testing)
            .finish()
    }
}

impl ConfigSource {
    fn load(&self) -> Result<(Contract, Vec<Diagnostic>)> {
        match self {
            Self::Path(path) => load_contract(Path::new(path)),
            Self::Text(text) => parse_contract(text, "the contract"),
        }
    }
}

impl Session {
    /// Opens a session. Blocks for the time of a few reads of a file, and for as long as an older ledger takes to be
    /// upgraded. It belongs to its process: after a fork, the child opens its own.
    ///
    /// # Errors
    /// `CONFIG_NOT_FOUND`, `CONFIG_INVALID`, `FILE_UNREADABLE`, `LEDGER_ENGINE_NOT_AVAILABLE`, `LEDGER_NOT_FOUND`,
    /// `LEDGER_KEY_MISSING`, `LEDGER_KEY_MISMATCH`, `LEDGER_KEY_INVALID`, `LEDGER_FORMAT_UNKNOWN`, `LEDGER_FOREIGN`,
    /// `LEDGER_UNAVAILABLE`, `LEDGER_BUSY`.
    pub fn open(open: Open) -> Result<Self> {
        let contract = open.config.as_ref().map(ConfigSource::load).transpose()?.map(|(contract, _)| contract);
        let mut opening = Opening::new(contract);
        opening.ledger = open.ledger;
        opening.create = open.create;
        let variables = open.environment;
        if !variables.is_empty() {
            let system = Environment::system();
            opening.environment =
                Environment::new(move |name| variables.get(name).cloned().or_else(|| system.get(name)));
        }
        let script = open.testing.map(|testing| Arc::new(Scripted::new(testing.at, testing.seed)));
        if let Some(script) = &script {
            opening.clock = Arc::<Scripted>::clone(script);
            opening.ids = Arc::<Scripted>::clone(script);
        }
        Ok(Self::over(opening.open()?, script))
    }
}

/// [`Session::open`] from the JSON of an [`Open`].
///
/// # Errors
/// `USAGE` if it is none, and those of [`Session::open`].
pub fn open_json(text: &str) -> Result<Session> {
    Session::open(from_json(text)?)
}

/// Reads what a binding wrote. What is wrong with it is the binding's fault or its caller's.
pub(super) fn from_json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let problem = format!("the request cannot be read (column {})", error.column());
        Error::new(Code::Usage).with("problem", problem).with("hint", "give every field its documented type")
    })
}

/// What is to be said of a contract: `{"valid", "diagnostics": […]}`, and of a valid one its mode and the names of what is in
/// it. A contract that cannot be used is an answer, not an error; a file that cannot be read is an error.
#[must_use]
pub fn check_contract(source: &ConfigSource) -> Answer {
    let text = match source {
        ConfigSource::Text(text) => Ok(text.clone()),
        ConfigSource::Path(path) => read_contract(Path::new(path)),
    };
    let report = |text: String| -> Value {
        match Contract::parse(&text) {
            Ok((contract, diagnostics)) => json!({
                "valid": true,
                "diagnostics": value(&diagnostics),
                "text": text,
                "mode": contract.mode.as_str(),
                "capabilities": contract.capabilities.iter().map(|one| json!({ "name": one.name, "kind": one.kind })).collect::<Vec<_>>(),
                "sources": contract.sources.keys().collect::<Vec<_>>(),
                "executors": contract.executors.keys().collect::<Vec<_>>(),
            }),
            Err(diagnostics) => json!({ "valid": false, "diagnostics": value(&diagnostics), "text": text }),
        }
    };
    text.map(report).into()
}

/// Reviews the tools in a text: the answer of `tools/list`, a manifest, a client's configuration or a contract. It asks nobody.
/// The value is the report as `signoff audit --format json` prints it.
#[must_use]
pub fn audit_tools(text: &str, target: &str) -> Answer {
    crate::onboarding::audit_text(text, target).map(|report| value(&report.at(SystemClock.now()))).into()
}
