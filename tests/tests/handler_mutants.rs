//! Requests made wrong by chance: none is accepted that should not be, none panics, and the verdicts are the recorded ones.
//! 2,000 of them, or all 100,000 with `SIGNOFF_FULL=1`. `UPDATE=1` rewrites the digests in `vectors/mutants.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signoff::Code;
use signoff_tests::mutants::{corpus, judge, line, secrets};

#[test]
fn verdicts_hold_and_are_the_recorded_ones() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/mutants.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let full = update || std::env::var_os("SIGNOFF_FULL").is_some_and(|value| value == "1");
    let seed = file["seed"].as_u64().unwrap();
    let counts: Vec<u64> = file["digests"].as_object().unwrap().keys().map(|count| count.parse().unwrap()).collect();
    let wanted = if full { counts.iter().max() } else { counts.iter().min() };
    let secrets = secrets();
    let mut digest = Sha256::new();
    let mut codes: BTreeMap<Option<Code>, u64> = BTreeMap::new();
    for mutant in corpus(seed, *wanted.unwrap()) {
        if let (Some(expected), false) = (file["digests"][mutant.index.to_string()].as_str(), update) {
            assert_eq!(hex::encode(digest.clone().finalize()), expected, "the first {}", mutant.index);
        } else if update && counts.contains(&mutant.index) {
            file["digests"][mutant.index.to_string()] = json!(hex::encode(digest.clone().finalize()));
        }
        let verdict = judge(&mutant, &secrets);
        digest.update(line(&mutant, &verdict).as_bytes());
        digest.update(b"\n");
        *codes.entry(verdict.as_ref().err().map(signoff::Error::code)).or_default() += 1;
        if let Ok(job) = verdict {
            assert!(!mutant.broken, "{mutant:?}: the body was changed after it was signed");
            assert!(!job.patch.is_empty() && !job.tenant_id.is_empty() && !job.object_id.is_empty(), "{job:?}");
            let allowed = job.allowed_columns.as_ref();
            let guarded = [&job.target.primary_key.column, &job.tenant_column, &job.expected_version.column];
            for column in job.patch.keys() {
                assert!(
                    allowed.is_none_or(|allowed| allowed.contains(column)) && !guarded.contains(&column),
                    "{job:?}"
                );
            }
        }
    }
    let found = hex::encode(digest.finalize());
    let last = wanted.unwrap().to_string();
    if update {
        file["digests"][&last] = json!(found);
        std::fs::write(&path, serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
    }
    assert_eq!(file["digests"][&last], json!(found), "{codes:?}");
    // A corpus that is all refused, or refused for one reason, would prove little.
    assert!(codes.get(&None).copied().unwrap_or_default() > 100 && codes.len() >= 12, "{codes:?}");
    println!("{codes:?}");
}
