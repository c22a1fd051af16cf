//! One entry into somebody else's JSON file, which otherwise stays as it is, byte by byte.

use std::ops::Range;

use serde::de::IgnoredAny;

use crate::primitives::json::{self, Node, NodeValue};

/// Sets `text[key][name]` to `entry`, which is pretty JSON. A refusal says why in a few words.
pub(super) fn set(text: &str, key: &str, name: &str, entry: &str) -> Result<String, String> {
    let root = json::parse(text).map_err(|error| refusal(text, &error.message()))?;
    let Some(members) = root.as_object() else { return Err("it holds something else than a JSON object".to_owned()) };
    let unit = indent_of(text, members);
    let lost = || "it cannot be read back".to_owned();
    let Some(servers) = root.get(key) else {
        let inner = format!("{{\n{unit}\"{name}\": {}\n}}", shifted(entry, &unit, &unit));
        return added(text, &root, key, &inner, &unit, 1).ok_or_else(lost);
    };
    match &servers.value {
        NodeValue::Object(_) => {}
        _ => return Err(format!("its \"{key}\" is something else than an object")),
    }
    match servers.get(name) {
        Some(old) => {
            let range = span(text, old).ok_or_else(lost)?;
            let new = shifted(entry, &unit, &unit.repeat(2));
            let mut out = text.to_owned();
            out.replace_range(range, &new);
            Ok(out)
        }
        None => added(text, servers, name, &shifted(entry, &unit, ""), &unit, 2).ok_or_else(lost),
    }
}

/// An object with one more member at its end; `depth` is that of its members.
fn added(text: &str, object: &Node, key: &str, value: &str, unit: &str, depth: usize) -> Option<String> {
    let range = span(text, object)?;
    let members = object.as_object()?;
    let (inner, outer) = (unit.repeat(depth), unit.repeat(depth - 1));
    let value = value.replace('\n', &format!("\n{inner}"));
    let mut out = text.to_owned();
    match members.last() {
        Some((_, last)) => {
            let end = span(text, last)?.end;
            out.insert_str(end, &format!(",\n{inner}\"{key}\": {value}"));
            // Where everything stood on one line, its end follows on one of its own.
            if !text.get(end..range.end)?.contains('\n') {
                let at = out.len() - (text.len() - range.end) - 1;
                out.insert_str(at, &format!("\n{outer}"));
            }
        }
        None => out.replace_range(range, &format!("{{\n{inner}\"{key}\": {value}\n{outer}}}")),
    }
    Some(out)
}

/// Pretty JSON of two spaces in another indentation, its later lines moved in by `by`.
fn shifted(entry: &str, unit: &str, by: &str) -> String {
    let line = |line: &str| {
        let inside = line.trim_start_matches(' ');
        format!("{}{inside}", unit.repeat((line.len() - inside.len()) / 2))
    };
    entry.lines().map(line).collect::<Vec<_>>().join(&format!("\n{by}"))
}

/// What the first member stands behind, on a line of its own; else two spaces.
fn indent_of(text: &str, members: &[(String, Node)]) -> String {
    let first = members.first().map(|(_, node)| json::key_offset(text, node.offset));
    let before = first.and_then(|at| text.get(..at)).unwrap_or_default();
    let indent = before.rsplit_once('\n').map_or("", |(_, indent)| indent);
    let usable = !indent.is_empty() && indent.len() <= 8 && indent.chars().all(|c| c == ' ' || c == '\t');
    if usable { indent.to_owned() } else { "  ".to_owned() }
}

fn span(text: &str, node: &Node) -> Option<Range<usize>> {
    let mut values = serde_json::Deserializer::from_str(text.get(node.offset..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(node.offset..node.offset + values.byte_offset())
}

/// Files with comments are common, and editing one would lose or move them.
fn refusal(text: &str, problem: &str) -> String {
    let mut inside = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if inside => drop(characters.next()),
            '"' => inside = !inside,
            '/' if !inside && matches!(characters.peek(), Some('/' | '*')) => {
                return "it has comments, and is not plain JSON".to_owned();
            }
            _ => {}
        }
    }
    problem.to_owned()
}

#[cfg(test)]
mod tests {
    const ENTRY: &str = "{\n  \"command\": \"signoff\",\n  \"args\": [\n    \"mcp\"\n  ]\n}";

    fn set(text: &str) -> String {
        super::set(text, "mcpServers", "signoff", ENTRY).unwrap()
    }

    #[test]
    fn what_was_there_stays_byte_by_byte() {
        let before = "{\n\t\"theme\" :  \"dark\",\n\t\"n\": 1.50e2,\n\t\"mcpServers\": {\n\t\t\"z\": {\"command\":\"x\"},\n\t\t\"a\": { \"url\": \"u\" }\n\t},\n\t\"last\": [ ]\n}\n";
        let after = set(before);
        let added = ",\n\t\t\"signoff\": {\n\t\t\t\"command\": \"signoff\",\n\t\t\t\"args\": [\n\t\t\t\t\"mcp\"\n\t\t\t]\n\t\t}";
        assert_eq!(after, before.replace("\"u\" }", &format!("\"u\" }}{added}")));
        // A second time changes nothing.
        assert_eq!(set(&after), after);
        // Another entry of ours gives way where it stands.
        assert_eq!(set(&after.replace("\"mcp\"", "\"old\"")), after);
    }

    #[test]
    fn every_shape_of_a_file() {
        let expected = "{\n  \"mcpServers\": {\n    \"signoff\": {\n      \"command\": \"signoff\",\n      \"args\": [\n        \"mcp\"\n      ]\n    }\n  }\n}";
        assert_eq!(set("{}"), expected);
        assert_eq!(set("{ }\n"), format!("{expected}\n"));
        assert_eq!(set("{\"mcpServers\": {}}"), expected.replacen("{\n  ", "{", 1).replacen("\n  }\n}", "\n  }}", 1));
        assert_eq!(set("{\n  \"mcpServers\": {}\n}"), expected);
        let last = set("{\n  \"a\": \"}\"\n}\n");
        assert_eq!(last, expected.replacen("{\n", "{\n  \"a\": \"}\",\n", 1) + "\n");
        for text in ["{\"a\": 1}", "{\"mcpServers\": {\"b\": 2}}", "{\"mcpServers\": {\"b\": 2}, \"c\": 3}"] {
            let read: serde_json::Value = serde_json::from_str(&set(text)).unwrap();
            assert_eq!(read.pointer("/mcpServers/signoff/args/0").unwrap(), "mcp", "{text}");
            let mut rest = read.clone();
            rest.pointer_mut("/mcpServers").unwrap().as_object_mut().unwrap().remove("signoff");
            let mut was: serde_json::Value = serde_json::from_str(text).unwrap();
            was.as_object_mut().unwrap().entry("mcpServers").or_insert_with(|| serde_json::json!({}));
            assert_eq!(rest, was);
        }
    }

    #[test]
    fn what_is_not_plain_json_is_left_alone() {
        for (text, problem) in [
            ("{ // mine\n}", "comments"),
            ("{ \"a\": 1, /* b */ \"c\": 2 }", "comments"),
            ("{ \"a\": \"http://x\", }", "line 1"),
            ("[]", "something else than a JSON object"),
            ("{\"mcpServers\": []}", "something else than an object"),
            ("{\"mcpServers\": {}, \"mcpServers\": {}}", "stands twice"),
            ("\u{feff}{}", "line 1"),
        ] {
            let refused = super::set(text, "mcpServers", "signoff", ENTRY).unwrap_err();
            assert!(refused.contains(problem), "{text}: {refused}");
        }
    }
}
