//! Prints the mutation corpus and what Rust says of it, so that other languages can be compared.
//!
//! `mutants corpus|verdicts|digest [COUNT] [SEED]`: a JSON line per request; `index verdict code` per request; or the
//! SHA-256 over those lines, each with its newline.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};
use signoff_tests::mutants::{corpus, judge, line, secrets};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, default| arguments.get(n).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number(1, 2_000), number(2, 1));
    let secrets = secrets();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut digest = Sha256::new();
    let wanted = arguments.first().map_or("digest", String::as_str);
    for mutant in corpus(seed, count) {
        if wanted == "corpus" {
            writeln!(out, "{}", serde_json::to_string(&mutant).unwrap()).unwrap();
            continue;
        }
        let line = line(&mutant, &judge(&mutant, &secrets));
        if wanted == "verdicts" {
            writeln!(out, "{line}").unwrap();
        }
        digest.update(line.as_bytes());
        digest.update(b"\n");
    }
    if wanted == "digest" {
        writeln!(out, "{}", hex::encode(digest.finalize())).unwrap();
    }
}
