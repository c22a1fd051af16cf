//! What is looked for, each rule with its code, its severity and what to do.

use std::sync::LazyLock;

use regex_lite::Regex;

use super::discover::Found;
use super::report::{Finding, Severity};

/// A rule.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rule {
    /// The stable code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub message: &'static str,
    /// What to do.
    pub recommendation: &'static str,
}

macro_rules! rules {
    ($( $name:ident = $code:literal, $severity:ident, $message:literal, $recommendation:literal; )*) => {
        $( static $name: Rule = Rule { code: $code, severity: Severity::$severity, message: $message, recommendation: $recommendation }; )*
        /// Every rule, the worst first.
        pub static RULES: &[&Rule] = &[ $( &$name, )* ];
    };
}

rules! {
    GENERIC_SQL = "GENERIC_SQL_TOOL", High, "the model can run SQL of its own",
        "offer a tool for each business question instead, with arguments and no SQL";
    ACCEPTS_SQL = "WRITE_TOOL_ACCEPTS_ARBITRARY_SQL", High, "an argument takes SQL",
        "take business arguments, and keep the statement in the reviewed contract";
    IDENTIFIERS = "ARBITRARY_IDENTIFIER_INPUT", High, "an argument chooses a table, schema, column or database",
        "fix the target in the reviewed contract";
    TRUST_SCOPE = "MODEL_CONTROLLED_TRUST_SCOPE", High, "an argument chooses whose data it is, or what guards it",
        "bind tenant, principal and versions from trusted context";
    DECIDES = "MODEL_CALLABLE_COMMIT_OR_APPROVAL", High, "the model can approve or commit",
        "let the model propose, and decide outside its reach";
    UNBOUNDED_WRITE = "WRITE_WITHOUT_PROPOSAL_BOUNDARY", High, "it changes data at once, and nobody is asked",
        "make it propose a change that is reviewed and then applied";
    NO_OUTPUT = "NO_STRUCTURED_OUTPUT_SCHEMA", Medium, "nothing says what it answers",
        "declare an output schema";
    NO_KEY = "NO_IDEMPOTENCY_FIELD", Medium, "called twice, it may write twice",
        "take an idempotency key, or propose";
    NO_GUARD = "NO_CONFLICT_GUARD", Medium, "it may overwrite what somebody changed meanwhile",
        "compare the version that was read, or propose";
    AMBIGUOUS = "AMBIGUOUS_READ_WRITE_TOOL", Medium, "it is not clear whether it reads or writes",
        "split it, and say which is which in the annotations";
    NO_TOOLS = "NO_TOOLS_FOUND", Medium, "no tool was found",
        "give the answer of tools/list, or a manifest with `tools`";
    NO_DESCRIPTION = "MISSING_BUSINESS_DESCRIPTION", Low, "it has no description",
        "say what it is for in the words of the business";
    NO_ANNOTATIONS = "MISSING_RISK_ANNOTATIONS", Low, "it has no risk annotations",
        "set readOnlyHint, destructiveHint, idempotentHint and openWorldHint";
    NO_FIXTURE = "MISSING_TEST_FIXTURE", Low, "it has no example of a call",
        "add an example, so that a change of it can be tested";
}

const SQL_NAMES: &[&str] =
    &["executesql", "runsql", "runquery", "querydatabase", "databasequery", "sqlquery", "rawsql", "executequery"];
const SQL_ARGUMENTS: &[&str] = &["sql", "query", "statement", "rawsql"];
const IDENTIFIER_ARGUMENTS: &[&str] =
    &["table", "tablename", "schema", "schemaname", "column", "columns", "columnname", "database", "databasename"];
const TRUST_ARGUMENTS: &[&str] = &[
    "tenantid",
    "principal",
    "principalid",
    "userid",
    "projectid",
    "sourceid",
    "databaseid",
    "allowedcolumns",
    "rowversion",
    "currentversion",
    "expectedversion",
    "approvalidentity",
];
const KEY_ARGUMENTS: &[&str] = &["idempotencykey", "requestid", "requestkey", "dedupekey"];
const GUARD_ARGUMENTS: &[&str] =
    &["expectedversion", "rowversion", "updatedat", "etag", "conflictguard", "previousversion"];

/// A pattern that did not compile would find nothing: a test sees that each finds something.
struct Pattern(LazyLock<Option<Regex>>);

impl Pattern {
    fn found<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.as_ref()?.find(text).map(|found| found.as_str())
    }
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: Pattern = Pattern(LazyLock::new(|| Regex::new($text).ok()));
    };
}
pattern!(SQL_WORDS, r"\b(execute|run|raw)\s*(sql|query)\b|\b(sql|query)\s*(executor|database)\b");
pattern!(
    DECIDING_NAME,
    r"(approve|commit|apply|settle|merge)[._-]?(proposal|write|change|writeback)|(proposal|write|change|writeback)[._-]?(approve|commit|apply|settle|merge)"
);
pattern!(DECIDING_WORDS, r"\b(approve|commit|apply|settle|merge)\b");
pattern!(
    WRITING_WORDS,
    r"\b(update|insert|delete|upsert|write|mutate|refund|waive|charge|cancel|commit|approve|settle|apply|merge|resolve|close|create|drop|alter)\b"
);
pattern!(READING_WORDS, r"\b(read|get|list|search|inspect|select|query)\b");
pattern!(
    BOUNDARY,
    r"\b(proposal|propose|change[- ]?set|review[- ]?required|approval|approve[- ]?required|guarded writeback|trusted worker)\b"
);

pub(super) fn review(tools: &[Found]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    if tools.is_empty() {
        findings.push(Finding::new(&NO_TOOLS, None, Vec::new()));
    }
    for tool in tools {
        for finding in one(tool) {
            let known = |known: &Finding| (known.code, &known.tool) == (finding.code, &finding.tool);
            if !findings.iter().any(known) {
                findings.push(finding);
            }
        }
    }
    findings
}

fn one(tool: &Found) -> Vec<Finding> {
    let name: String = tool.name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let given = |wanted: &[&str]| -> Vec<String> {
        tool.properties.iter().filter(|property| wanted.contains(&property.as_str())).cloned().collect()
    };
    let said = |pattern: &Pattern| pattern.found(&tool.text).map(str::to_owned);
    let sql = SQL_NAMES.contains(&name.as_str()).then(|| tool.name.clone()).or_else(|| said(&SQL_WORDS));
    let writes = match (tool.destructive, tool.read_only) {
        (Some(true), _) => Some("destructiveHint: true".to_owned()),
        (_, Some(false)) => Some("readOnlyHint: false".to_owned()),
        _ => said(&WRITING_WORDS),
    };
    let bounded = BOUNDARY.found(&tool.text).is_some();
    let decides = DECIDING_NAME.found(&tool.name.to_lowercase()).map(str::to_owned);
    let decides = decides.or_else(|| said(&DECIDING_WORDS).filter(|_| !bounded));
    let unbounded = writes.clone().filter(|_| !bounded);
    let mut findings = Vec::new();
    let mut find = |rule: &'static Rule, evidence: Vec<String>| {
        findings.push(Finding::new(rule, Some(tool.name.clone()), evidence));
    };
    if let Some(sql) = sql {
        find(&GENERIC_SQL, vec![sql]);
        let taken = given(SQL_ARGUMENTS);
        if !taken.is_empty() {
            find(&ACCEPTS_SQL, taken);
        }
    }
    for (rule, wanted) in [(&IDENTIFIERS, IDENTIFIER_ARGUMENTS), (&TRUST_SCOPE, TRUST_ARGUMENTS)] {
        let taken = given(wanted);
        if !taken.is_empty() {
            find(rule, taken);
        }
    }
    if let Some(word) = decides {
        find(&DECIDES, vec![word]);
    }
    if let Some(word) = unbounded {
        let reads = said(&READING_WORDS);
        find(&UNBOUNDED_WRITE, vec![word.clone()]);
        if given(KEY_ARGUMENTS).is_empty() {
            find(&NO_KEY, Vec::new());
        }
        if given(GUARD_ARGUMENTS).is_empty() {
            find(&NO_GUARD, Vec::new());
        }
        if let Some(reads) = reads {
            find(&AMBIGUOUS, vec![word, reads]);
        }
    }
    for (missing, rule) in [
        (!tool.has_output, &NO_OUTPUT),
        (!tool.described, &NO_DESCRIPTION),
        (!tool.annotated, &NO_ANNOTATIONS),
        (!tool.has_fixture, &NO_FIXTURE),
    ] {
        if missing {
            find(rule, Vec::new());
        }
    }
    findings
}
