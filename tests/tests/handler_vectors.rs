//! The handler against the vectors that every language runs: `vectors/{signature,hmac,request,config,numbers,version,
//! fingerprint,handler,errors}.json`. `vectors/README.md` says what each file holds.
//!
//! `UPDATE=1` rewrites steps and answers in `handler.json` and the answers in `errors.json`, and nothing else. Read the
//! diff before you commit it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use signoff::guard::Dialect;
use signoff::handler::{
    self, AuthorResult, Handler, HandlerConfig, HandlerGuard, Policy, Received, Reply, Response, SigningSecrets, Step,
};
use signoff::primitives::{HmacKey, Instant, Scalar, Secret};
use signoff::{Code, Error};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn write(name: &str, value: &Value) {
    let mut out = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b" ");
    serde::Serialize::serialize(value, &mut serde_json::Serializer::with_formatter(&mut out, form)).unwrap();
    out.push(b'\n');
    std::fs::write(path(name), out).unwrap();
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

fn list<'a>(of: &'a Value, key: &str) -> &'a Vec<Value> {
    of[key].as_array().unwrap_or_else(|| panic!("{key} in {of}"))
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_else(|| panic!("{key} in {of}"))
}

fn secrets(texts: &[Value]) -> signoff::Result<SigningSecrets> {
    SigningSecrets::new(texts.iter().map(|text| Secret::new(text.as_str().unwrap().to_owned())))
}

fn instant(text: &Value) -> Instant {
    Instant::parse(text.as_str().unwrap()).unwrap()
}

fn policy(case: &Value) -> Policy {
    serde_json::from_value(case["policy"].clone()).unwrap()
}

fn headers(case: &Value) -> Vec<(String, String)> {
    let line = |line: &Value| (line[0].as_str().unwrap().to_owned(), line[1].as_str().unwrap().to_owned());
    case.get("headers").and_then(Value::as_array).into_iter().flatten().map(line).collect()
}

/// The bytes of a case's body: `body`, `body_base64`, or the file's own, with `…` filled up to `pad_to` bytes.
fn body(file: &Value, case: &Value) -> Vec<u8> {
    if let Some(encoded) = case.get("body_base64").and_then(Value::as_str) {
        return decode(encoded);
    }
    padded(case.get("body").unwrap_or(&file["body"]).as_str().unwrap(), case).into_bytes()
}

fn padded(text: &str, case: &Value) -> String {
    match case.get("pad_to").and_then(Value::as_u64) {
        Some(length) => text.replace('…', &"x".repeat(length as usize - (text.len() - '…'.len_utf8()))),
        None => text.to_owned(),
    }
}

/// Padded base64, for the few bodies that are no text.
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = chunk.iter().fold(0_u32, |bits, b| bits << 6 | ALPHABET.find(char::from(*b)).unwrap() as u32);
        let bytes = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        out.extend(&bytes[1..chunk.len()]);
    }
    out
}

/// Compares an outcome with what a case expects: a code, or members of what came out.
fn compare(wrong: &mut Vec<String>, case: &Value, found: signoff::Result<Value>) {
    let expected = &case["expect"];
    let found = match found {
        Err(error) => json!({ "code": error.code() }),
        Ok(value) => match expected["ok"].as_object() {
            Some(members) => {
                let members: Map<String, Value> = members.keys().map(|key| (key.clone(), value[key].clone())).collect();
                json!({ "ok": members })
            }
            None if expected["ok"] == true => json!({ "ok": true }),
            None => json!({ "ok": value }),
        },
    };
    if found != *expected {
        wrong.push(format!("{}: expected {expected}, found {found}", text(case, "name")));
    }
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn signatures() {
    let file = read("signature.json");
    let mut wrong = Vec::new();
    for case in list(&file, "cases") {
        let now = instant(case.get("now").unwrap_or(&file["now"]));
        let verified = secrets(list(case, "secrets"))
            .and_then(|secrets| handler::verify(&body(&file, case), headers(case), &secrets, now, policy(case)));
        compare(&mut wrong, case, verified.map(|job| serde_json::to_value(job).unwrap()));
    }
    for case in list(&file, "sign") {
        let secrets = secrets(&[case["secret"].clone()]).unwrap();
        let now = Instant::from_unix(case["now_unix"].as_i64().unwrap()).unwrap();
        let signed = handler::sign(text(case, "body").as_bytes(), &secrets, text(case, "key"), now).unwrap();
        for (member, header) in
            [("webhook_signature", "webhook-signature"), ("x_synapsor_signature", "x-synapsor-signature")]
        {
            if let Some(expected) = case.get(member) {
                assert_eq!(signed[header], *expected, "{}", case["source"]);
            }
        }
    }
    none(&wrong);
}

fn config(of: &Value) -> signoff::Result<Handler> {
    HandlerConfig::from_json(&of.to_string()).and_then(Handler::new)
}

/// The file's handler, or the case's own.
fn handler_of(file: &Value, case: &Value) -> Handler {
    config(case.get("config").unwrap_or(&file["config"])).unwrap()
}

/// Signs a case's body, adds or replaces its headers, and delivers it.
fn deliver(file: &Value, case: &Value) -> (Handler, Vec<u8>, Vec<(String, String)>) {
    let body = body(file, case);
    let key = case.get("key").and_then(Value::as_str).unwrap_or("wrp_1:INV-3001");
    let secrets = secrets(&[file["secret"].clone()]).unwrap();
    // A body that is too large cannot be signed; that is not what its case is about.
    let signed = handler::sign(&body, &secrets, key, instant(&file["now"])).unwrap_or_default();
    let own = headers(case);
    let kept = signed.into_iter().filter(|(name, _)| !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    (handler_of(file, case), body, kept.chain(own.clone()).collect())
}

fn accept(file: &Value, case: &Value) -> signoff::Result<HandlerGuard> {
    let (handler, body, headers) = deliver(file, case);
    handler.accept(&body, headers, instant(&file["now"]))
}

#[test]
fn requests() {
    let file = read("request.json");
    let mut wrong = Vec::new();
    for case in list(&file, "cases") {
        let found = accept(&file, case);
        // What a router sends says the same.
        let (handler, body, headers) = deliver(&file, case);
        if let (Received::Respond(response), Err(error)) =
            (handler.receive(&body, headers, instant(&file["now"])), &found)
        {
            assert_eq!(response, Response::error(error));
        }
        compare(&mut wrong, case, found.map(|guard| serde_json::to_value(guard.job()).unwrap()));
    }
    none(&wrong);
}

#[test]
fn tags() {
    let file = read("hmac.json");
    for case in list(&file, "cases") {
        let bytes = |key: &str| hex::decode(text(case, key)).unwrap();
        let found = HmacKey::new(&bytes("key")).verify(&[&bytes("msg")], &bytes("tag"));
        assert_eq!(found, case["expect"] == true, "{case}");
    }
}

#[test]
fn configurations() {
    let mut wrong = Vec::new();
    for case in list(&read("config.json"), "cases") {
        compare(&mut wrong, case, config(&case["config"]).map(|_| Value::Null));
    }
    none(&wrong);
}

#[test]
fn numbers_and_results() {
    let file = read("numbers.json");
    let mut wrong = Vec::new();
    for case in list(&file, "rows_affected") {
        let result = format!(r#"{{"status":"applied","rows_affected":{}}}"#, text(case, "rows_affected"));
        compare(
            &mut wrong,
            case,
            AuthorResult::parse(&result).map(|result| match result {
                AuthorResult::Applied(applied) => applied.rows_affected.into(),
                other => panic!("{other:?}"),
            }),
        );
    }
    for case in list(&file, "results") {
        let result = padded(text(case, "result"), case);
        compare(&mut wrong, case, AuthorResult::parse(&result).map(|_| Value::Null));
        // A reply carries the same.
        if !result.is_empty() {
            assert_eq!(
                Reply::parse(&format!(r#"{{"author":{result}}}"#)).is_ok(),
                case["expect"]["ok"] == true,
                "{result}"
            );
        }
    }
    none(&wrong);
}

#[test]
fn versions() {
    for case in list(&read("version.json"), "cases") {
        let dialect: Dialect = serde_json::from_value(case["dialect"].clone()).unwrap();
        let scalar = |key: &str| serde_json::from_value::<Scalar>(case[key].clone()).unwrap();
        assert_eq!(dialect.same_version(&scalar("expected"), &scalar("live")), case["same"], "{case}");
    }
}

#[test]
fn fingerprints() {
    let file = read("fingerprint.json");
    let first = text(&list(&file, "cases")[0], "fingerprint");
    for case in list(&file, "cases") {
        let fingerprint = accept(&file, case).unwrap().fingerprint().to_string();
        assert_eq!(
            (fingerprint.as_str(), fingerprint == first),
            (text(case, "fingerprint"), case["same_as_first"] == true),
            "{}",
            case["name"]
        );
    }
}

/// Plays the replies of a case; answers it with the steps, the fault and the answer that came of them.
fn played(file: &Value, case: &Value) -> Value {
    let name = text(case, "name");
    let mut guard = accept(file, case).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut steps = Vec::new();
    for reply in list(case, "replies") {
        assert!(!matches!(guard.step(), Step::Done { .. }), "{name}: done after {} replies", steps.len());
        steps.push(serde_json::to_value(guard.step()).unwrap());
        guard.next(Reply::parse(&reply.to_string()).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    let Step::Done { response } = guard.step().clone() else { panic!("{name}: it wants {:?}", guard.step()) };
    assert_eq!(*guard.next(Reply::Threw), Step::Done { response: response.clone() }, "{name}: done is done");
    let mut case = case.clone();
    case["steps"] = steps.into();
    case["fault"] = json!(guard.fault().map(Error::code));
    case["response"] = serde_json::to_value(response).unwrap();
    case
}

#[test]
fn transcripts() {
    let mut file = read("handler.json");
    let played: Vec<Value> = list(&file, "cases").iter().map(|case| played(&file, case)).collect();
    let wrong: Vec<String> = list(&file, "cases")
        .iter()
        .zip(&played)
        .filter(|(expected, found)| expected != found)
        .map(|(expected, found)| format!("expected {expected:#}\nfound {found:#}"))
        .collect();
    if updating() {
        file["cases"] = played.into();
        write("handler.json", &file);
    } else {
        none(&wrong);
    }
}

#[test]
fn answers_to_errors() {
    let mut file = read("errors.json");
    for case in file["cases"].as_array_mut().unwrap() {
        let code = Code::parse(text(case, "code")).unwrap_or_else(|| panic!("{case}"));
        let error = case["context"].as_object().unwrap().iter().fold(Error::new(code), |error, (field, value)| {
            error.with(String::leak(field.clone()), value.as_str().unwrap())
        });
        let found = serde_json::to_value(Response::error(&error)).unwrap();
        let retryable = json!(error.retryable());
        if updating() {
            (case["response"], case["retryable"]) = (found, retryable);
        } else {
            assert_eq!((&case["response"], &case["retryable"]), (&found, &retryable), "{code}");
        }
    }
    if updating() {
        write("errors.json", &file);
    }
}

/// Codes that a vector expects, in any file.
fn expected_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for name in ["signature.json", "request.json", "config.json"] {
        codes.extend(
            list(&read(name), "cases").iter().filter_map(|case| case["expect"]["code"].as_str().map(str::to_owned)),
        );
    }
    for name in ["rows_affected", "results"] {
        let file = read("numbers.json");
        codes.extend(list(&file, name).iter().filter_map(|case| case["expect"]["code"].as_str().map(str::to_owned)));
    }
    for case in list(&read("handler.json"), "cases") {
        let body: Value = serde_json::from_str(text(&case["response"], "body")).unwrap();
        codes.extend(body["safe_error_code"].as_str().map(str::to_owned));
    }
    codes
}

/// Every error that a handler answers has a vector that leads to it, and is among the errors that are answered.
#[test]
fn every_code_has_a_vector() {
    let errors = read("errors.json");
    let listed: BTreeSet<String> = list(&errors, "cases").iter().map(|case| text(case, "code").to_owned()).collect();
    let expected = expected_codes();
    let own = ["CREDIT_LIMIT", "ACCOUNT_CLOSED", "PROPOSAL_CANCELED"].map(str::to_owned);
    let unlisted: Vec<_> = expected.iter().filter(|code| !listed.contains(*code) && !own.contains(code)).collect();
    assert!(unlisted.is_empty(), "errors.json lacks {unlisted:?}");
    let untried: Vec<_> =
        listed.iter().filter(|code| !expected.contains(*code) && *code != "METHOD_NOT_ALLOWED").collect();
    assert!(untried.is_empty(), "no vector leads to {untried:?}");
    // The catalogue's section is whole.
    let source =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/src/error/catalogue.rs"))
            .unwrap();
    let section = source.split("// The handler: ").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in section.lines().filter(|line| line.contains(" = \"")) {
        let code = line.split('"').nth(1).unwrap();
        assert!(listed.contains(code), "errors.json lacks {code}");
    }
}

#[test]
fn the_manifest_counts_them() {
    let mut counts = BTreeMap::new();
    for name in ["signature", "hmac", "request", "config", "version", "fingerprint", "handler", "errors"] {
        counts.insert(name.to_owned(), list(&read(&format!("{name}.json")), "cases").len());
    }
    let numbers = read("numbers.json");
    counts.insert("signature.sign".to_owned(), list(&read("signature.json"), "sign").len());
    counts.insert("numbers.rows_affected".to_owned(), list(&numbers, "rows_affected").len());
    counts.insert("numbers.results".to_owned(), list(&numbers, "results").len());
    counts
        .insert("guard".to_owned(), usize::try_from(read("guard/manifest.json")["vectors"].as_u64().unwrap()).unwrap());
    let counts = json!(counts);
    if updating() {
        write("manifest.json", &counts);
    }
    assert_eq!(read("manifest.json"), counts, "manifest.json counts other numbers");
}

#[test]
fn names_are_unique() {
    for name in ["signature", "request", "config", "version", "fingerprint", "handler"] {
        let file = read(&format!("{name}.json"));
        let names: BTreeSet<&str> = list(&file, "cases").iter().map(|case| text(case, "name")).collect();
        assert_eq!(names.len(), list(&file, "cases").len(), "{name}.json");
    }
}
