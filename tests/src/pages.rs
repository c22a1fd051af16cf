//! Pages of the documentation that are made of the contract's tables.

use std::fmt::Write as _;

use signoff::contract::{
    Contract, DIAGNOSTICS, DiagnosticInfo, EXAMPLE, EXAMPLE_CLOUD, KeyInfo, Names, Need, OBJECTS, ObjectInfo, Report,
    Severity, Shape,
};

/// `core/docs/diagnostics.md`.
pub fn diagnostics() -> String {
    let mut page = String::from(
        "# Diagnostics of a contract\n\n\
         Generated from the table of codes; `UPDATE=1 cargo test -p signoff-tests --test generated` writes it.\n\n\
         `signoff config validate` finds these, and so does every call that loads a contract. An **error** refuses the contract; a\n\
         **warning** loads it. Codes are stable: new ones may come, none is renamed or reused. Each stands here with a contract in\n\
         which it is found, most of them one edit away from [the good one at the end](#the-good-contract), and with what is\n\
         printed.\n\n",
    );
    page.push_str("| code | | when |\n|---|---|---|\n");
    for info in DIAGNOSTICS {
        let _ = writeln!(
            page,
            "| [`{0}`](#{1}) | {2} | {3} |",
            info.code,
            info.code.to_lowercase(),
            word(info.severity),
            info.meaning
        );
    }
    for info in DIAGNOSTICS {
        one(&mut page, info);
    }
    let _ = write!(
        page,
        "\n## The good contract\n\n```json\n{EXAMPLE}```\n\nAnd one for mode `cloud`:\n\n```json\n{EXAMPLE_CLOUD}```\n"
    );
    page
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        _ => "error",
    }
}

fn one(page: &mut String, info: &DiagnosticInfo) {
    let _ = write!(page, "\n## {}\n\n{}: {}.", info.code, capital(word(info.severity)), info.meaning);
    if !info.help.is_empty() {
        let _ = write!(page, " {}.", capital(info.help));
    }
    let text = info.example.text();
    let found = match Contract::parse(&text) {
        Ok((_, found)) | Err(found) => found,
    };
    let this: Vec<_> = found.into_iter().filter(|finding| finding.code == info.code).collect();
    let shown = Report { path: "signoff.json", text: &text, diagnostics: &this }.human(false);
    let _ = writeln!(page, "\n\n```text\n{}\n```", shown.trim_end());
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    // A name stays as it is.
    if text.contains('_') && text.split(' ').next().is_some_and(|word| word.contains('_') || word.contains('.')) {
        return text.to_owned();
    }
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What stands between `<!-- keys: NAME -->` and `<!-- end -->` in `core/docs/contract.md`, filled from the table of keys.
///
/// # Panics
/// If a mark names no object, or an object has no mark.
pub fn with_keys(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    let mut seen = Vec::new();
    while let Some((before, after)) = rest.split_once("<!-- keys: ") {
        let (name, after) = after.split_once(" -->").expect("a mark ends");
        let (_, after) = after.split_once("<!-- end -->").expect("a table ends");
        let object =
            OBJECTS.iter().find(|object| object.name == name).unwrap_or_else(|| panic!("there is no object {name}"));
        let _ = write!(out, "{before}<!-- keys: {name} -->\n{}<!-- end -->", table(object));
        seen.push(name);
        rest = after;
    }
    let missing: Vec<&str> =
        OBJECTS.iter().filter(|o| !o.keys.is_empty()).map(|o| o.name).filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no table for {missing:?}");
    out + rest
}

fn table(object: &ObjectInfo) -> String {
    let mut out = String::from("| key | | without it | meaning |\n|---|---|---|---|\n");
    for key in object.keys {
        let _ = writeln!(
            out,
            "| `{}`{} | {} | {} | {} |",
            key.name,
            if key.extension { " ⊕" } else { "" },
            shape(key),
            need(key.need),
            key.meaning
        );
    }
    out
}

fn need(need: Need) -> String {
    match need {
        Need::Required => "**required**".to_owned(),
        Need::When(case) => format!("required if {case}"),
        Need::Default(default) if default.contains(' ') => default.to_owned(),
        Need::Default(default) => format!("`{default}`"),
        Need::Inert => "no effect".to_owned(),
        _ => String::new(),
    }
}

fn shape(key: &KeyInfo) -> String {
    let words = |theirs: &[&str], ours: &[&str]| {
        let all: Vec<String> = theirs
            .iter()
            .map(|word| format!("`{word}`"))
            .chain(ours.iter().map(|word| format!("`{word}` ⊕")))
            .collect();
        all.join(", ")
    };
    let linked = |object: &ObjectInfo| format!("[{0}](#{1})", object.name, object.name.replace(' ', "-"));
    match key.shape {
        Shape::Flag => "true or false".to_owned(),
        Shape::EnvName => "a variable's name".to_owned(),
        Shape::Identifier => "a name".to_owned(),
        Shape::ToolName => "a name with points".to_owned(),
        Shape::Whole(most) if most < u64::MAX => format!("a whole number, 1 to {most}"),
        Shape::Whole(_) => "a whole number from 1".to_owned(),
        Shape::WholeOrNull(most) => format!("a whole number, 1 to {most}, or null"),
        Shape::Digest => "`sha256:` and 64 hex digits".to_owned(),
        Shape::OneOf(numbers) => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
        Shape::Words(theirs, ours) => words(theirs, ours),
        Shape::Number => "a number".to_owned(),
        Shape::Scalar => "text, number, true, false or null".to_owned(),
        Shape::Lifetime => "such as `90m`, `7d`, `never`".to_owned(),
        Shape::Values => "a list of values".to_owned(),
        Shape::Columns => "a list of columns".to_owned(),
        Shape::TextOrTexts => "a text, or a list of texts".to_owned(),
        Shape::UpTo(most) => format!("a whole number, 0 to {most}"),
        Shape::Texts => "a list of texts".to_owned(),
        Shape::ListOf(theirs, ours) => format!("a list of {}", words(theirs, ours)),
        Shape::Transitions => "from a value to a list of values".to_owned(),
        Shape::Free => "an object".to_owned(),
        Shape::Anything => "anything".to_owned(),
        Shape::Object(object) if object.keys.is_empty() => "an empty object".to_owned(),
        Shape::Object(object) => linked(object),
        Shape::Map(Names::Identifier, object) => format!("by name: {}", linked(object)),
        Shape::Map(_, object) => format!("by name: {}", linked(object)),
        Shape::List(object) => format!("a list of {}", linked(object)),
        _ => "text".to_owned(),
    }
}
