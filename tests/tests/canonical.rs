//! Canonical JSON against the published vectors of RFC 8785.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use signoff::Code;
use signoff::primitives::{canonical, canonical_number, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/jcs.json")).unwrap()
}

fn double(bits: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(bits.as_str().unwrap(), 16).unwrap())
}

#[test]
fn files() {
    let vectors = vectors();
    let files = vectors["files"].as_array().unwrap();
    assert_eq!(files.len(), 6);
    for file in files {
        let input = file["input"].as_str().unwrap();
        json::parse(input).unwrap();
        // The inputs hold floats on purpose: they go through serde_json's reader.
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(hex::encode(canonical(&value).unwrap()), file["output_hex"].as_str().unwrap(), "{}", file["name"]);
    }
}

#[test]
fn numbers() {
    let vectors = vectors();
    let numbers = vectors["numbers_ieee754"].as_array().unwrap();
    assert_eq!(numbers.len(), 24);
    for pair in numbers {
        assert_eq!(canonical_number(double(&pair[0])).unwrap(), pair[1].as_str().unwrap(), "{}", pair[0]);
    }
    for bits in vectors["numbers_must_error"].as_array().unwrap() {
        assert_eq!(canonical_number(double(bits)).unwrap_err().code(), Code::NumberNotExact, "{bits}");
    }
}

/// The published sequence: fixed numbers, a run of the smallest normal ones, then doubles from iterated hashes.
fn sequence(fixed: Vec<f64>) -> impl Iterator<Item = f64> {
    const SMALLEST_NORMAL: u64 = 1 << 52;
    let run = (0..2_000).map(|step| f64::from_bits(SMALLEST_NORMAL + step));
    let blocks = std::iter::successors(Some([0_u8; 32]), |block| Some(Sha256::digest(block).into())).skip(1);
    let hashed = blocks.flat_map(|block| {
        let quarter = |at: usize| f64::from_bits(u64::from_le_bytes(block[at..at + 8].try_into().unwrap()));
        [0, 8, 16, 24].map(quarter)
    });
    fixed.into_iter().chain(run).chain(hashed.filter(|number| number.is_finite() && *number != 0.0))
}

#[test]
fn the_es6_sequence_has_the_published_sums() {
    let vectors = vectors();
    let published = &vectors["es6_sequence"];
    let fixed = published["static"].as_array().unwrap().iter().map(double).collect();
    let lines = if std::env::var_os("SIGNOFF_FULL").is_some_and(|full| full == "1") { 1_000_000 } else { 100_000 };

    let mut sum = Sha256::new();
    let mut line = String::new();
    let mut compared = 0;
    for (index, number) in sequence(fixed).take(lines).enumerate() {
        line.clear();
        writeln!(line, "{:x},{}", number.to_bits(), canonical_number(number).unwrap()).unwrap();
        sum.update(line.as_bytes());
        if let Some(expected) = published["sha256_by_lines"].get((index + 1).to_string()) {
            assert_eq!(hex::encode(sum.clone().finalize()), expected.as_str().unwrap(), "{} lines", index + 1);
            compared += 1;
        }
    }
    assert_eq!(compared, if lines == 100_000 { 3 } else { 4 });
}
