//! The stage of the scenario that every face plays, for runners in other languages: `stage make FOLDER`,
//! `stage sql FOLDER SQL`, `stage effects FOLDER`. What it prints is JSON.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;
use signoff_tests::scenario;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let source = |folder: &str| Connection::open(Path::new(folder).join("app.db")).expect("a source");
    let answer = match arguments.as_slice() {
        ["make", folder] => {
            scenario::make(Path::new(folder));
            json!({ "environment": scenario::environment(Path::new(folder)) })
        }
        ["sql", folder, sql] => {
            source(folder).execute_batch(sql).expect("it runs");
            json!(null)
        }
        ["effects", folder] => json!(scenario::effects(Path::new(folder))),
        other => panic!("not a command: {other:?}"),
    };
    println!("{answer}");
}
