//! One life of a ledger, played by each face: at the end they all have the same ledger. Python and Node play it in their own
//! tests.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use signoff::ffi::{ConfigSource, Open, Session, Testing};
use signoff::ledger::{Filter, List, PageRequest, ProposalRecord};
use signoff::primitives::{Instant, Scripted};
use signoff::runtime::{ApplyOptions, Approver, Caller, Environment, Opening, Seen, load_contract, page_view};
use signoff::{Error, Result, Runtime};
use signoff_tests::library::block;
use signoff_tests::scenario::{Saved, effects, environment, make, script};
use signoff_tests::{Ran, binary};

/// A face: does a step, and answers what it answered, or the code of the error.
trait Face {
    fn play(&mut self, at: &str, seed: &str, request: &Value) -> Result<Value, String>;
}

fn play(folder: &Path, face: &mut dyn Face) {
    let script = script();
    let mut saved = Saved::default();
    let mut requests = 0;
    for (n, step) in script["steps"].as_array().unwrap().iter().enumerate() {
        let name = step["name"].as_str().unwrap();
        if let Some(sql) = step["sql"].as_str() {
            rusqlite::Connection::open(folder.join("app.db")).unwrap().execute_batch(sql).unwrap();
            continue;
        }
        requests += 1;
        let request = saved.fill(&step["request"]);
        let answer = face.play(step["at"].as_str().unwrap(), &(n + 1).to_string(), &request);
        if let Some(code) = step["code"].as_str() {
            assert_eq!(answer.as_ref().err().map(String::as_str), Some(code), "{name}: {answer:?}");
            continue;
        }
        let answer = answer.unwrap_or_else(|code| panic!("{name}: {code}"));
        for (pointer, wanted) in step["ok"].as_object().unwrap() {
            assert_eq!(answer.pointer(pointer), Some(&saved.fill(wanted)), "{name}: {pointer} of {answer}");
        }
        if let Some(to) = step["save"].as_str() {
            for (field, pointer) in [("id", "/proposal_id"), ("hash", "/proposal_hash"), ("evidence", "/evidence_id")] {
                if let Some(value) = answer.pointer(pointer).and_then(Value::as_str) {
                    saved.keep(&format!("{to}.{field}"), value);
                }
            }
        }
    }
    assert!(requests >= 60, "{requests} requests");
    assert_eq!(json!(effects(folder)), script["effects"]);
    let last = face.play("2026-12-31T00:00:00Z", "last", &json!({ "call": "verify_ledger" })).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let path = signoff_tests::scenario::folder().join("steps.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, _) = text.rsplit_once(" \"checkpoint\": ").unwrap();
        std::fs::write(&path, format!("{before} \"checkpoint\": {}\n}}\n", last["checkpoint"])).unwrap();
    }
    assert_eq!(last["checkpoint"], self::script()["checkpoint"], "another ledger");
}

struct Facade(Session, bool);

impl Face for Facade {
    fn play(&mut self, at: &str, seed: &str, request: &Value) -> Result<Value, String> {
        // The first step goes on from where opening the ledger left off, as the first command does.
        if std::mem::replace(&mut self.1, true) {
            block(self.0.call_json(&json!({ "call": "script", "at": at, "seed": seed }).to_string()));
        }
        let answer: Value = serde_json::from_str(&block(self.0.call_json(&request.to_string()))).unwrap();
        if answer["ok"] == true {
            Ok(answer["value"].clone())
        } else {
            Err(answer["error"]["code"].as_str().unwrap().to_owned())
        }
    }
}

#[test]
fn the_facade_of_other_languages() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let session = Session::open(Open {
        config: Some(ConfigSource::Path(folder.path().join("signoff.json").display().to_string())),
        ledger: Some(folder.path().join("ledger.db").display().to_string()),
        create: true,
        environment: environment(folder.path()).into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        testing: Some(Testing { at: first(), seed: "1".to_owned() }),
    });
    play(folder.path(), &mut Facade(session.unwrap(), false));
}

fn first() -> Instant {
    Instant::parse(script()["steps"][0]["at"].as_str().unwrap()).unwrap()
}

/// The library, as an application in Rust calls it.
struct Library(Runtime, Arc<Scripted>, bool);

impl Face for Library {
    fn play(&mut self, at: &str, seed: &str, request: &Value) -> Result<Value, String> {
        if std::mem::replace(&mut self.2, true) {
            self.1.set(Instant::parse(at).unwrap(), seed);
        }
        block(call(&self.0, request)).map_err(|error: Error| error.code().to_string())
    }
}

/// What a step answers is what the ledger has: the answer is not read back, so this reads it.
async fn as_recorded(runtime: &Runtime, answered: ProposalRecord) -> Result<Value> {
    let stored = runtime.show(answered.id()).await?;
    assert_eq!(json!(answered.view()), json!(stored.view()));
    assert_eq!((answered.last_seq, &answered.jobs), (stored.last_seq, &stored.jobs));
    Ok(json!(stored.view()))
}

async fn call(runtime: &Runtime, request: &Value) -> Result<Value> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let reason = || request["reason"].as_str().map(str::to_owned);
    let person = |name: &str| -> Approver { serde_json::from_value(request[name].clone()).unwrap() };
    let seen = || Seen {
        proposal_id: text("proposal_id").to_owned(),
        hash: text("hash").to_owned(),
        version: u32::try_from(request["version"].as_u64().unwrap_or_default()).unwrap(),
    };
    let by = Caller::FromContract;
    Ok(match text("call") {
        "read" => {
            let answer = runtime.read(text("capability"), text("arguments"), &by).await?;
            json!({ "evidence_id": answer.evidence_id })
        }
        "propose" => {
            let set = runtime.propose(text("capability"), text("arguments"), &by).await?.change_set;
            json!({ "proposal_id": set.proposal_id, "proposal_hash": set.integrity.proposal_hash })
        }
        "proposal" => json!(runtime.show(text("id")).await?.view()),
        "approve" => as_recorded(runtime, runtime.approve(&seen(), &person("approver"), reason()).await?).await?,
        "reject" => {
            as_recorded(runtime, runtime.reject(&seen(), &person("approver"), reason().unwrap()).await?).await?
        }
        "cancel" => {
            as_recorded(runtime, runtime.cancel(text("proposal_id"), &person("actor"), reason(), false).await?).await?
        }
        "apply" => {
            let mut options = ApplyOptions::default();
            options.dry_run = request["dry_run"] == true;
            options.lease = Duration::from_secs(300);
            let applied = runtime.apply(text("proposal_id"), &options).await?;
            as_recorded(runtime, applied.record.clone()).await?;
            json!(applied.view(false)?)
        }
        "replay" => json!(runtime.replay(text("id")).await?),
        "evidence" => json!(runtime.evidence_bundle(text("id")).await?),
        "list" => {
            let filter: Filter = serde_json::from_value(request["filter"].clone()).unwrap_or_default();
            let after = request["cursor"].as_str().map(str::parse).transpose()?;
            let page = PageRequest { limit: 0, after };
            let list: List = serde_json::from_value(request["list"].clone()).unwrap();
            match list {
                List::Proposals => page_view("proposals", &runtime.proposals(&filter, &page).await?),
                List::Receipts => page_view("receipts", &runtime.receipts(&filter, &page).await?),
                List::Evidence => page_view("evidence", &runtime.evidence(&filter, &page).await?),
                List::QueryAudit => page_view("query_audit", &runtime.query_audit(&filter, &page).await?),
                List::Replays => page_view("replays", &runtime.replays(&filter, &page).await?),
                other => panic!("{other:?} is not in the scenario"),
            }
        }
        "verify_ledger" => {
            let expect = request["expect"].as_str().map(str::parse).transpose()?;
            json!(runtime.ledger().verify(expect, Box::new(|_, _| {})).await?.view())
        }
        other => panic!("{other} is not in the scenario"),
    })
}

#[test]
fn the_library() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let contract = load_contract(&folder.path().join("signoff.json")).unwrap().0;
    let variables = environment(folder.path());
    let script = Arc::new(Scripted::new(first(), "1"));
    let mut opening = Opening::new(Some(contract));
    opening.ledger = Some(folder.path().join("ledger.db").display().to_string());
    opening.create = true;
    opening.environment = Environment::new(move |name| variables.get(name).cloned());
    opening.clock = Arc::<Scripted>::clone(&script);
    opening.ids = Arc::<Scripted>::clone(&script);
    play(folder.path(), &mut Library(opening.open().unwrap(), script, false));
}

/// The command line, in the build that tells the time as it is told.
struct Terminal<'a>(&'a Path);

impl Terminal<'_> {
    fn run(&self, at: &str, seed: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(binary("SIGNOFF_FAULT_BIN", "fault/debug/signoff"));
        command.current_dir(self.0).env_clear().stdin(Stdio::null()).envs(environment(self.0));
        command.env("SIGNOFF_TEST_AT", at).env("SIGNOFF_TEST_SEED", seed);
        command.args(["--format", "json", "--store", "ledger.db"]).args(arguments).output().unwrap().into()
    }
}

impl Face for Terminal<'_> {
    fn play(&mut self, at: &str, seed: &str, request: &Value) -> Result<Value, String> {
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let decide = |verb: &'static str, who: &str| -> Vec<String> {
            let person = &request[who];
            let mut arguments =
                vec!["proposals", verb, text("proposal_id"), "--yes", "--actor", person["id"].as_str().unwrap()];
            for role in person["roles"].as_array().unwrap() {
                arguments.extend(["--role", role.as_str().unwrap()]);
            }
            if let Some(hash) = request["hash"].as_str() {
                arguments.extend(["--hash", hash]);
            }
            if let Some(reason) = request["reason"].as_str() {
                arguments.extend(["--reason", reason]);
            }
            arguments.into_iter().map(str::to_owned).collect()
        };
        let plain = |arguments: &[&str]| arguments.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let arguments = match text("call") {
            "read" => plain(&["smoke", "call", text("capability"), "--json", text("arguments")]),
            "propose" => plain(&["propose", text("capability"), "--json", text("arguments")]),
            "proposal" => plain(&["proposals", "show", text("id")]),
            "approve" => decide("approve", "approver"),
            "reject" => decide("reject", "approver"),
            "cancel" => decide("cancel", "actor"),
            "apply" if request["dry_run"] == true => plain(&["apply", text("proposal_id"), "--dry-run"]),
            "apply" => plain(&["apply", text("proposal_id")]),
            "replay" => plain(&["replay", "show", text("id")]),
            "evidence" => plain(&["evidence", "show", text("id")]),
            "list" => {
                let command = match text("list") {
                    "query_audit" => "query-audit",
                    "replays" => "replay",
                    name => name,
                };
                let mut arguments = plain(&[command, "list"]);
                for (name, value) in request["filter"].as_object().into_iter().flatten() {
                    arguments.extend([format!("--{}", name.replace('_', "-")), value.as_str().unwrap().to_owned()]);
                }
                if let Some(cursor) = request["cursor"].as_str() {
                    arguments.extend(plain(&["--cursor", cursor]));
                }
                arguments
            }
            "verify_ledger" => match request["expect"].as_str() {
                Some(expect) => plain(&["store", "verify", "--expect", expect]),
                None => plain(&["store", "verify"]),
            },
            other => panic!("{other} is not in the scenario"),
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = self.run(at, seed, &arguments);
        let answer = ran.json();
        if let Some(code) = answer.pointer("/error/code").and_then(Value::as_str) {
            assert_ne!(ran.code, 0, "{ran:?}");
            return Err(code.to_owned());
        }
        // An agent is not told the hash, and finds evidence under another name.
        Ok(match text("call") {
            "propose" => {
                let id = answer["proposal"]["id"].as_str().unwrap();
                self.run(at, seed, &["proposals", "show", id]).json()
            }
            "read" => json!({ "evidence_id": answer["evidence"]["bundle_id"] }),
            _ => answer,
        })
    }
}

#[test]
fn the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    play(folder.path(), &mut Terminal(folder.path()));
}
