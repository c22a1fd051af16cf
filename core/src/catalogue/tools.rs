//! Contract → tool descriptors.

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value, json};

use super::alias::{AliasMode, aliases};
use super::envelope::ResultFormat;
use super::output;
use crate::contract::{Argument, ArgumentType, Capability, Contract, Kind, Mode, PolicyHint};
use crate::error::{Code, Error, Result};
use crate::primitives::{Digest, MAX_SAFE_INTEGER, Scalar, compare_decimals, digest_of};

/// How tools are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolOptions {
    /// Under which names.
    pub alias: AliasMode,
    /// In which format they answer; `None` is the contract's.
    pub format: Option<ResultFormat>,
}

/// One tool, as `tools/list` of MCP shows it; it serialises to that shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Tool {
    /// The name it is called by: canonical or alias.
    pub name: String,
    /// The capability's name.
    #[serde(skip)]
    pub canonical_name: String,
    /// The capability's name, for people.
    pub title: String,
    /// For the model.
    pub description: String,
    /// Read or proposal.
    #[serde(skip)]
    pub kind: Kind,
    /// JSON Schema 2020-12 of the arguments; closed.
    pub input_schema: Value,
    /// JSON Schema 2020-12 of what it answers, if it succeeds.
    pub output_schema: Value,
    /// What a client may assume.
    pub annotations: Annotations,
    /// `_meta`: for clients and audits, not for the model.
    #[serde(rename = "_meta")]
    pub meta: Map<String, Value>,
}

/// MCP's hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotations {
    /// It changes nothing at all, not even the ledger's proposals.
    pub read_only: bool,
    /// What comes of it destroys something, once a person has approved it and it is applied.
    pub destructive: bool,
    /// Calling it again adds nothing.
    pub idempotent: bool,
    /// It reaches beyond its source: never.
    pub open_world: bool,
}

impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        json!({
            "readOnlyHint": self.read_only, "destructiveHint": self.destructive,
            "idempotentHint": self.idempotent, "openWorldHint": self.open_world,
        })
        .serialize(serializer)
    }
}

/// The tools of a contract in the order of the file; with [`AliasMode::Both`] each alias follows its canonical name. In
/// mode `read_only` there are no proposals.
#[must_use]
pub fn tools(contract: &Contract, options: &ToolOptions) -> Vec<Tool> {
    let offered: Vec<&Capability> = contract
        .capabilities
        .iter()
        .filter(|capability| contract.mode != Mode::ReadOnly || capability.kind == Kind::Read)
        .collect();
    let format = options.format.unwrap_or_else(|| ResultFormat::from_number(contract.result_format));
    // Over all capabilities, so that a mode does not change a name.
    let aliases = aliases(contract.capabilities.iter().map(|capability| capability.name.as_str()));
    let mut out = Vec::with_capacity(offered.len() * 2);
    for capability in offered {
        if options.alias != AliasMode::Openai {
            out.push(tool(contract, capability, &capability.name, format));
        }
        if options.alias != AliasMode::Canonical
            && let Some(alias) = aliases.get(capability.name.as_str())
        {
            out.push(tool(contract, capability, alias, format));
        }
    }
    out
}

impl Tool {
    /// The digest of what a model is told of it: name, description and both schemas. It is what a contract pins.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let told = json!({
            "name": self.name, "description": self.description, "inputSchema": self.input_schema,
            "outputSchema": self.output_schema,
        });
        // A length beyond what canonical JSON can say is still this text and no other.
        digest_of(&told).unwrap_or_else(|_| Digest::of(told.to_string().as_bytes()))
    }
}

/// Checks that every tool is the one that was reviewed, where the contract says which one that was.
///
/// # Errors
/// `TOOL_DEFINITION_CHANGED`.
pub fn check_tool_digests(contract: &Contract) -> Result<()> {
    for tool in tools(contract, &ToolOptions::default()) {
        let capability = contract.capability(&tool.canonical_name);
        if let Some(pinned) = capability.and_then(|capability| capability.exposure.tool_digest)
            && pinned != tool.digest()
        {
            return Err(Error::new(Code::ToolDefinitionChanged)
                .with("tool", &tool.name)
                .with("found", tool.digest())
                .with("pinned", pinned));
        }
    }
    Ok(())
}

fn tool(contract: &Contract, capability: &Capability, name: &str, format: ResultFormat) -> Tool {
    let read = capability.kind == Kind::Read;
    let destructive = capability.exposure.policy_hint == PolicyHint::Destructive;
    Tool {
        name: name.to_owned(),
        canonical_name: capability.name.clone(),
        title: capability.name.clone(),
        description: description(capability, name),
        kind: capability.kind,
        input_schema: input_schema(capability),
        output_schema: output::of_capability(capability, format),
        annotations: Annotations { read_only: read, destructive, idempotent: read, open_world: false },
        meta: meta(contract, capability, name),
    }
}

fn description(capability: &Capability, name: &str) -> String {
    let mut lines = Vec::with_capacity(4);
    if name != capability.name {
        lines.push(format!("Canonical capability: {}.", capability.name));
    }
    let table = &capability.target.table;
    lines.push(match (&capability.description, capability.kind) {
        (Some(text), _) => text.clone(),
        (None, Kind::Read) => format!("Reads one of {table}, within the trusted tenant, and records evidence."),
        (None, Kind::Proposal) => {
            format!("Proposes a change to one of {table} for a person to decide. This tool does not change the source database.")
        }
    });
    lines.extend(capability.returns_hint.clone());
    lines.push(
        "Evidence handles are audit/replay handles; the model does not need to call them during this turn.".to_owned(),
    );
    lines.join("\n")
}

fn meta(contract: &Contract, capability: &Capability, name: &str) -> Map<String, Value> {
    let style = if name == capability.name { "canonical" } else { "openai" };
    let kind = if capability.kind == Kind::Read { "read" } else { "proposal" };
    let mut meta = Map::new();
    let mut put = |key: &str, value: Value| drop(meta.insert(format!("synapsor.{key}"), value));
    put("kind", kind.into());
    put("source", capability.source.as_str().into());
    put("target", format!("{}.{}", capability.target.schema, capability.target.table).into());
    put("canonical_tool_name", capability.name.as_str().into());
    put("exposed_tool_name", name.into());
    put("tool_name_style", style.into());
    put("raw_sql_exposed", false.into());
    put("approval_tool", false.into());
    if contract.mode == Mode::Cloud {
        put("cloud_delegated", true.into());
    }
    meta
}

fn input_schema(capability: &Capability) -> Value {
    let properties: Map<String, Value> =
        capability.args.iter().map(|argument| (argument.name.clone(), property(argument))).collect();
    let required: Vec<&str> =
        capability.args.iter().filter(|argument| argument.required).map(|argument| argument.name.as_str()).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(argument: &Argument) -> Value {
    let kind = match argument.kind {
        ArgumentType::String => "string",
        ArgumentType::Number => "number",
        ArgumentType::Boolean => "boolean",
    };
    let mut property = Map::new();
    let mut put = |key: &str, value: Value| drop(property.insert(key.to_owned(), value));
    put("type", kind.into());
    put(
        "description",
        argument.description.clone().unwrap_or_else(|| format!("{} business argument", argument.name)).into(),
    );
    // JSON Schema counts code points, the runtime UTF-16 units: never fewer, so the schema admits all that is allowed.
    if let Some(length) = argument.max_length {
        put("maxLength", length.into());
    }
    for (key, limit) in [("minimum", &argument.minimum), ("maximum", &argument.maximum)] {
        if let Some(number) = limit.as_ref().and_then(exact_json) {
            put(key, number);
        }
    }
    // All values or none: a list that lacks an allowed value would keep the model from it.
    if let Some(values) = &argument.allowed
        && let Some(values) = values.iter().map(exact_json).collect::<Option<Vec<Value>>>()
    {
        put("enum", values.into());
    }
    Value::Object(property)
}

/// The scalar as JSON that every reader takes for the same value; `None` if a float would change it.
fn exact_json(scalar: &Scalar) -> Option<Value> {
    match scalar {
        Scalar::Int(value) if value.unsigned_abs() <= MAX_SAFE_INTEGER => Some(Value::from(*value)),
        Scalar::Int(_) | Scalar::UInt(_) => None,
        Scalar::Decimal(text) => {
            let number = Number::from_f64(text.parse().ok()?)?;
            compare_decimals(&number.to_string(), text)?.is_eq().then_some(Value::Number(number))
        }
        other => Some(other.to_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BILLING: &str = include_str!("../../../tests/vectors/contracts/billing.sqlite.json");

    fn listed(text: &str, alias: AliasMode) -> Vec<Tool> {
        tools(&Contract::parse(text).unwrap().0, &ToolOptions { alias, ..ToolOptions::default() })
    }

    #[test]
    fn the_billing_tools() {
        let tools = listed(BILLING, AliasMode::Canonical);
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(
            names,
            ["billing.inspect_invoice", "billing.propose_late_fee_waiver", "billing.propose_account_credit"]
        );
        let credit = serde_json::to_value(&tools[2]).unwrap();
        assert_eq!(
            credit["inputSchema"],
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
                "required": ["invoice_id", "amount_cents", "reason"],
                "properties": {
                    "invoice_id": {"type": "string", "description": "invoice_id business argument", "maxLength": 128},
                    "amount_cents": {"type": "number", "description": "amount_cents business argument", "minimum": 1, "maximum": 10000},
                    "reason": {"type": "string", "description": "reason business argument", "maxLength": 500},
                },
            })
        );
        assert_eq!(
            credit["annotations"],
            json!({"readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": false})
        );
        assert_eq!(credit["_meta"]["synapsor.target"], "main.invoices");
        assert_eq!(credit["_meta"]["synapsor.approval_tool"], false);
        assert_eq!(credit["title"], "billing.propose_account_credit");
        assert!(tools[0].annotations.read_only && tools[0].annotations.idempotent);
        assert!(tools.iter().all(|tool| !tool.name.contains("approve") && !tool.name.contains("sql")));
    }

    #[test]
    fn aliases_name_their_capability() {
        let both = listed(BILLING, AliasMode::Both);
        assert_eq!(both.len(), 6);
        assert_eq!(both[1].name, "billing__inspect_invoice");
        assert_eq!(both[1].canonical_name, "billing.inspect_invoice");
        assert!(both[1].description.starts_with("Canonical capability: billing.inspect_invoice.\nInspect one invoice"));
        assert_eq!(both[1].meta["synapsor.tool_name_style"], "openai");
        assert!(!both[0].description.contains("Canonical"));
        let openai = listed(BILLING, AliasMode::Openai);
        assert!(openai.iter().all(|tool| !tool.name.contains('.')));
    }

    #[test]
    fn read_only_hides_proposals_and_changes_no_name() {
        let mut document: Value = serde_json::from_str(BILLING).unwrap();
        document["mode"] = json!("read_only");
        document.as_object_mut().unwrap().remove("executors");
        document["capabilities"][2].as_object_mut().unwrap().remove("executor");
        let tools = listed(&document.to_string(), AliasMode::Openai);
        assert_eq!(tools.len(), 1);
        assert_eq!(tools[0].name, "billing__inspect_invoice");
    }

    #[test]
    fn limits_stand_in_the_schema_only_if_every_reader_keeps_them() {
        let text = BILLING.replace(
            "\"minimum\": 1, \"maximum\": 10000 },\n        \"reason\"",
            "\"minimum\": 0.1, \"maximum\": 9007199254740993 },\n        \"reason\"",
        );
        assert_ne!(text, BILLING);
        let amount = &listed(&text, AliasMode::Canonical)[2].input_schema["properties"]["amount_cents"];
        assert_eq!(amount["minimum"], json!(0.1));
        assert_eq!(amount.get("maximum"), None);
        let listed_values = text.replace("\"minimum\": 0.1, \"maximum\": 9007199254740993 }", "\"enum\": [1, 2.5] }");
        assert_eq!(
            listed(&listed_values, AliasMode::Canonical)[2].input_schema["properties"]["amount_cents"]["enum"],
            json!([1, 2.5])
        );
        let inexact =
            text.replace("\"minimum\": 0.1, \"maximum\": 9007199254740993 }", "\"enum\": [1, 9007199254740993] }");
        assert_eq!(
            listed(&inexact, AliasMode::Canonical)[2].input_schema["properties"]["amount_cents"].get("enum"),
            None
        );
    }
}
