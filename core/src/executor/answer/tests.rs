use serde_json::json;

use super::*;
use crate::primitives::Secret;

const PLANTED: [&str; 8] = [
    "planted-token-1",
    "planted-signing-2",
    "planted-read-3",
    "planted-write-4",
    "planted-ledger-5",
    "planted-password-6",
    "whsec_cGxhbnRlZC1zZXZlbi1wbGFudGVkLXNldmVu",
    "planted-env-8",
];

fn masks() -> Masks {
    Masks::new(PLANTED.map(|text| Secret::new(text.to_owned())))
}

fn asked(masks: &Masks) -> Asked<'_> {
    Asked { proposal_id: "wrp_1", idempotency_key: "wrp_1:INV-1", job_id: "wbj_wrp_1", dry_run: false, masks }
}

/// The ending in a word or two.
fn word(answered: &Answered) -> String {
    match answered {
        Answered::Receipt(told) => match told.status {
            Status::Applied => "applied".to_owned(),
            Status::AlreadyApplied => "already_applied".to_owned(),
            Status::Conflict => format!("conflict {}", told.code()),
            Status::Failed => format!("failed {}", told.code()),
        },
        Answered::Rejected(told) => format!("rejected {}", told.code()),
        Answered::TurnedAway(code) => format!("turned away {}", code.as_deref().unwrap_or("-")),
        Answered::Released(code) => format!("released {code}"),
        Answered::Again { reason, unsure } => format!("again {reason}{}", if *unsure { " unsure" } else { "" }),
        Answered::Unknown(_) => "unknown".to_owned(),
    }
}

/// Status, body, ending: the table of this module, line by line.
#[test]
fn the_table_of_answers() {
    let failed =
        |code: &str| json!({"status": "failed", "source_database_mutated": false, "safe_error_code": code}).to_string();
    let applied = r#"{"status":"applied","rows_affected":2,"source_database_mutated":true}"#;
    let mutated = r#"{"status":"failed","source_database_mutated":true}"#;
    let cases: &[(&[u16], &str, &str)] = &[
        // A receipt of 2xx is for good.
        (&[200, 201, 202, 299], applied, "applied"),
        (&[200], r#"{"status":"applied"}"#, "applied"),
        (&[200], r#"{"status":"applied","rows_affected":0,"source_database_mutated":false}"#, "applied"),
        (&[200], r#"{"status":"applied","rows_affected":0,"source_database_mutated":true}"#, "applied"),
        (&[200], r#"{"status":"already_applied","rows_affected":1,"source_database_mutated":true}"#, "already_applied"),
        (&[200], r#"{"status":"conflict","safe_error_code":"VERSION_CONFLICT"}"#, "conflict VERSION_CONFLICT"),
        (&[200], r#"{"status":"failed","error_code":"LIMIT_REACHED"}"#, "failed LIMIT_REACHED"),
        (&[200], r#"{"status":"failed"}"#, "failed HANDLER_FAILED"),
        (&[200], r#"{"status":"failed","safe_error_code":"spaces and such"}"#, "failed HANDLER_FAILED"),
        (
            &[200],
            r#"{"status":"failed","safe_error_code":null,"new_version":null,"details":null}"#,
            "failed HANDLER_FAILED",
        ),
        (
            &[200],
            r#"{"status":"applied","proposal_id":"wrp_1","idempotency_key":"wrp_1:INV-1","writeback_job_id":"hwb_wrp_1"}"#,
            "applied",
        ),
        (
            &[200],
            r#"{"status":"applied","new_version":12345678901234567890,"receipt_id":"r1","details":[1]}"#,
            "applied",
        ),
        // What is no receipt is none.
        (&[200, 204, 500, 302, 408], "", "unknown"),
        (&[200], "[]", "unknown"),
        (&[200], "null", "unknown"),
        (&[200], r#"{"status":"ok"}"#, "unknown"),
        (&[200], r#"{"status":"Applied"}"#, "unknown"),
        (&[200], r#"{"status":true}"#, "unknown"),
        (&[200], r#"{"status":["applied"]}"#, "unknown"),
        (&[200], r#"{"ok":true}"#, "unknown"),
        (&[200], r#"{"status":"applied""#, "unknown"),
        (&[200], r#"{"status":"applied"} {"status":"failed"}"#, "unknown"),
        (&[200], r#"{"status":"failed","status":"applied"}"#, "unknown"),
        (&[200], r#"{"status":"applied","details":{"a":1,"a":2}}"#, "unknown"),
        (&[200], r#"{"status":"applied","rows_affected":"1"}"#, "unknown"),
        (&[200], r#"{"status":"applied","rows_affected":-1}"#, "unknown"),
        (&[200], r#"{"status":"applied","rows_affected":1.5}"#, "unknown"),
        (&[200], r#"{"status":"applied","rows_affected":1e400}"#, "unknown"),
        (&[200], r#"{"status":"applied","rows_affected":9007199254740993}"#, "unknown"),
        (&[200], r#"{"status":"applied","source_database_mutated":"true"}"#, "unknown"),
        (&[200], r#"{"status":"applied","new_version":{}}"#, "unknown"),
        (&[200], r#"{"status":"failed","safe_error_code":7}"#, "unknown"),
        (&[200], r#"{"status":"applied","x":"\ud800"}"#, "unknown"),
        // One that cannot be true, or is not of this.
        (&[200], r#"{"status":"applied","rows_affected":1,"source_database_mutated":false}"#, "unknown"),
        (&[200], r#"{"status":"conflict","rows_affected":1}"#, "unknown"),
        (&[200, 400, 401, 404, 413, 429, 500, 503], mutated, "unknown"),
        (&[200], r#"{"status":"applied","details":{"dry_run":true}}"#, "unknown"),
        (&[200, 500], r#"{"status":"applied","proposal_id":"wrp_2"}"#, "unknown"),
        (&[200], r#"{"status":"applied","idempotency_key":"wrp_2:INV-1"}"#, "unknown"),
        (&[200], r#"{"status":"applied","writeback_job_id":"hwb_wrp_2"}"#, "unknown"),
        (&[201, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503], "x", ""),
        (&[300, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 503], applied, "unknown"),
        // Turned away.
        (&[401, 403, 404, 405], "<html>", "turned away -"),
        (&[401], &failed("INVALID_SIGNATURE"), "turned away INVALID_SIGNATURE"),
        (&[403], r#"{"safe_error_code":"X"}"#, "turned away -"),
        // Refused.
        (&[400], "", "rejected HANDLER_HTTP_400"),
        (&[413], "<html>", "rejected HANDLER_HTTP_413"),
        (&[422], &failed("IDEMPOTENCY_KEY_REUSED"), "rejected IDEMPOTENCY_KEY_REUSED"),
        (&[400], &failed("OUTCOME_UNKNOWN"), "unknown"),
        // Later.
        (&[409, 503, 500], &failed("IDEMPOTENCY_IN_FLIGHT"), "again IDEMPOTENCY_IN_FLIGHT unsure"),
        (&[200], &failed("IDEMPOTENCY_IN_FLIGHT"), "again IDEMPOTENCY_IN_FLIGHT unsure"),
        (&[200], &failed("IDEMPOTENCY_RECEIPT_IN_PROGRESS"), "again IDEMPOTENCY_RECEIPT_IN_PROGRESS unsure"),
        (&[429], "slow down", "again status 429"),
        (&[429], &failed("OUTCOME_UNKNOWN"), "again status 429 with OUTCOME_UNKNOWN unsure"),
        (&[503], &failed("SOURCE_BUSY"), "again SOURCE_BUSY"),
        (&[503], &failed("OUTCOME_UNKNOWN"), "again OUTCOME_UNKNOWN unsure"),
        // Nothing happened, it says.
        (
            &[500, 502, 503],
            &failed("HANDLER_BUSINESS_ERROR").replace("ERROR", "TROUBLE"),
            "released HANDLER_BUSINESS_TROUBLE",
        ),
        (&[500], &failed("HANDLER_BUSINESS_ERROR"), "released HANDLER_BUSINESS_ERROR"),
        (&[409], &failed("STORED_VALUE_DIFFERS"), "released STORED_VALUE_DIFFERS"),
        // Unless its code says otherwise, or it says nothing.
        (&[500], &failed("HANDLER_TRANSACTION_BROKEN"), "unknown"),
        (&[500], &failed("TRANSACTION_LOST"), "unknown"),
        (&[500], &failed("OUTCOME_UNKNOWN"), "unknown"),
        (&[409, 500, 503], r#"{"status":"conflict"}"#, "unknown"),
        (&[500, 502, 503, 504, 599], "oops", "unknown"),
        (
            &[100, 101, 199, 300, 301, 302, 307, 308, 402, 406, 408, 409, 410, 415, 418, 425, 451, 600, 999],
            "",
            "unknown",
        ),
    ];
    let masks = masks();
    for (statuses, body, expected) in cases.iter().filter(|(_, _, expected)| !expected.is_empty()) {
        for status in *statuses {
            assert_eq!(word(&judge(*status, body.as_bytes(), &asked(&masks))), *expected, "{status} {body}");
        }
    }
    assert_eq!(word(&judge(200, b"\xff", &asked(&masks))), "unknown");
    assert_eq!(word(&judge(200, "[".repeat(MAX_ANSWER).as_bytes(), &asked(&masks))), "unknown");
}

#[test]
fn a_dry_run_that_wrote_is_not_believed() {
    let masks = masks();
    let asked = Asked { dry_run: true, ..asked(&masks) };
    let answer = |body: &str| word(&judge(200, body.as_bytes(), &asked));
    assert_eq!(
        answer(r#"{"status":"applied","rows_affected":0,"source_database_mutated":false,"details":{"dry_run":true}}"#),
        "applied"
    );
    assert_eq!(answer(r#"{"status":"applied","rows_affected":2}"#), "unknown");
    assert_eq!(answer(r#"{"status":"applied","source_database_mutated":true}"#), "unknown");
}

#[test]
fn what_is_kept_of_an_answer() {
    let masks = masks();
    let body = json!({"status": "applied", "rows_affected": 2, "new_version": "2026-06-20T14:31:09Z", "previous_version": PLANTED[0],
        "new_object_id": "cr_1", "details": {"effects": [{"kind": "db.insert"}], "note": format!("see {}", PLANTED[3])}})
    .to_string();
    let Answered::Receipt(told) = judge(200, body.as_bytes(), &asked(&masks)) else { panic!("{body}") };
    assert_eq!((told.rows_affected, told.mutated), (2, true));
    assert_eq!((told.previous_version, told.new_version), (None, Some("2026-06-20T14:31:09Z".into())));
    let expected = json!({"new_object_id": "cr_1", "effects": [{"kind": "db.insert"}], "note": "[redacted]"});
    assert_eq!(told.details, Some(expected));
    let long = json!({"status": "applied", "details": vec!["x".repeat(1_000); 100]}).to_string();
    let Answered::Receipt(told) = judge(200, long.as_bytes(), &asked(&masks)) else { panic!() };
    assert_eq!(told.details, Some(json!({"omitted": "longer than 65536 bytes"})));
}

/// A generator that gives the same again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }
}

/// Answers built from receipts and broken in ways that are known: applied exactly if nothing was broken.
#[test]
fn a_hostile_answer_is_never_applied_and_never_repeats_a_secret() {
    let rounds = if std::env::var_os("SIGNOFF_FULL").is_some() { 10_000 } else { 2_000 };
    let masks = masks();
    let asked = asked(&masks);
    let (mut applied, mut other) = (0, 0);
    for seed in 1..=rounds {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed * 0x1000_0001));
        let mut status = [200, 201, 202][dice.roll(3)];
        let secret = PLANTED[dice.roll(8)];
        let mut members = vec![
            ("status".to_owned(), format!("\"{}\"", dice.pick(&["applied", "already_applied"]))),
            ("rows_affected".to_owned(), dice.pick(&["1", "2", "17"]).to_owned()),
            ("source_database_mutated".to_owned(), "true".to_owned()),
        ];
        let mut valid = true;
        let mut tail = String::new();
        for _ in 0..dice.roll(5) {
            let mut set = |name: &str, value: String| {
                members.retain(|(known, _)| known != name);
                members.push((name.to_owned(), value));
            };
            match dice.roll(16) {
                // Harmless: what a handler may well say.
                0 => set("details", format!("{{\"note\":\"{secret}\",\"{secret}\":[1e400,\"x {secret} y\"]}}")),
                1 => set("new_version", dice.pick(&["\"v2\"", "7", "18446744073709551616", "null"]).to_owned()),
                2 => set(&format!("own_{}", dice.roll(9)), format!("\"{secret}\"")),
                3 => set("idempotency_key", "\"wrp_1:INV-1\"".to_owned()),
                4 => set("previous_version", format!("\"{secret}\"")),
                // Not.
                5 => {
                    set(
                        "status",
                        dice.pick(&[
                            "\"conflict\"",
                            "\"failed\"",
                            "\"APPLIED\"",
                            "\"\"",
                            "null",
                            "1",
                            "{}",
                            "\"applied \"",
                        ])
                        .to_owned(),
                    );
                    valid = false;
                }
                6 => {
                    set(
                        "rows_affected",
                        dice.pick(&["-1", "1.0", "\"1\"", "true", "1e3", "99999999999999999999", "[]"]).to_owned(),
                    );
                    valid = false;
                }
                7 => {
                    set("source_database_mutated", dice.pick(&["\"true\"", "1", "null", "[]"]).to_owned());
                    valid = false;
                }
                8 => {
                    set(dice.pick(&["proposal_id", "idempotency_key", "writeback_job_id"]), format!("\"{secret}\""));
                    valid = false;
                }
                9 => {
                    members.push(members[dice.roll(members.len())].clone());
                    valid = false;
                    // A twin that a later `set` takes away would mend it.
                    break;
                }
                10 => {
                    tail = dice.pick(&["}", "x", "{}", "\0", ",", "/*"]).to_owned();
                    valid = false;
                }
                11 => {
                    status = [
                        100,
                        204 + 96,
                        301,
                        307,
                        400,
                        401,
                        403,
                        404,
                        408,
                        409,
                        413,
                        418,
                        422,
                        429,
                        500,
                        502,
                        503,
                        504,
                        600,
                    ][dice.roll(19)];
                    valid = false;
                    break;
                }
                12 => {
                    set("new_version", dice.pick(&["[]", "{}"]).to_owned());
                    valid = false;
                    break;
                }
                13 => {
                    set("safe_error_code", dice.pick(&["1", "[]", "true"]).to_owned());
                    valid = false;
                    break;
                }
                14 => {
                    set("deep", format!("{}1{}", "[".repeat(80), "]".repeat(80)));
                    valid = false;
                }
                _ => {
                    set(
                        "text",
                        dice.pick(&["\"\\ud800\"", "\"\\x\"", "\"\n\"", "NaN", "01", "+1", ".5", "'a'"]).to_owned(),
                    );
                    valid = false;
                }
            }
            if !valid {
                break;
            }
        }
        let inside: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let mut body = format!("{{{}}}{tail}", inside.join(",")).into_bytes();
        if dice.roll(10) == 0 {
            body.truncate(dice.roll(body.len()));
            valid = false;
        } else if dice.roll(10) == 0 {
            let at = dice.roll(body.len());
            body.insert(at, 0xff);
            valid = false;
        }
        let answered = judge(status, &body, &asked);
        let landed = matches!(&answered, Answered::Receipt(told) if matches!(told.status, Status::Applied | Status::AlreadyApplied));
        let text = String::from_utf8_lossy(&body);
        assert_eq!(landed, valid, "seed {seed}: {status} {text}\n{answered:?}");
        let shown = format!("{answered:?}");
        assert!(PLANTED.iter().all(|secret| !shown.contains(secret)), "seed {seed}: {text}\n{shown}");
        if landed { applied += 1 } else { other += 1 }
    }
    assert!(applied > rounds / 10 && other > rounds / 10, "{applied} {other}: the dice are loaded");
}
