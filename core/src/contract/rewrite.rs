//! A contract's text changed in place: what must not be repeated is masked, what has no effect is taken out. Everything
//! else stays as its author wrote it, to the byte.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::concealed::conceal;
use super::diagnostics::{self as d, Diagnostic};
use super::types::Contract;
use crate::error::Result;
use crate::primitives::json::{self, Node, NodeValue};

/// What stands in place of a value that is not repeated.
const MASK: &str = "\"[redacted]\"";

/// More changes than this are not made in one go: nobody wrote such a file.
const MOST_CHANGES: usize = 500;

/// What [`Contract::migrate`] made of a text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Migration {
    /// The new text.
    pub text: String,
    /// What was changed, in the order of the changes.
    pub changes: Vec<Change>,
    /// What is found in the new text.
    pub diagnostics: Vec<Diagnostic>,
}

/// One change of a [`Migration`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The place as a JSON pointer, in the text as it was before this change.
    pub pointer: String,
    /// The code of the finding that it answers.
    pub code: &'static str,
    /// What was done.
    pub what: &'static str,
}

impl Contract {
    /// The text with every value masked that has the shape of a credential, or stands where a contract has the name of a
    /// variable and is none. It need not be a valid contract.
    ///
    /// # Errors
    /// `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`.
    pub fn redacted(text: &str) -> Result<String> {
        let root = json::parse(text)?;
        let mut spans = Vec::new();
        concealed(text, &root, None, &mut spans);
        let mut out = text.to_owned();
        for span in spans.into_iter().rev() {
            out.replace_range(span, MASK);
        }
        Ok(out)
    }

    /// The text without what has no effect: settings that v1 read and ignored, columns that stand twice in a list. What a
    /// capability may do is the same before and after; what somebody has to decide is left alone and found again.
    #[must_use]
    pub fn migrate(text: &str) -> Migration {
        let mut text = text.to_owned();
        let mut changes = Vec::new();
        loop {
            let diagnostics = match Self::parse(&text) {
                Ok((_, found)) | Err(found) => found,
            };
            let step = diagnostics.iter().find_map(|finding| Some((change(finding)?, finding)));
            let new = step.as_ref().and_then(|((what, fix), finding)| {
                let new = apply(&text, &finding.pointer, fix)?;
                changes.push(Change { pointer: finding.pointer.clone(), code: finding.code, what });
                Some(new)
            });
            match new {
                Some(new) if changes.len() <= MOST_CHANGES => text = new,
                _ => return Migration { text, changes, diagnostics },
            }
        }
    }
}

/// The places of strings that are not repeated, in the order of the text.
fn concealed(text: &str, node: &Node, key: Option<&str>, out: &mut Vec<Range<usize>>) {
    match &node.value {
        NodeValue::String(value) if conceal(key, value) => out.extend(span(text, node)),
        NodeValue::Array(items) => items.iter().for_each(|item| concealed(text, item, key, out)),
        NodeValue::Object(entries) => entries.iter().for_each(|(key, node)| concealed(text, node, Some(key), out)),
        _ => {}
    }
}

enum Fix {
    Remove,
    Replace(&'static str),
}

/// What can be done about a finding without asking anybody.
fn change(finding: &Diagnostic) -> Option<(&'static str, Fix)> {
    let slip = finding.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
    let code = finding.code;
    if code == d::INERT_SETTING.code && !slip {
        Some(("removed: it has no effect", Fix::Remove))
    } else if code == d::COLUMN_REPEATED.code {
        Some(("removed: the column is already in the list", Fix::Remove))
    } else if code == d::INVALID_EVIDENCE.code {
        Some(("removed: evidence is always recorded", Fix::Remove))
    } else if code == d::INVALID_APPROVAL_MODE.code {
        Some(("set to human: a person decides", Fix::Replace("\"human\"")))
    } else {
        None
    }
}

fn apply(text: &str, pointer: &str, fix: &Fix) -> Option<String> {
    let root = json::parse(text).ok()?;
    let (range, new) = match fix {
        Fix::Replace(new) => (span(text, find(&root, pointer)?)?, *new),
        Fix::Remove => {
            let (parent, key) = pointer.rsplit_once('/')?;
            removal(text, find(&root, parent)?, &unescaped(key))?
        }
    };
    let mut out = text.to_owned();
    out.replace_range(range, new);
    Some(out)
}

/// What has to go with one child, its comma included, and what takes its place.
fn removal(text: &str, parent: &Node, key: &str) -> Option<(Range<usize>, &'static str)> {
    let (children, index, empty): (Vec<&Node>, usize, _) = match &parent.value {
        NodeValue::Object(entries) => {
            (entries.iter().map(|(_, node)| node).collect(), entries.iter().position(|(name, _)| name == key)?, "{}")
        }
        NodeValue::Array(items) => (items.iter().collect(), key.parse().ok()?, "[]"),
        _ => return None,
    };
    let start = |node: &Node| json::key_offset(text, node.offset);
    let child = children.get(index)?;
    let before = index.checked_sub(1).and_then(|before| children.get(before));
    match (children.get(index + 1), before.and_then(|before| span(text, before))) {
        // What has its line to itself goes with the line's end; what stands behind another goes with the comma before it.
        (Some(next), before)
            if before.as_ref().is_none_or(|b| text.get(b.end..start(child)).is_some_and(|gap| gap.contains('\n'))) =>
        {
            Some((start(child)..start(next), ""))
        }
        (_, Some(before)) => Some((before.end..span(text, child)?.end, "")),
        (Some(next), None) => Some((start(child)..start(next), "")),
        (None, None) => Some((span(text, parent)?, empty)),
    }
}

/// From where a value begins to where it ends.
fn span(text: &str, node: &Node) -> Option<Range<usize>> {
    let rest = text.get(node.offset..)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(node.offset..node.offset + values.byte_offset())
}

fn find<'n>(root: &'n Node, pointer: &str) -> Option<&'n Node> {
    pointer.split('/').skip(1).try_fold(root, |node, segment| match &node.value {
        NodeValue::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => node.get(&unescaped(segment)),
    })
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{DIAGNOSTICS, EXAMPLE, Severity};

    #[test]
    fn credentials_are_masked_and_nothing_else_is_touched() {
        assert_eq!(Contract::redacted(EXAMPLE).unwrap(), EXAMPLE);
        let text = EXAMPLE
            .replace("\"SHOP_APP_TOKEN\"", "\"hunter2\"")
            .replace("\"postgres\"", "\"postgres\", \"url\": \"postgres://u:p\\\"w@h/d\"")
            .replace("\"orders\"", "\"eyJhbGciOiJIUzI1NiJ9.x.y\"");
        let shown = Contract::redacted(&text).unwrap();
        let expected = EXAMPLE
            .replace("\"SHOP_APP_TOKEN\"", MASK)
            .replace("\"postgres\"", &format!("\"postgres\", \"url\": {MASK}"))
            .replace("\"orders\"", MASK);
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_has_no_effect_goes_and_the_rest_stays_to_the_byte() {
        for (old, new) in [
            ("\"engine\": \"postgres\",", "\"ssl\": { \"ca\": [1, \"}\"] },\n      \"engine\": \"postgres\","),
            ("\"write_url_env\": \"SHOP_WRITE_URL\"", "\"write_url_env\": \"SHOP_WRITE_URL\",\n      \"ssl\": true"),
            ("\"type\": \"number\",", "\"max_length\": 4, \"type\": \"number\","),
            ("[\"id\", \"name\"]", "[\"id\", \"id\", \"name\", \"name\"]"),
            ("\"kind\": \"read\",", "\"kind\": \"read\",\n      \"max_rows\": 5,\n      \"evidence\": \"none\","),
            ("{ \"required_role\": \"support_lead\" }", "{ \"required_role\": \"support_lead\", \"mode\": \"auto\" }"),
        ] {
            let text = EXAMPLE.replacen(old, new, 1);
            assert_ne!(text, EXAMPLE);
            let migration = Contract::migrate(&text);
            assert_eq!(migration.diagnostics, [], "{new}");
            if let Ok((before, _)) = Contract::parse(&text) {
                let after = Contract::parse(&migration.text).unwrap().0;
                let name = "shop.propose_refund";
                assert_eq!(before.authority_of(name), after.authority_of(name), "{new}");
            }
            assert_eq!(migration.text.replace(", \"mode\": \"human\"", ""), EXAMPLE, "{new}: {:?}", migration.changes);
            assert_eq!(Contract::migrate(&migration.text).changes, []);
        }
    }

    #[test]
    fn no_migration_changes_what_a_capability_may_do() {
        for info in DIAGNOSTICS {
            let text = info.example.text();
            let migration = Contract::migrate(&text);
            let Ok((before, _)) = Contract::parse(&text) else {
                let fixed = ["INVALID_EVIDENCE", "INVALID_APPROVAL_MODE"].contains(&info.code);
                let errors = migration.diagnostics.iter().any(|finding| finding.severity == Severity::Error);
                assert_eq!(!errors, fixed, "{}", info.code);
                continue;
            };
            let (after, _) = Contract::parse(&migration.text).unwrap();
            for capability in &before.capabilities {
                assert_eq!(
                    before.authority_of(&capability.name),
                    after.authority_of(&capability.name),
                    "{}",
                    info.code
                );
            }
        }
    }
}
