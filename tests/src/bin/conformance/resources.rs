//! The suite's resources.

use rmcp::ErrorData;
use rmcp::model::*;
use serde_json::json;

use crate::server::typed;
use crate::tools::IMAGE;

pub fn all() -> Vec<Resource> {
    typed(json!([
        { "uri": "test://static-text", "name": "Static text", "mimeType": "text/plain" },
        { "uri": "test://static-binary", "name": "Static binary", "mimeType": "image/png" },
        { "uri": "test://watched-resource", "name": "Watched", "mimeType": "text/plain" },
    ]))
}

pub fn templates() -> Vec<ResourceTemplate> {
    typed(json!([
        { "uriTemplate": "test://template/{id}/data", "name": "By id", "mimeType": "application/json" },
    ]))
}

pub fn read(uri: &str) -> Result<ReadResourceResponse, ErrorData> {
    let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let contents = match (uri, id) {
        ("test://static-text" | "test://watched-resource", _) => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of a static text resource." })
        }
        ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": IMAGE }),
        (_, Some(id)) => {
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            json!({ "uri": uri, "mimeType": "application/json", "text": data.to_string() })
        }
        _ => return Err(ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": uri })))),
    };
    Ok(ReadResourceResult::new(vec![typed(contents)]).into())
}
