//! What can be said of a contract: every code once, with its severity, its meaning and what to do. A problem is reported
//! through its entry here, so a code that is not in the table cannot be emitted.

use std::fmt;

use serde::Serialize;

use crate::error::printable;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// The contract is not used.
    Error,
    /// The contract is used; somebody should look.
    Warning,
}

/// One finding, with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The stable code.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The place as a JSON pointer (RFC 6901). Of a missing member, the pointer it would have.
    pub pointer: String,
    /// The line, from 1. Of a missing member, that of its parent.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = if self.pointer.is_empty() { "the document".to_owned() } else { printable(&self.pointer) };
        write!(formatter, "{}:{}: {severity} {} at {place}: {}", self.line, self.column, self.code, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(formatter, "; {help}"))
    }
}

/// What the table says of one code.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiagnosticInfo {
    /// The stable code.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What it means; also the message where nothing more precise is known.
    pub meaning: &'static str,
    /// What to do; empty if the meaning says it.
    pub help: &'static str,
}

macro_rules! table {
    ($( $code:ident $severity:ident $meaning:literal $(, $help:literal)? ; )*) => {
        $( pub(super) static $code: DiagnosticInfo = DiagnosticInfo {
            code: stringify!($code), severity: Severity::$severity, meaning: $meaning, help: concat!("" $(, $help)?),
        }; )*

        /// Every code a contract's findings can have, in the order of the source.
        pub static DIAGNOSTICS: &[&DiagnosticInfo] = &[ $( &$code, )* ];
    };
}

table! {
    // The text itself.
    JSON_INVALID Error "the text is not JSON";
    JSON_DUPLICATE_KEY Error "a key stands twice in one object", "readers disagree on which one counts: keep one";
    JSON_TOO_DEEP Error "the JSON is nested deeper than 64 levels";

    // The document.
    CONFIG_NOT_OBJECT Error "a contract is a JSON object";
    UNSUPPORTED_CONFIG_VERSION Error "version must be 1", "write \"version\": 1";
    INVALID_RESULT_FORMAT Error "result_format must be 1 or 2";
    INVALID_MODE Error "mode must be read_only, shadow, review or cloud";
    INVALID_BOOLEAN Error "the value must be true or false";
    STORAGE_NOT_OBJECT Error "storage must be an object";
    INVALID_SQLITE_PATH Error "storage.sqlite_path must be a non-empty string";
    UNKNOWN_FIELD Error "the field is not known here";
    INLINE_DATABASE_URL_FORBIDDEN Error "a contract holds no database address", "put the address into an environment variable and name it in read_url_env or write_url_env";
    ARBITRARY_SQL_FORBIDDEN Error "a contract holds no SQL", "name schema, table and columns in target, visible_columns and patch";
    INERT_SETTING Warning "the setting is accepted and has no effect";
    SIGNOFF_NOT_OBJECT Error "signoff must be an object";
    INVALID_LIFETIME Error "a lifetime is a whole number with s, m, h or d, or never", "for example \"7d\"";

    // Sources.
    SOURCES_REQUIRED Error "sources must be an object with at least one source";
    UNSAFE_SOURCE_NAME Error "a source's name has letters, digits and _ only and does not start with a digit";
    SOURCE_NOT_OBJECT Error "a source must be an object";
    INVALID_SOURCE_ENGINE Error "engine must be postgres, mysql or sqlite";
    READ_URL_ENV_REQUIRED Error "read_url_env must name an environment variable", "capital letters, digits and _ only; the address itself stays in the environment";
    INVALID_WRITE_URL_ENV Error "write_url_env must name an environment variable", "capital letters, digits and _ only; the address itself stays in the environment";
    INVALID_TIMEOUT Error "statement_timeout_ms must be a whole number of milliseconds from 1 to 2147483647";
    INVALID_SOURCE_READ_ONLY Error "read_only must be true or false";
    READ_ONLY_SOURCE_DIRECT_WRITEBACK Error "a proposal with direct SQL writeback names a read_only source", "name an http_handler or command_handler executor, or take read_only from the source";
    INVALID_RECEIPTS_SCHEMA Error "receipts_schema must be an identifier";
    SQLITE_SCHEMA_NOT_MAIN Error "in SQLite the schema is main", "write \"main\"; attached files are not reached";
    UNUSED_SOURCE Warning "no capability names this source";

    // The control plane.
    CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE Error "cloud is for mode cloud only";
    CLOUD_CONFIG_REQUIRED Error "mode cloud needs a cloud object";
    CLOUD_BASE_URL_ENV_REQUIRED Error "base_url_env must name an environment variable";
    CLOUD_RUNNER_TOKEN_ENV_REQUIRED Error "runner_token_env must name an environment variable";
    CLOUD_ADAPTER_ID_REQUIRED Error "adapter_id must be a non-empty string";
    INVALID_CLOUD_SOURCE_ID Error "source_id must be a non-empty string";
    INVALID_CLOUD_RUNNER_ID Error "runner_id must be a non-empty string";
    INVALID_CLOUD_RUNNER_VERSION Error "runner_version must be a non-empty string";
    INVALID_CLOUD_PROJECT_ID Error "project_id must be a non-empty string";
    INVALID_CLOUD_ENGINES Error "engines must be a non-empty array of postgres, mysql and sqlite";
    INVALID_CLOUD_CAPABILITIES Error "capabilities must be a non-empty array of non-empty strings";
    INVALID_CLOUD_SESSION Error "session must be an object";

    // Trusted contexts.
    CONTEXTS_NOT_OBJECT Error "contexts must be an object";
    INVALID_CONTEXT_NAME Error "a context's name has letters, digits, _, . and - only and starts with a letter or _";
    TRUSTED_CONTEXT_REQUIRED Error "trusted_context is missing", "give one, or name a context in every capability";
    TRUSTED_CONTEXT_NOT_OBJECT Error "a context must be an object";
    INVALID_CONTEXT_PROVIDER Error "provider must be static_dev, environment, http_claims or cloud_session";
    INVALID_CONTEXT_VALUE Error "a context's values are non-empty strings, and its *_env values name environment variables";
    CONTEXT_VALUE_MISSING Warning "a static_dev context says neither the value nor the variable that holds it", "every call through it will fail";
    STATIC_DEV_CONTEXT Warning "static_dev is for development: everybody acts as one fixed principal";
    UNUSED_CONTEXT Warning "no capability names this context";

    // Executors.
    EXECUTORS_NOT_OBJECT Error "executors must be an object";
    INVALID_EXECUTOR_NAME Error "an executor's name has letters, digits, _, . and - only and starts with a letter or _";
    EXECUTOR_NAME_RESERVED Error "sql_update is the built-in executor and keeps its meaning", "give the executor another name";
    EXECUTOR_NOT_OBJECT Error "an executor must be an object";
    INVALID_EXECUTOR_TYPE Error "type must be sql_update, http_handler or command_handler";
    HANDLER_URL_ENV_REQUIRED Error "url_env must name an environment variable";
    INVALID_HANDLER_METHOD Error "method must be POST, PUT or PATCH";
    HANDLER_SIGNING_SECRET_ENV_INVALID Error "signing_secret_env must name an environment variable";
    INVALID_HANDLER_TIMEOUT Error "timeout_ms must be a whole number of milliseconds from 1 to 2147483647";
    COMMAND_ENV_REQUIRED Error "command_env must name an environment variable";
    EXECUTOR_INVALID_IN_READ_ONLY Error "mode read_only has nothing to execute";
    EXECUTOR_AUTH_NOT_OBJECT Error "auth must be an object";
    INVALID_EXECUTOR_AUTH Error "auth.type must be bearer_env";
    EXECUTOR_TOKEN_ENV_REQUIRED Error "token_env must name an environment variable";
    UNUSED_EXECUTOR Warning "no capability names this executor";

    // Capabilities.
    CAPABILITIES_REQUIRED Error "capabilities must be an array with at least one capability";
    CAPABILITY_NOT_OBJECT Error "a capability must be an object";
    INVALID_CAPABILITY_NAME Error "a capability's name is namespace.name: identifiers joined by points";
    DUPLICATE_CAPABILITY Error "two capabilities have this name";
    INVALID_CAPABILITY_KIND Error "kind must be read or proposal";
    INVALID_CAPABILITY_DESCRIPTION Error "description must be a non-empty string";
    INVALID_RETURNS_HINT Error "returns_hint must be a non-empty string";
    UNKNOWN_SOURCE Error "source must be the name of a source";
    UNKNOWN_CONTEXT Error "context must be the name of one of contexts";
    INVALID_EXECUTOR_REFERENCE Error "executor must be a non-empty string";
    UNKNOWN_EXECUTOR Error "executor must be sql_update or the name of one of executors";
    TARGET_REQUIRED Error "target must be an object";
    INVALID_TARGET_IDENTIFIER Error "the name must be an identifier: letters, digits and _ only, not starting with a digit";
    TENANT_GUARD_REQUIRED Error "target needs a tenant_key", "name the column that holds the tenant; only a development database may say \"single_tenant_dev\": true";
    SINGLE_TENANT_DEV_EXCEPTION Warning "rows are read and written without a tenant guard", "for development only";

    // Arguments.
    ARGS_REQUIRED Error "args must be an object with at least one argument";
    INVALID_ARG_NAME Error "an argument's name has letters, digits, _, . and - only and starts with a letter or _";
    MODEL_CONTROLLED_RESERVED_ARG Error "the model may not choose this: it comes from the contract or the trusted context", "give the argument another name, or remove it";
    ARG_NOT_OBJECT Error "an argument must be an object";
    INVALID_ARG_TYPE Error "type must be string, number or boolean";
    INVALID_ARG_DESCRIPTION Error "description must be a non-empty string";
    INVALID_MAX_LENGTH Error "max_length must be a whole number of at least 1";
    NUMERIC_BOUNDS_REQUIRE_NUMBER Error "minimum and maximum are for numbers";
    INVALID_MINIMUM Error "minimum must be a number";
    INVALID_MAXIMUM Error "maximum must be a number";
    INVALID_NUMERIC_RANGE Error "minimum is greater than maximum";
    INVALID_ENUM Error "enum must be a non-empty array of values of the argument's type";
    ENUM_VALUE_UNREACHABLE Warning "another limit of the argument excludes this value of enum";
    LOOKUP_REQUIRED Error "lookup must be an object";
    LOOKUP_ARG_REQUIRED Error "lookup.id_from_arg must name an argument";
    LOOKUP_ARG_UNKNOWN Error "lookup.id_from_arg names no argument of this capability";
    VISIBLE_COLUMNS_REQUIRED Error "visible_columns must be an array with at least one column";
    INVALID_VISIBLE_COLUMN Error "a visible column must be an identifier";
    COLUMN_REPEATED Warning "the column is already in the list";
    INVALID_MAX_ROWS Error "max_rows must be a whole number of at least 1";

    // Patches.
    PATCH_REQUIRED Error "a proposal needs a patch with at least one column";
    INVALID_PATCH_COLUMN Error "a patched column must be an identifier";
    DUPLICATE_PATCH_COLUMN Error "this engine does not tell the two columns apart by case";
    PATCH_BINDING_NOT_OBJECT Error "a patched column needs {\"fixed\": value} or {\"from_arg\": name}";
    INVALID_PATCH_BINDING Error "a patched column has exactly one of fixed and from_arg, and fixed is a string, number, boolean or null";
    INVALID_PATCH_ARG Error "from_arg must be a non-empty string";
    FROM_ARG_UNKNOWN Error "from_arg names no argument of this capability";
    OPTIONAL_PATCH_ARG Warning "the column is patched from an optional argument", "a call that omits the argument does not patch the column";
    PATCH_COLUMN_NOT_ALLOWED Error "the patched column is not in allowed_columns";
    PATCH_COLUMN_IS_VERSION Error "the patch writes the column that tells whether the row changed", "let the database or a trigger move it";
    ALLOWED_COLUMNS_REQUIRED Error "a proposal needs allowed_columns with at least one column";
    INVALID_ALLOWED_COLUMN Error "an allowed column must be an identifier";
    ALLOWED_COLUMN_IS_KEY Error "the primary key is never written";
    ALLOWED_COLUMN_IS_TENANT Error "the tenant column is never written";
    NUMERIC_BOUNDS_NOT_OBJECT Error "numeric_bounds must be an object";
    INVALID_NUMERIC_BOUND_COLUMN Error "a bounded column must be an identifier";
    NUMERIC_BOUND_PATCH_COLUMN_REQUIRED Error "the bounded column is not in patch";
    NUMERIC_BOUND_NOT_OBJECT Error "a bound must be an object";
    NUMERIC_BOUND_EMPTY Error "a bound needs a minimum or a maximum";
    BOUND_VALUE_NOT_NUMBER Error "a bounded column is patched with something that is not a number: every call would fail";
    FIXED_VALUE_OUT_OF_BOUNDS Error "the fixed value is outside the column's own bounds: every call would fail";
    TRANSITION_GUARDS_NOT_OBJECT Error "transition_guards must be an object";
    INVALID_TRANSITION_GUARD_COLUMN Error "a guarded column must be an identifier";
    TRANSITION_PATCH_COLUMN_REQUIRED Error "the guarded column is not in patch";
    TRANSITION_GUARD_NOT_OBJECT Error "a transition guard must be an object";
    INVALID_TRANSITION_FROM_COLUMN Error "from_column must be an identifier";
    TRANSITION_FROM_COLUMN_NOT_VISIBLE Error "from_column is not in visible_columns";
    TRANSITION_ALLOWED_REQUIRED Error "allowed must be an object with at least one present value";
    TRANSITION_FROM_REQUIRED Error "a present value must be a non-empty string";
    TRANSITION_TO_VALUES_REQUIRED Error "the values that may follow must be a non-empty array of non-empty strings";
    TRANSITION_VALUE_NOT_STRING Error "a column with a transition guard is patched with something that is not a string: every call would fail";
    FIXED_VALUE_UNREACHABLE Error "no transition leads to the fixed value: every call would fail";
    CONFLICT_GUARD_REQUIRED Error "a proposal needs a conflict_guard", "name the version column, or say \"weak_guard_ack\": true";
    CONFLICT_GUARD_COLUMN_REQUIRED Error "conflict_guard needs a column", "name the version column, or say \"weak_guard_ack\": true";
    APPROVAL_NOT_OBJECT Error "approval must be an object";
    INVALID_REQUIRED_ROLE Error "required_role must be a non-empty string";
    WRITEBACK_DISABLED Warning "the source has no write_url_env: proposals can be approved and not applied";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_read_alike() {
        let mut seen = BTreeSet::new();
        for info in DIAGNOSTICS {
            assert!(seen.insert(info.code), "{} stands twice", info.code);
            assert!(
                !info.meaning.is_empty() && !info.meaning.ends_with('.') && !info.help.ends_with('.'),
                "{}",
                info.code
            );
        }
    }

    #[test]
    fn one_line_whatever_the_input() {
        let diagnostic = Diagnostic {
            code: UNKNOWN_FIELD.code,
            severity: UNKNOWN_FIELD.severity,
            pointer: "/a\nb".into(),
            line: 2,
            column: 3,
            message: "no".into(),
            help: Some("did you mean `x`?".into()),
        };
        assert_eq!(diagnostic.to_string(), "2:3: error UNKNOWN_FIELD at /a\\u{a}b: no; did you mean `x`?");
    }
}
