//! What each rule finds, and what it lets pass.

use serde_json::{Value, json};

use super::{RULES, audit, example};

fn codes(tool: Value) -> Vec<&'static str> {
    audit(&json!({ "tools": [tool] }), "test").findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn every_rule_finds_something_and_the_patterns_compile() {
    let ambiguous =
        json!({ "tools": [{ "name": "x", "description": "" }, { "name": "y", "description": "get or update" }] });
    let mut found: Vec<&str> = [example(), ambiguous, json!({})]
        .iter()
        .flat_map(|document| audit(document, "test").findings.into_iter().map(|finding| finding.code))
        .collect();
    found.sort_unstable();
    found.dedup();
    let mut all: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
    all.sort_unstable();
    assert_eq!(found, all);
}

#[test]
fn a_proposal_is_no_unbounded_write() {
    let found = codes(json!({
        "name": "billing.propose_credit", "description": "Creates a proposal to update the credit.",
        "annotations": { "readOnlyHint": false }, "outputSchema": {}, "examples": [],
        "inputSchema": { "type": "object", "properties": { "invoice_id": {} } },
    }));
    assert_eq!(found, [""; 0]);
}

#[test]
fn nested_arguments_are_seen() {
    let nested = json!({ "anyOf": [{ "type": "array", "items": { "properties": { "Tenant-ID": {} } } }] });
    let found =
        codes(json!({ "name": "a", "description": "b", "input_schema": { "properties": { "where": nested } } }));
    assert!(found.contains(&"MODEL_CONTROLLED_TRUST_SCOPE"), "{found:?}");
}

#[test]
fn tools_are_found_wherever_they_are() {
    let tool = json!({ "name": "run_sql", "description": "x" });
    for document in [
        json!([tool]),
        json!({ "tools": [tool] }),
        json!({ "tools": { "run_sql": { "description": "x" } } }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [tool] } }),
        json!({ "mcpServers": { "db": { "command": "x", "tools": [tool] } } }),
        json!({ "servers": [{ "name": "db", "tools": [tool] }] }),
        json!({ "manifest": { "data": { "server": { "tools": [{ "toolName": "run_sql", "description": "x" }] } } } }),
    ] {
        let report = audit(&document, "test");
        assert_eq!(report.summary.tools_inspected, 1, "{document}");
        assert!(report.findings.iter().any(|finding| finding.code == "GENERIC_SQL_TOOL"), "{document}");
    }
}

/// Without anything to find: each case below changes one thing.
fn clean() -> Value {
    json!({
        "name": "billing.inspect_invoice", "description": "Inspect one invoice.", "annotations": { "readOnlyHint": true },
        "inputSchema": { "type": "object", "properties": { "invoice_id": {} } }, "outputSchema": {}, "examples": [],
    })
}

fn with(changes: Value) -> Value {
    let mut tool = clean();
    tool.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    tool
}

fn arguments(name: &str, description: &str, names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    with(json!({ "name": name, "description": description, "inputSchema": { "properties": properties } }))
}

/// Each rule with what it finds, and what is like it and all right.
#[test]
fn each_rule_finds_its_own_and_lets_the_rest_pass() {
    assert_eq!(codes(clean()), [""; 0]);
    let writes = json!({ "readOnlyHint": false });
    let cases: Vec<(&str, Vec<Value>, Vec<Value>)> = vec![
        (
            "GENERIC_SQL_TOOL",
            [
                "executesql",
                "run_sql",
                "run-query",
                "queryDatabase",
                "database.query",
                "sql_query",
                "raw_sql",
                "ExecuteQuery",
            ]
            .iter()
            .map(|name| with(json!({ "name": name })))
            .chain(
                ["Will execute SQL.", "Run query on it.", "A raw  sql door.", "An SQL executor.", "query database"]
                    .iter()
                    .map(|said| with(json!({ "description": said }))),
            )
            .collect(),
            vec![
                with(json!({ "name": "search_faq", "description": "Finds rows; no statement is taken." })),
                with(json!({ "name": "sql_lessons", "description": "Lists courses on SQLite." })),
            ],
        ),
        (
            "WRITE_TOOL_ACCEPTS_ARBITRARY_SQL",
            ["sql", "query", "statement", "raw_sql", "rawSql"]
                .iter()
                .map(|name| arguments("execute_sql", "x", &[name]))
                .collect(),
            // A search takes a query, and is no SQL.
            vec![arguments("search_faq", "Finds an answer.", &["query"]), arguments("execute_sql", "x", &["limit"])],
        ),
        (
            "ARBITRARY_IDENTIFIER_INPUT",
            [
                "table",
                "table_name",
                "schema",
                "schemaName",
                "column",
                "columns",
                "column-name",
                "database",
                "DatabaseName",
            ]
            .iter()
            .map(|name| arguments("look", "x", &[name]))
            .collect(),
            vec![arguments("look", "x", &["table_number", "columnist", "invoice_id"])],
        ),
        (
            "MODEL_CONTROLLED_TRUST_SCOPE",
            [
                "tenant_id",
                "principal",
                "principalId",
                "user_id",
                "project_id",
                "sourceId",
                "database_id",
                "allowed_columns",
                "row_version",
                "current_version",
                "expectedVersion",
                "approval_identity",
            ]
            .iter()
            .map(|name| arguments("look", "x", &[name]))
            .collect(),
            vec![arguments("look", "x", &["tenant_name_query", "user", "version", "invoice_id"])],
        ),
        (
            "MODEL_CALLABLE_COMMIT_OR_APPROVAL",
            vec![
                with(json!({ "name": "approve_proposal" })),
                with(json!({ "name": "billing.commit-change" })),
                with(json!({ "name": "proposal_merge" })),
                with(json!({ "name": "applyWriteback", "description": "The proposal is applied." })),
                with(json!({ "description": "Approve a refund." })),
                with(json!({ "description": "Settle it." })),
            ],
            vec![
                with(json!({ "description": "Propose a refund; somebody will approve it." })),
                with(json!({ "name": "list_approvals", "description": "What was settled." })),
            ],
        ),
        (
            "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
            vec![
                with(json!({ "annotations": { "destructiveHint": true } })),
                with(json!({ "annotations": writes })),
                with(json!({ "description": "Refund the customer." })),
                with(json!({ "description": "Will delete a row." })),
            ],
            vec![
                with(json!({ "description": "Propose to refund the customer.", "annotations": writes })),
                with(
                    json!({ "description": "Delete a row; approval required.", "annotations": { "destructiveHint": true } }),
                ),
                with(json!({ "description": "Shows what was updated." })),
            ],
        ),
        (
            "NO_STRUCTURED_OUTPUT_SCHEMA",
            vec![with(json!({ "outputSchema": null }))],
            ["resultSchema", "output", "structuredContent", "output_schema"]
                .iter()
                .map(|key| with(json!({ "outputSchema": null, *key: {} })))
                .collect(),
        ),
        (
            "NO_IDEMPOTENCY_FIELD",
            vec![arguments("pay", "Refund it.", &["amount"])],
            ["idempotency_key", "requestId", "request_key", "dedupeKey"]
                .iter()
                .map(|name| arguments("pay", "Refund it.", &[name]))
                .chain([arguments("pay", "Propose to refund it.", &[]), arguments("look", "Look at it.", &[])])
                .collect(),
        ),
        (
            "NO_CONFLICT_GUARD",
            vec![arguments("pay", "Refund it.", &["amount"])],
            ["expected_version", "rowVersion", "updated_at", "etag", "conflict_guard", "previousVersion"]
                .iter()
                .map(|name| arguments("pay", "Refund it.", &[name]))
                .chain([arguments("pay", "Propose to refund it.", &[]), arguments("look", "Look at it.", &[])])
                .collect(),
        ),
        (
            "AMBIGUOUS_READ_WRITE_TOOL",
            vec![with(json!({ "name": "x", "description": "Get or update a customer." }))],
            vec![
                with(json!({ "name": "x", "description": "Update a customer." })),
                with(json!({ "name": "x", "description": "Get a customer." })),
                with(json!({ "name": "x", "description": "Get a customer, or propose to update it." })),
            ],
        ),
        (
            "MISSING_BUSINESS_DESCRIPTION",
            vec![with(json!({ "description": " " })), with(json!({ "description": null }))],
            vec![clean()],
        ),
        (
            "MISSING_RISK_ANNOTATIONS",
            vec![with(json!({ "annotations": {} })), with(json!({ "annotations": null }))],
            vec![clean()],
        ),
        (
            "MISSING_TEST_FIXTURE",
            vec![with(json!({ "examples": null }))],
            ["example", "input_examples", "test_fixture", "x_synapsor_test_fixture"]
                .iter()
                .map(|key| with(json!({ "examples": null, *key: {} })))
                .collect(),
        ),
    ];
    for (code, found, passed) in &cases {
        for tool in found {
            assert!(codes(tool.clone()).contains(code), "{code} is not found in {tool}");
        }
        for tool in passed {
            assert!(!codes(tool.clone()).contains(code), "{code} is found in {tool}");
        }
    }
    let tried: std::collections::BTreeSet<&str> =
        cases.iter().map(|(code, ..)| *code).chain(["NO_TOOLS_FOUND"]).collect();
    assert_eq!(tried, RULES.iter().map(|rule| rule.code).collect());
    // The last one is about no tool.
    let empty = audit(&json!({ "tools": [] }), "test");
    assert_eq!(empty.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["NO_TOOLS_FOUND"]);
    assert_eq!(audit(&json!({ "tools": [clean()] }), "test").findings.len(), 0);
}

#[test]
fn a_finding_stands_once_for_a_tool() {
    let twice =
        audit(&json!({ "tools": [with(json!({ "examples": null })), with(json!({ "examples": null }))] }), "test");
    assert_eq!((twice.summary.tools_inspected, twice.summary.total_findings), (2, 1));
}
