//! Requests made wrong in ways that nobody thought of one by one, the same ones for every language: a seed gives a corpus,
//! and a corpus gives a verdict per line. Rust, Python and Node have to agree on all of them.

use serde::Serialize;
use serde_json::{Value, json};
use signoff::handler::{Job, Policy, SigningSecrets, sign, verify};
use signoff::primitives::{Instant, Secret};

/// The secret that the corpus is signed with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One request.
#[derive(Debug, Clone, Serialize)]
pub struct Mutant {
    /// Its number, from 0.
    pub index: u64,
    /// What is asked of it.
    pub policy: Policy,
    /// When it arrives.
    pub now: String,
    /// Its header lines.
    pub headers: Vec<(String, String)>,
    /// Its body, in hex.
    pub body: String,
    /// True if the body was changed after it was signed.
    pub broken: bool,
}

/// SplitMix64: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or_default()
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Text that stands where a value stood.
const ODD: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "1e-400",
    "1e-99999999999999999999",
    "0e99999999999999999999",
    "9007199254740993",
    "18446744073709551616",
    "-0",
    "01",
    "NaN",
    "\"\"",
    "\"a b\"",
    "\"wrp_1:INV-3001\"",
    "\"\\u0000\"",
    "\"a\\u0000\"",
    "\"\u{feff}a\"",
    "\"\u{661}\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude02\"",
    "\"id\"",
    "\"tenant_id\"",
    "\"x\\\"; --\"",
    "[]",
    "{}",
    "[1]",
    "{\"column\":\"id\",\"value\":\"x\"}",
    "\"2026-06-28T00:00:00Z\"",
    "\"2026-06-28T05:30:00+05:30\"",
    "\"1.0\"",
    "\"2.0\"",
    "[\"late_fee_cents\"]",
    "{\"late_fee_cents\":0}",
    "{\"id\":1}",
];

fn base(wrapped: bool) -> Value {
    let target =
        json!({ "schema": "public", "table": "invoices", "primary_key": { "column": "id", "value": "INV-3001" } });
    let guards = json!({ "tenant": { "column": "tenant_id", "value": "acme" }, "allowed_columns": ["late_fee_cents", "waiver_reason"],
        "expected_version": { "column": "updated_at", "value": "2026-06-20T14:31:08Z" } });
    let patch = json!({ "late_fee_cents": 0, "waiver_reason": "a courtesy" });
    if wrapped {
        return json!({ "proposal_id": "wrp_1", "idempotency_key": "wrp_1:INV-3001", "issued_at": "2026-06-28T00:00:00Z",
            "change_set": { "action": "billing.waive_late_fee", "scope": { "tenant_id": "acme", "object_id": "INV-3001" },
                "target": target, "patch": patch, "guards": guards, "principal": { "id": "agent", "source": "trusted_session" } } });
    }
    json!({ "protocol_version": "1.0", "schema_version": "synapsor.handler-writeback.v1", "writeback_job_id": "hwb_wrp_1",
        "proposal_id": "wrp_1", "proposal_version": 1, "proposal_hash": "sha256:22", "action": "billing.waive_late_fee",
        "idempotency_key": "wrp_1:INV-3001", "target": target, "tenant_guard": { "column": "tenant_id", "value": "acme" },
        "allowed_columns": ["late_fee_cents", "waiver_reason"], "before": { "late_fee_cents": 5500 }, "patch": patch,
        "guards": guards, "issued_at": "2026-06-28T00:00:00Z", "dry_run": false })
}

/// A good flat request whose reason is so many characters longer.
#[must_use]
pub fn request(longer: usize) -> String {
    let mut request = base(false);
    request["patch"]["waiver_reason"] = format!("a courtesy{}", "x".repeat(longer)).into();
    request.to_string()
}

/// The signing secrets of the corpus.
///
/// # Panics
/// Never: the secret is a good one.
pub fn secrets() -> SigningSecrets {
    SigningSecrets::new([Secret::new(SECRET.to_owned())]).unwrap()
}

/// The corpus of a seed: as many requests as asked for, always the same ones.
pub fn corpus(seed: u64, count: u64) -> impl Iterator<Item = Mutant> {
    let secrets = secrets();
    (0..count).map(move |index| mutant(seed, index, &secrets))
}

fn mutant(seed: u64, index: u64, secrets: &SigningSecrets) -> Mutant {
    let mut chance = Chance(seed.wrapping_mul(0x1000_0001).wrapping_add(index));
    chance.next();
    let signed_at = Instant::parse("2026-06-28T00:00:00Z").unwrap();
    let mut body = base(chance.below(3) == 0).to_string().into_bytes();
    let policy = if chance.below(2) == 0 { Policy::Strict } else { Policy::Compat };
    let kind = chance.below(10);
    // Changed before it is signed: authentic, and perhaps nonsense.
    match kind {
        0..=2 => replace_value(&mut body, &mut chance),
        3 => remove_member(&mut body, &mut chance),
        4 => bytes(&mut body, &mut chance),
        _ => {}
    }
    let mut headers: Vec<(String, String)> =
        sign(&body, secrets, "wrp_1:INV-3001", signed_at).unwrap_or_default().into_iter().collect();
    let mut broken = false;
    match kind {
        5 => {
            let before = body.clone();
            bytes(&mut body, &mut chance);
            broken = body != before;
        }
        6 | 7 => header(&mut headers, &mut chance),
        _ => {}
    }
    let shift = if kind == 8 { i64::try_from(chance.below(1_400)).unwrap_or_default() - 700 } else { 0 };
    let now = Instant::from_unix(signed_at.unix() + shift).unwrap();
    Mutant { index, policy, now: now.to_string(), headers, body: hex::encode(body), broken }
}

/// Where the values of a JSON text begin and end, found well enough for a text of our own.
fn values(body: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in body.iter().enumerate().filter(|(_, b)| **b == b':') {
        let mut stream = serde_json::Deserializer::from_slice(&body[at + 1..]).into_iter::<Value>();
        if let Some(Ok(_)) = stream.next() {
            found.push((at + 1, at + 1 + stream.byte_offset()));
        }
    }
    found
}

fn replace_value(body: &mut Vec<u8>, chance: &mut Chance) {
    let places = values(body);
    let (from, to) = places[chance.below(places.len())];
    body.splice(from..to, chance.of(ODD).bytes());
}

fn remove_member(body: &mut Vec<u8>, chance: &mut Chance) {
    let places = values(body);
    let (from, to) = places[chance.below(places.len())];
    let start = body[..from].iter().rposition(|b| matches!(b, b',' | b'{')).unwrap_or_default();
    let text = if body[start] == b'{' { &b"{"[..] } else { b"" };
    // A first member leaves its comma behind, which is one more way to be wrong.
    body.splice(start..to, text.iter().copied());
}

fn bytes(body: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(3) {
        let at = chance.below(body.len());
        match chance.below(4) {
            0 => body[at] ^= 1 << chance.below(8),
            1 => drop(body.remove(at)),
            2 => body.insert(at, b"{}[]\":,\\ 0e-.\xff\x00"[chance.below(15)]),
            _ => {
                let end = (at + chance.below(40)).min(body.len());
                let copy = body[at..end].to_vec();
                body.splice(end..end, copy);
            }
        }
    }
}

fn header(headers: &mut Vec<(String, String)>, chance: &mut Chance) {
    let at = chance.below(headers.len());
    match chance.below(6) {
        0 => drop(headers.remove(at)),
        1 => headers.push(headers[at].clone()),
        2 => headers[at].0 = headers[at].0.to_uppercase(),
        3 => headers[at].1 = format!(" {}\t", headers[at].1),
        4 => {
            let odd = [
                "",
                "v1,",
                "v1,bad v1,bad",
                "sha256=00",
                "abc",
                "1782604801",
                "+1",
                "\"wrp_1:INV-3001\"",
                "a.b",
                "2026-06-28T00:00:01Z",
                "é",
            ];
            headers[at].1 = chance.of(&odd).to_owned();
        }
        _ => {
            let mut value = std::mem::take(&mut headers[at].1).into_bytes();
            let place = chance.below(value.len());
            value[place] = b'!' + u8::try_from(chance.below(94)).unwrap_or_default();
            headers[at].1 = String::from_utf8(value).unwrap_or_default();
        }
    }
}

/// What [`verify`] says of it.
///
/// # Errors
/// Its own.
///
/// # Panics
/// If the mutant is not one of ours.
pub fn judge(mutant: &Mutant, secrets: &SigningSecrets) -> signoff::Result<Job> {
    let headers = mutant.headers.iter().map(|(name, value)| (name, value));
    verify(&hex::decode(&mutant.body).unwrap(), headers, secrets, Instant::parse(&mutant.now).unwrap(), mutant.policy)
}

/// The verdict as a line: `index accepted -` or `index refused CODE`.
#[must_use]
pub fn line(mutant: &Mutant, verdict: &signoff::Result<Job>) -> String {
    match verdict {
        Ok(_) => format!("{} accepted -", mutant.index),
        Err(error) => format!("{} refused {}", mutant.index, error.code()),
    }
}
