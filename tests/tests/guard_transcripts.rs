//! The guard as a transcript: for each vector in `vectors/guard`, these replies lead to exactly these steps, this SQL with
//! these parameters, and this outcome. The vectors are for every language that drives the guard.
//!
//! `UPDATE=1` rewrites the expected steps and the outcome of every vector, never its job or its replies. Read the diff
//! against the design before you commit it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signoff::guard::{Guard, GuardJob, Step};
use signoff::primitives::{MacKey, Redactor};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    redaction_key: Option<String>,
    job: Value,
    exchange: Vec<Exchange>,
    outcome: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    expect: Value,
    reply: ReplyForm,
}

/// A reply as it is written: what this file writes back keeps its order.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ReplyForm {
    Ran { rows: Value, changed: Value },
    Other(Value),
}

fn error_form(kind: &str, error: &signoff::Error) -> Value {
    let context: BTreeMap<&str, &str> = error.context().collect();
    json!({ "kind": kind, "code": error.code(), "retryable": error.retryable(), "context": context })
}

fn form(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

/// Plays the replies; answers the steps asked for and how it ended.
fn play(vector: &Vector) -> (Vec<Value>, Value) {
    let name = &vector.name;
    let job: GuardJob = serde_json::from_value(vector.job.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let redactor = vector.redaction_key.as_ref().map(|digits| {
        let mut key = [0; 32];
        hex::decode_to_slice(digits, &mut key).unwrap();
        Redactor::new(MacKey::new(key))
    });
    let (mut guard, mut step) = match Guard::start(job, redactor) {
        Ok(started) => started,
        Err(error) => return (Vec::new(), error_form("refused", &error)),
    };
    let mut steps = Vec::new();
    for exchange in &vector.exchange {
        assert!(
            !matches!(step, Step::Done(_)),
            "{name}: done after {} replies, more were given: {step:?}",
            steps.len()
        );
        check_finish(name, &step);
        steps.push(form(&step));
        let reply = form(&exchange.reply);
        step = guard.next(serde_json::from_value(reply).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    match step {
        Step::Done(outcome) => (steps, form(&outcome)),
        other => panic!("{name}: after the last reply the guard wants {other:?}"),
    }
}

/// A receipt that is stored carries the digest of its own bytes, computed here and not by the guard.
fn check_finish(name: &str, step: &Step) {
    if let Step::Run(statement) = step
        && statement.sql.contains("SET status")
    {
        let text = statement.params[1].as_deref().unwrap();
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())));
        assert_eq!(statement.params[2].as_deref(), Some(digest.as_str()), "{name}: result_hash");
        let receipt: Value = serde_json::from_str(text).unwrap();
        assert_eq!(receipt["status"].as_str(), statement.params[0].as_deref(), "{name}: status");
        assert_eq!(text, serde_json::to_string(&receipt).unwrap(), "{name}: the receipt is not canonical");
    }
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/guard")
}

fn vectors() -> Vec<(PathBuf, Vector)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "json") && !path.ends_with("manifest.json"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let vector: Vector = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(vector.name.as_str()));
        (path, vector)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_vector_is_played_as_written() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(directory().join("manifest.json")).unwrap()).unwrap();
    let mut ran = 0;
    let mut wrong = Vec::new();
    for (path, mut vector) in vectors() {
        let (steps, outcome) = play(&vector);
        if update {
            for (exchange, step) in vector.exchange.iter_mut().zip(steps) {
                exchange.expect = step;
            }
            vector.outcome = outcome;
            // Moved into place: the other tests of this file read it at the same time.
            let written = path.with_extension("new");
            std::fs::write(&written, serde_json::to_string_pretty(&vector).unwrap() + "\n").unwrap();
            std::fs::rename(written, &path).unwrap();
        } else {
            for (index, (exchange, step)) in vector.exchange.iter().zip(&steps).enumerate() {
                if exchange.expect != *step {
                    wrong.push(format!(
                        "{} step {index}:\n  expected {}\n  found    {step}",
                        vector.name, exchange.expect
                    ));
                }
            }
            if vector.outcome != outcome {
                wrong.push(format!("{} outcome:\n  expected {}\n  found    {outcome}", vector.name, vector.outcome));
            }
        }
        ran += 1;
    }
    assert_eq!(manifest["vectors"], json!(ran), "manifest.json counts another number of vectors");
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}

/// What must hold in every transcript, whatever its expectations say.
#[test]
fn no_transcript_breaks_a_promise() {
    for (_, vector) in vectors() {
        let name = &vector.name;
        let (steps, outcome) = play(&vector);
        let kind = |step: &Value| step["step"].as_str().unwrap_or_default().to_owned();
        let sql = |step: &Value| step["sql"].as_str().unwrap_or_default().to_owned();
        let effect = |step: &Value| {
            kind(step) == "effect" || sql(step).starts_with("UPDATE") && !sql(step).contains("SET status")
        };
        // What a rollback took back never was; an author's function is called once all the same.
        let calls = steps.iter().filter(|step| kind(step) == "effect").count();
        let lasting = steps.iter().rposition(|step| kind(step) == "pause").unwrap_or_default();
        let effects = steps.iter().skip(lasting).filter(|step| effect(step)).count();
        let commits = steps.iter().filter(|step| kind(step) == "commit").count();
        let undone = steps.windows(2).any(|pair| effect(&pair[0]) && kind(&pair[1]) == "rollback");
        let last = steps.last().map(kind).unwrap_or_default();
        assert!(effects <= 1 && calls <= 1, "{name}: {effects} effects in one run, {calls} calls");
        match outcome["kind"].as_str().unwrap() {
            "applied" => assert_eq!((effects, last.as_str()), (1, "commit"), "{name}"),
            // What an author wrote before declining was rolled back.
            "conflict" | "refused" if effects == 1 => assert_eq!((undone, last.as_str()), (true, "commit"), "{name}"),
            "conflict" | "tombstoned" => assert_eq!((effects, last.as_str()), (0, "commit"), "{name}"),
            "stored" if effects == 1 => assert_eq!((undone, commits, last.as_str()), (true, 0, "rollback"), "{name}"),
            "stored" | "rehearsed" => assert_eq!((effects, commits, last.as_str()), (0, 0, "rollback"), "{name}"),
            "unknown" => assert_eq!(last, "commit", "{name}"),
            // A key that nobody may use again: claimed, and not finished.
            "released" if outcome["code"] == "TRANSACTION_LOST" && last == "commit" => {
                assert!(commits == 1 && sql(&steps[steps.len() - 2]).starts_with("INSERT"), "{name}");
            }
            // Or BEGIN itself failed, or it was rolled back.
            "released" if last == "begin" && steps.len() > 1 => {
                assert_eq!(outcome["code"], "TRANSACTION_LOST", "{name}")
            }
            "released" => assert!(last == "rollback" || steps.len() == 1, "{name}: {last}"),
            "refused" => assert!(steps.is_empty(), "{name}"),
            other => panic!("{name}: {other}"),
        }
        // No value of the job stands in SQL, and every statement has as many placeholders as parameters.
        for step in &steps {
            let (sql, params) = (sql(step), step["params"].as_array().map_or(0, Vec::len));
            for value in ["acme", "waived", "wrp_1", "sha256:"] {
                assert!(!sql.contains(value), "{name}: `{value}` stands in {sql}");
            }
            let mark = if vector.job["dialect"] == "sqlite" { '?' } else { '$' };
            let used: BTreeSet<&str> =
                sql.split(mark).skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap()).collect();
            assert_eq!(used.len(), params, "{name}: {sql}");
        }
    }
}

/// Every statement is a round trip. A direct UPDATE on Postgres takes three between BEGIN and COMMIT, a conflict two.
#[test]
fn postgres_takes_at_most_three_round_trips() {
    let rounds = |name: &str| {
        let (_, vector) = vectors().into_iter().find(|(_, vector)| vector.name == name).unwrap();
        let (steps, _) = play(&vector);
        assert_eq!((&steps[0]["step"], &steps[steps.len() - 1]["step"]), (&json!("begin"), &json!("commit")), "{name}");
        assert!(steps[1..steps.len() - 1].iter().all(|step| step["step"] == "run"), "{name}");
        steps.len() - 2
    };
    assert_eq!(rounds("postgres-applied"), 3);
    assert_eq!(rounds("postgres-version-moved"), 2);
    assert_eq!(rounds("postgres-tombstone"), 2);
}
