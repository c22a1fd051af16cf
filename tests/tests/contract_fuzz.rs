//! Contracts, jobs and change sets that nobody wrote: whatever comes, no panic, no hang, the same answer twice, and every
//! code one of the table. `SIGNOFF_FULL=1` makes 100,000 for each of three seeds; `SIGNOFF_SEED` takes another seed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jsonschema::Validator;
use serde_json::Value;
use signoff::contract::{Contract, DIAGNOSTICS, Diagnostic, EXAMPLE, EXAMPLE_CLOUD, Report, Severity};
use signoff::protocol::{ChangeSet, WritebackJob};
use signoff::schema::schema;
use signoff_tests::fuzz::{Chance, mutant};
use signoff_tests::{binary, rounds};

const SEEDS: [u64; 3] = [0x5157_6e6f_6666_0001, 20_260_620, 0xdead_beef_cafe_f00d];

/// A test that waits longer than this for one document is a test that found a hang.
const DEADLINE: Duration = Duration::from_secs(60);

fn vectors(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(path)
}

fn document(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn contracts() -> Vec<Value> {
    let mut bases: Vec<Value> = [EXAMPLE, EXAMPLE_CLOUD].map(|text| serde_json::from_str(text).unwrap()).to_vec();
    bases.push(document(vectors("contracts/billing.sqlite.json")));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(vectors("configs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    bases.extend(files.into_iter().filter(|path| !path.ends_with("expect.json")).map(document));
    bases
}

fn seeds() -> Vec<u64> {
    match std::env::var("SIGNOFF_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => SEEDS.to_vec(),
    }
}

/// What is tried on each document. The answer counts what happened.
type Try = fn(&Judge, &str) -> &'static str;

struct Judge {
    schema: Validator,
}

impl Judge {
    fn of(name: &str) -> Self {
        Self { schema: jsonschema::draft7::options().build(&schema(name).unwrap()).unwrap() }
    }
}

/// Plays so many documents of each seed, with somebody watching that it goes on.
fn play(
    name: &'static str,
    schema: &'static str,
    bases: Vec<Value>,
    most: (u32, u32),
    attempt: Try,
) -> BTreeMap<&'static str, u64> {
    let (count, bases) = (u64::from(rounds(most.0, most.1)), Arc::new(bases));
    let mut total = BTreeMap::new();
    for seed in seeds() {
        let (at, bases) = (Arc::new(AtomicU64::new(0)), bases.clone());
        let (done, ended) = mpsc::channel();
        let progress = at.clone();
        let worker = std::thread::spawn(move || {
            let judge = Judge::of(schema);
            let mut tally: BTreeMap<&'static str, u64> = BTreeMap::new();
            for index in 0..count {
                progress.store(index, Ordering::Relaxed);
                let text = mutant(&mut Chance::of(seed, index), &bases);
                let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attempt(&judge, &text)));
                let verdict = played.unwrap_or_else(|_| panic!("{name}, seed {seed}, document {index}:\n{text}"));
                *tally.entry(verdict).or_default() += 1;
            }
            let _ = done.send(());
            tally
        });
        let mut last = u64::MAX;
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(DEADLINE) {
            let now = at.load(Ordering::Relaxed);
            assert_ne!(now, last, "{name}: seed {seed}, document {now} hangs");
            last = now;
        }
        for (verdict, number) in worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            *total.entry(verdict).or_default() += number;
        }
    }
    eprintln!("{name}: {total:?}");
    total
}

fn found(answer: Result<(Contract, Vec<Diagnostic>), Vec<Diagnostic>>) -> (Option<Contract>, Vec<Diagnostic>) {
    match answer {
        Ok((contract, found)) => (Some(contract), found),
        Err(found) => (None, found),
    }
}

fn contract(judge: &Judge, text: &str) -> &'static str {
    let (contract, findings) = found(Contract::parse(text));
    assert_eq!(found(Contract::parse(text)).1, findings, "twice, and not the same");
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    for finding in &findings {
        let info = DIAGNOSTICS.iter().find(|info| info.code == finding.code).expect("a code of the table");
        assert_eq!(info.severity, finding.severity);
        let length = *lines.get(finding.line - 1).expect("a line of the text");
        assert!((1..=length + 1).contains(&finding.column), "{finding} beyond its line");
    }
    let errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(contract.is_none(), errors, "refused without an error, or loaded with one");
    let report = Report { path: "signoff.json", text, diagnostics: &findings };
    let human = report.human(false);
    assert!(human.chars().all(|c| c == '\n' || !c.is_control()) && !human.contains('\u{202e}'), "{human}");
    let results = report.sarif()["runs"][0]["results"].as_array().unwrap().len();
    assert_eq!(results, findings.len());
    if let Ok(redacted) = Contract::redacted(text) {
        assert!(serde_json::from_str::<Value>(&redacted).is_ok() || redacted.contains("e400"), "{redacted}");
    }
    // A migration reads the text many times over: on one document of four.
    if text.len().is_multiple_of(4) {
        migrated(text, contract.as_ref());
    }
    if contract.is_none() {
        return "refused";
    }
    let document: Value = serde_json::from_str(text).unwrap();
    // `"strict": false` lets pass what a schema would have to refuse.
    if document["strict"] != Value::Bool(false) {
        let errors: Vec<String> =
            judge.schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "loads, and the schema refuses it: {errors:#?}");
    }
    "loaded"
}

/// Migrated once is migrated, and no capability may do more or less than before.
fn migrated(text: &str, contract: Option<&Contract>) {
    let migration = Contract::migrate(text);
    assert_eq!(found(Contract::parse(&migration.text)).1, migration.diagnostics);
    assert_eq!(Contract::migrate(&migration.text).changes, [], "migrated twice");
    let Some(contract) = contract else { return };
    let (migrated, _) = found(Contract::parse(&migration.text));
    let migrated = migrated.expect("a migrated contract still loads");
    for capability in &contract.capabilities {
        let name = &capability.name;
        assert_eq!(contract.authority_of(name), migrated.authority_of(name), "{}", migration.text);
    }
}

fn job(judge: &Judge, text: &str) -> &'static str {
    let (one, two) = (WritebackJob::parse_any(text), WritebackJob::parse_any(text));
    match (one, two) {
        (Ok(job), Ok(again)) => {
            assert_eq!(job, again);
            let written = serde_json::to_value(&job).unwrap();
            assert!(judge.schema.is_valid(&written), "what is written back is no job: {written}");
            assert!(judge.schema.is_valid(&serde_json::from_str(text).unwrap()), "read, and the schema refuses it");
            // A decimal is written as a string, and that is what it is from then on.
            let back = WritebackJob::parse(&written.to_string()).unwrap();
            assert_eq!(serde_json::to_value(&back).unwrap(), written);
            "read"
        }
        (Err(one), Err(two)) => {
            assert_eq!((one.code(), one.message()), (two.code(), two.message()));
            assert!(DOCUMENT.contains(&one.code().as_str()), "{one}");
            "refused"
        }
        _ => panic!("read once and refused once"),
    }
}

/// What a document of the protocol can be refused with.
const DOCUMENT: &[&str] = &["JSON_INVALID", "JSON_DUPLICATE_KEY", "JSON_TOO_DEEP", "DOCUMENT_INVALID"];

fn change_set(judge: &Judge, text: &str) -> &'static str {
    match (ChangeSet::parse(text), ChangeSet::parse(text)) {
        (Ok(set), Ok(again)) => {
            assert_eq!(set, again);
            assert!(judge.schema.is_valid(&serde_json::from_str(text).unwrap()), "read, and the schema refuses it");
            match (set.canonical(), set.digest()) {
                (Ok(canonical), Ok(digest)) => {
                    let back = ChangeSet::parse(&canonical).expect("what is canonical is read");
                    assert_eq!(back.digest().unwrap(), digest);
                    "read"
                }
                (one, two) => {
                    assert_eq!(one.unwrap_err().code().as_str(), "NUMBER_NOT_EXACT");
                    assert_eq!(two.unwrap_err().code().as_str(), "NUMBER_NOT_EXACT");
                    "read, not hashed"
                }
            }
        }
        (Err(one), Err(two)) => {
            assert_eq!((one.code(), one.message()), (two.code(), two.message()));
            assert!(DOCUMENT.contains(&one.code().as_str()), "{one}");
            "refused"
        }
        _ => panic!("read once and refused once"),
    }
}

#[test]
fn contracts_that_nobody_wrote() {
    let tally = play("contracts", "synapsor.runner.schema.json", contracts(), (400, 50_000), contract);
    // A generator that makes only garbage finds nothing.
    assert!(tally["loaded"] > 20 && tally["refused"] > 100, "{tally:?}");
}

#[test]
fn jobs_that_nobody_wrote() {
    let job_1 = document(vectors("synapsor-v1/writeback-job.late-fee-waiver.v1.json"));
    let older = serde_json::json!({"protocol_version": "1.0", "job_id": "wbj_1", "proposal_id": "wrp_1", "approval_id": "sha256:2",
        "source_id": "s", "engine": "mysql", "target": {"schema": "public", "table": "t", "primary_key": {"column": "id", "value": 1},
        "tenant_guard": {"column": "tenant_id", "value": "acme"}}, "allowed_columns": ["a", "b"], "patch": {"a": 1},
        "conflict_guard": {"kind": "version_column", "column": "v", "expected_value": 1}, "idempotency_key": "wrp_1:1",
        "lease_expires_at": "2026-06-20T14:36:00Z"});
    let mut hashed = job_1.clone();
    hashed["conflict_guard"] = serde_json::json!({"kind": "row_hash", "expected_hash": "sha256:1"});
    let tally = play("jobs", "writeback-job.v1.schema.json", vec![job_1, older, hashed], (400, 25_000), job);
    assert!(tally["read"] > 10 && tally["refused"] > 100, "{tally:?}");
}

#[test]
fn change_sets_that_nobody_wrote() {
    let set = document(vectors("synapsor-v1/change-set.late-fee-waiver.v1.json"));
    let tally = play("change sets", "change-set.v1.schema.json", vec![set], (400, 25_000), change_set);
    assert!(tally["read"] > 10 && tally["refused"] > 100, "{tally:?}");
}

/// The program itself, on 200 files, each twice: an exit code of the house, no panic, and the same answer.
#[test]
fn the_program_on_files_that_nobody_wrote() {
    let program = binary("SIGNOFF_BIN", "debug/signoff");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signoff.json");
    let bases = contracts();
    let seeds = seeds();
    let mut exits: BTreeMap<i32, u32> = BTreeMap::new();
    for index in 0..200_u64 {
        let seed = seeds[usize::try_from(index).unwrap() % seeds.len()] ^ 0x00c1_1000;
        let mut chance = Chance::of(seed, index);
        let text = mutant(&mut chance, &bases);
        std::fs::write(&file, &text).unwrap();
        let arguments: &[&str] = chance.pick::<&[&str]>(&[
            &["config", "validate"],
            &["config", "validate", "--format", "json"],
            &["config", "validate", "--format", "sarif"],
            &["config", "show", "--redacted"],
            &["config", "show", "--json"],
            &["config", "migrate"],
            &["config", "migrate", "--json"],
            &["tools", "list"],
            &["tools", "preview", "--json"],
        ]);
        let run = || {
            let mut child = Command::new(&program)
                .args(arguments)
                .current_dir(folder.path())
                .env_remove("SIGNOFF_MCP_CONFIG")
                .env_remove("SYNAPSOR_MCP_CONFIG")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // Somebody else ends it if it does not end by itself.
            let (done, ended) = mpsc::channel::<()>();
            let id = child.id().to_string();
            let watch = std::thread::spawn(move || {
                let hung = ended.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout);
                if hung {
                    let _ = Command::new("kill").args(["-9", &id]).status();
                }
                hung
            });
            child.stdin.take();
            let output = child.wait_with_output().unwrap();
            let _ = done.send(());
            assert!(!watch.join().unwrap(), "seed {seed}, document {index}: {arguments:?} hangs:\n{text}");
            output
        };
        let (one, two) = (run(), run());
        let told =
            format!("seed {seed}, document {index}: {arguments:?}\n{text}\n{}", String::from_utf8_lossy(&one.stderr));
        let code = one.status.code().unwrap_or(-1);
        assert!([0, 1].contains(&code), "exit {code}: {told}");
        assert!(!String::from_utf8_lossy(&one.stderr).contains("panicked"), "{told}");
        assert_eq!((one.status, one.stdout, one.stderr), (two.status, two.stdout, two.stderr), "{told}");
        *exits.entry(code).or_default() += 1;
    }
    assert!(exits.len() == 2, "{exits:?}");
}
