//! A server as it should not be.

use serde_json::{Value, json};

/// The tools of a database server that hands everything to the model: `--example dangerous-db-mcp`.
#[must_use]
pub fn example() -> Value {
    let tool = |name: &str, description: &str, arguments: &[&str]| {
        let properties: serde_json::Map<String, Value> = arguments
            .iter()
            .map(|argument| {
                let kind = match *argument {
                    "columns" => json!({ "type": "array", "items": { "type": "string" } }),
                    "amount_cents" => json!({ "type": "integer" }),
                    _ => json!({ "type": "string" }),
                };
                ((*argument).to_owned(), kind)
            })
            .collect();
        json!({ "name": name, "description": description, "inputSchema": { "type": "object", "properties": properties } })
    };
    json!({ "tools": [
        tool("execute_sql", "Runs whatever statement it is given.", &["sql"]),
        tool("run_query", "Answers a question about any table.", &["query", "table", "columns"]),
        tool("approve_refund", "Approve a customer's money back.", &["refund_id", "tenant_id", "amount_cents"]),
        tool("update_customer", "Update one field of a customer.", &["customer_id", "tenant_id", "column", "value"]),
        tool("delete_order", "Delete an order for good.", &["order_id", "tenant_id"]),
        tool("query_database", "Looks into any database.", &["database", "schema", "table", "columns", "where"]),
    ] })
}
