//! Every code once: severity, meaning, what to do, and a bad example with the place where it is found.
//!
//! An example is a contract and what to replace in it, [`EXAMPLE`](super::EXAMPLE) unless another is named; `§` stands
//! where the finding points. A test finds exactly this one there, and `core/docs/diagnostics.md` is made of it.

use super::{DiagnosticInfo, Example, Severity};

macro_rules! table {
    ($( $code:ident $severity:ident $meaning:literal $(, $help:literal)? => $base:ident $pointer:literal
        [ $( $old:literal => $new:literal ),+ $(,)? ]; )*) => {
        $( pub(in crate::contract) static $code: DiagnosticInfo = DiagnosticInfo {
            code: stringify!($code), severity: Severity::$severity, meaning: $meaning, help: concat!("" $(, $help)?),
            example: Example { base: table!(@$base), edits: &[ $( ($old, $new) ),+ ], pointer: $pointer },
        }; )*

        /// Every code a contract's findings can have, in the order of the source.
        pub static DIAGNOSTICS: &[&DiagnosticInfo] = &[ $( &$code, )* ];
    };
    (@shop) => { super::EXAMPLE };
    (@cloud) => { super::EXAMPLE_CLOUD };
    (@text) => { "" };
}

table! {
    // The text itself.
    JSON_INVALID Error "the text is not JSON"
        => text "" ["" => r#"{ "version": 1, §}"#];
    JSON_DUPLICATE_KEY Error "a key stands twice in one object", "readers disagree on which one counts: keep one"
        => shop "/mode" [r#""mode": "review","# => "\"mode\": \"review\",\n  §\"mode\": \"shadow\","];
    JSON_TOO_DEEP Error "the JSON is nested deeper than 64 levels"
        => text "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0"
        ["" => "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[§1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"];
    JSON_NUMBER_NOT_FINITE Error "a number is not finite: NaN, Infinity, or greater than every double", "many readers would take it for infinite; leave the limit out if there is none"
        => shop "/capabilities/1/args/cents/maximum" [r#""minimum": 1, "maximum": 5000 },"# => r#""minimum": 1, "maximum": §1e400 },"#];

    // The document.
    CONFIG_NOT_OBJECT Error "a contract is a JSON object"
        => text "" ["" => "§[]"];
    UNSUPPORTED_CONFIG_VERSION Error "version must be 1", "write \"version\": 1"
        => shop "/version" [r#""version": 1"# => r#""version": §2"#];
    INVALID_RESULT_FORMAT Error "result_format must be 1 or 2"
        => shop "/result_format" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"result_format\": §3,"];
    INVALID_MODE Error "mode must be read_only, shadow, review or cloud"
        => shop "/mode" [r#""mode": "review""# => r#""mode": §"live""#];
    INVALID_BOOLEAN Error "the value must be true or false"
        => shop "/strict" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"strict\": §\"no\","];
    STORAGE_NOT_OBJECT Error "storage must be an object"
        => shop "/storage" [r#"{ "sqlite_path": ".signoff/ledger.db" }"# => r#"§".signoff/ledger.db""#];
    INVALID_SQLITE_PATH Error "storage.sqlite_path must be a non-empty string"
        => shop "/storage/sqlite_path" [r#"".signoff/ledger.db""# => r#"§"""#];
    UNKNOWN_FIELD Error "the field is not known here", "remove it, or correct its name; \"strict\": false lets unknown fields pass"
        => shop "/storrage" [r#""storage""# => r#"§"storrage""#];
    INLINE_DATABASE_URL_FORBIDDEN Error "a contract holds no database address", "put the address into an environment variable and name it in read_url_env or write_url_env"
        => shop "/sources/shop/read_url" [r#""engine": "postgres","# => "\"engine\": \"postgres\",\n      §\"read_url\": \"postgres://localhost/shop\","];
    ARBITRARY_SQL_FORBIDDEN Error "a contract holds no SQL", "name schema, table and columns in target, visible_columns and patch"
        => shop "/capabilities/0/sql" [r#""kind": "read","# => "\"kind\": \"read\",\n      §\"sql\": \"SELECT * FROM customers\","];
    INERT_SETTING Warning "the setting is accepted and has no effect", "remove it; `signoff config migrate` does"
        => shop "/sources/shop/ssl" [r#""engine": "postgres","# => "\"engine\": \"postgres\",\n      §\"ssl\": { \"rejectUnauthorized\": true },"];
    SIGNOFF_NOT_OBJECT Error "signoff must be an object"
        => shop "/signoff" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": §true,"];
    INVALID_LIFETIME Error "a lifetime is a whole number with s, m, h or d, or never", "for example \"7d\""
        => shop "/signoff/approval_ttl" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"approval_ttl\": §\"soon\" },"];
    INVALID_RATE_LIMIT Error "a rate limit is an object in mcp, and says whole numbers of calls in a minute, 1 to 1000000, or null for no limit"
        => shop "/signoff/mcp/rate_limit/reads_per_minute" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"rate_limit\": { \"reads_per_minute\": §0 } } },"];

    // Sources.
    SOURCES_REQUIRED Error "sources must be an object with at least one source"
        => shop "/sources" ["{\n    \"shop\": {\n      \"engine\": \"postgres\",\n      \"read_url_env\": \"SHOP_READ_URL\",\n      \"write_url_env\": \"SHOP_WRITE_URL\"\n    }\n  }" => "§{}"];
    UNSAFE_SOURCE_NAME Error "a source's name has letters, digits and _ only and does not start with a digit"
        => shop "/sources/my-shop" [
            r#""sources": {"# => "\"sources\": {\n    §\"my-shop\": { \"engine\": \"postgres\", \"read_url_env\": \"MY_SHOP_URL\" },",
            "\"kind\": \"read\",\n      \"source\": \"shop\"" => "\"kind\": \"read\",\n      \"source\": \"my-shop\"",
        ];
    SOURCE_NOT_OBJECT Error "a source must be an object"
        => shop "/sources/archive" [
            r#""sources": {"# => "\"sources\": {\n    \"archive\": §\"ARCHIVE_URL\",",
            "\"kind\": \"read\",\n      \"source\": \"shop\"" => "\"kind\": \"read\",\n      \"source\": \"archive\"",
        ];
    INVALID_SOURCE_ENGINE Error "engine must be postgres, mysql or sqlite"
        => shop "/sources/shop/engine" [r#""postgres""# => r#"§"oracle""#];
    READ_URL_ENV_REQUIRED Error "read_url_env must name an environment variable", "capital letters, digits and _ only; the address itself stays in the environment"
        => shop "/sources/shop/read_url_env" [r#""SHOP_READ_URL""# => r#"§"shop_read_url""#];
    INVALID_WRITE_URL_ENV Error "write_url_env must name an environment variable", "capital letters, digits and _ only; the address itself stays in the environment"
        => shop "/sources/shop/write_url_env" [r#""SHOP_WRITE_URL""# => r#"§"shop write url""#];
    INVALID_TIMEOUT Error "statement_timeout_ms must be a whole number of milliseconds from 1 to 2147483647"
        => shop "/sources/shop/statement_timeout_ms" [r#""engine": "postgres","# => "\"engine\": \"postgres\",\n      \"statement_timeout_ms\": §0,"];
    INVALID_SOURCE_READ_ONLY Error "read_only must be true or false"
        => shop "/sources/shop/read_only" [r#""engine": "postgres","# => "\"engine\": \"postgres\",\n      \"read_only\": §\"yes\","];
    READ_ONLY_SOURCE_DIRECT_WRITEBACK Error "a proposal with direct SQL writeback names a read_only source", "name an http_handler or command_handler executor, or take read_only from the source"
        => shop "/capabilities/2/source" [
            r#""engine": "postgres","# => "\"engine\": \"postgres\",\n      \"read_only\": true,",
            "\"source\": \"shop\",\n      \"target\": { \"schema\": \"public\", \"table\": \"products\"" => "\"source\": §\"shop\",\n      \"target\": { \"schema\": \"public\", \"table\": \"products\"",
        ];
    INVALID_RECEIPTS_SCHEMA Error "receipts_schema must be an identifier"
        => shop "/sources/shop/signoff/receipts_schema" [r#""engine": "postgres","# => "\"engine\": \"postgres\",\n      \"signoff\": { \"receipts_schema\": §\"my schema\" },"];
    SQLITE_SCHEMA_NOT_MAIN Error "in SQLite the schema is main", "write \"main\"; attached files are not reached"
        => shop "/capabilities/0/target/schema" [
            r#""engine": "postgres""# => r#""engine": "sqlite""#,
            r#""schema": "public", "table": "customers""# => r#""schema": §"public", "table": "customers""#,
            r#""schema": "public", "table": "orders""# => r#""schema": "main", "table": "orders""#,
            r#""schema": "public", "table": "products""# => r#""schema": "main", "table": "products""#,
        ];
    UNUSED_SOURCE Warning "no capability names this source", "remove it, or name it"
        => shop "/sources/archive" [r#""sources": {"# => "\"sources\": {\n    §\"archive\": { \"engine\": \"postgres\", \"read_url_env\": \"ARCHIVE_URL\" },"];

    // The control plane.
    CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE Error "cloud is for mode cloud only"
        => shop "/cloud" [r#""mode": "review","# => "\"mode\": \"review\",\n  §\"cloud\": {},"];
    CLOUD_CONFIG_REQUIRED Error "mode cloud needs a cloud object"
        => text "/cloud" ["" => r#"§{ "version": 1, "mode": "cloud" }"#];
    CLOUD_BASE_URL_ENV_REQUIRED Error "base_url_env must name an environment variable"
        => cloud "/cloud/base_url_env" [r#""CLOUD_URL""# => r#"§"https://cloud.example""#];
    CLOUD_RUNNER_TOKEN_ENV_REQUIRED Error "runner_token_env must name an environment variable"
        => cloud "/cloud/runner_token_env" [r#""CLOUD_TOKEN""# => r#"§"cloud token""#];
    CLOUD_ADAPTER_ID_REQUIRED Error "adapter_id must be a non-empty string"
        => cloud "/cloud/adapter_id" [r#""adapter_1""# => r#"§"""#];
    INVALID_CLOUD_SOURCE_ID Error "source_id must be a non-empty string"
        => cloud "/cloud/source_id" [r#""adapter_1""# => "\"adapter_1\",\n    \"source_id\": §7"];
    INVALID_CLOUD_RUNNER_ID Error "runner_id must be a non-empty string"
        => cloud "/cloud/runner_id" [r#""adapter_1""# => "\"adapter_1\",\n    \"runner_id\": §\"\""];
    INVALID_CLOUD_RUNNER_VERSION Error "runner_version must be a non-empty string"
        => cloud "/cloud/runner_version" [r#""adapter_1""# => "\"adapter_1\",\n    \"runner_version\": §1.0"];
    INVALID_CLOUD_PROJECT_ID Error "project_id must be a non-empty string"
        => cloud "/cloud/project_id" [r#""adapter_1""# => "\"adapter_1\",\n    \"project_id\": §null"];
    INVALID_CLOUD_ENGINES Error "engines must be a non-empty array of postgres, mysql and sqlite"
        => cloud "/cloud/engines" [r#""adapter_1""# => "\"adapter_1\",\n    \"engines\": §[\"oracle\"]"];
    INVALID_CLOUD_CAPABILITIES Error "capabilities must be a non-empty array of non-empty strings"
        => cloud "/cloud/capabilities" [r#""adapter_1""# => "\"adapter_1\",\n    \"capabilities\": §[]"];
    INVALID_CLOUD_SESSION Error "session must be an object"
        => cloud "/cloud/session" [r#""adapter_1""# => "\"adapter_1\",\n    \"session\": §\"s1\""];

    // Trusted contexts.
    CONTEXTS_NOT_OBJECT Error "contexts must be an object"
        => shop "/contexts" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"contexts\": §[],"];
    INVALID_CONTEXT_NAME Error "a context's name has letters, digits, _, . and - only and starts with a letter or _"
        => shop "/contexts/back office" [
            r#""mode": "review","# => "\"mode\": \"review\",\n  \"contexts\": { §\"back office\": { \"provider\": \"environment\" } },",
            r#""kind": "read","# => "\"kind\": \"read\",\n      \"context\": \"back office\",",
        ];
    TRUSTED_CONTEXT_REQUIRED Error "trusted_context is missing", "give one, or name a context in every capability"
        => shop "/trusted_context" [
            "{\n  \"version\": 1" => "§{\n  \"version\": 1",
            "  \"trusted_context\": { \"provider\": \"environment\" },\n" => "",
        ];
    TRUSTED_CONTEXT_NOT_OBJECT Error "a context must be an object"
        => shop "/trusted_context" [r#"{ "provider": "environment" }"# => r#"§"environment""#];
    INVALID_CONTEXT_PROVIDER Error "provider must be static_dev, environment, http_claims or cloud_session"
        => shop "/trusted_context/provider" [r#""environment""# => r#"§"model""#];
    INVALID_CONTEXT_VALUE Error "a context's values are non-empty strings, and its *_env values name environment variables"
        => shop "/trusted_context/values/tenant_id_env" [r#""environment" }"# => r#""environment", "values": { "tenant_id_env": §"acme corp" } }"#];
    CONTEXT_VALUE_MISSING Warning "a static_dev context says neither the value nor the variable that holds it", "every call through it will fail"
        => shop "/trusted_context/values" [r#""environment" }"# => r#""static_dev", "values": §{ "tenant_id": "acme" } }"#];
    CONTEXT_NEEDS_CALLER Warning "tenant and principal come from a caller whom the embedding application authenticated", "a call without one is refused: TRUSTED_CONTEXT_UNSUPPORTED; at a terminal use provider environment"
        => shop "/trusted_context/provider" [r#""environment""# => r#"§"http_claims""#];
    STATIC_DEV_CONTEXT Warning "static_dev is for development: everybody acts as one fixed principal", "use provider environment, or hand in the caller"
        => shop "/trusted_context/provider" [r#""environment" }"# => r#"§"static_dev", "values": { "tenant_id": "acme", "principal": "me" } }"#];
    UNUSED_CONTEXT Warning "no capability names this context", "remove it, or name it"
        => shop "/contexts/back_office" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"contexts\": { §\"back_office\": { \"provider\": \"environment\" } },"];

    // Who calls over HTTP.
    MCP_SETTING_NOT_OBJECT Error "signoff.mcp and its auth must be objects"
        => shop "/signoff/mcp/auth" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": §true } },"];
    AUTH_ISSUER_REQUIRED Error "issuer must be the iss of the tokens that are believed", "its characters are visible ASCII without quotes and backslashes"
        => shop "/signoff/mcp/auth/issuer" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": §\"\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\" } } },"];
    AUTH_AUDIENCE_REQUIRED Error "audience must be what aud of a token names this server by, or a list of such names", "for example the address of the endpoint; a token that is meant for somebody else is refused"
        => shop "/signoff/mcp/auth/audience" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": §[], \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\" } } },"];
    AUTH_KEYS_REQUIRED Error "exactly one of jwks_url, jwks_url_env and jwks_file says where the issuer's keys are"
        => shop "/signoff/mcp/auth" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": §{ \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"tenant_claim\": \"tenant\" } } },"];
    INVALID_AUTH_JWKS_URL Error "jwks_url must be an https address, or http on loopback", "whoever answers there says who may call"
        => shop "/signoff/mcp/auth/jwks_url" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": §\"http://id.example/jwks\", \"tenant_claim\": \"tenant\" } } },"];
    AUTH_TENANT_CLAIM_REQUIRED Error "tenant_claim must name the claim that holds the tenant", "what a client says in a header is no tenant"
        => shop "/signoff/mcp/auth/tenant_claim" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": §\"\" } } },"];
    INVALID_AUTH_ALGORITHM Error "algorithms is a list of EdDSA, ES256 and RS256", "whoever can check a shared secret can sign with it, and none is no signature"
        => shop "/signoff/mcp/auth/algorithms" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\", \"algorithms\": §[\"HS256\"] } } },"];
    INVALID_AUTH_SCOPE Error "scopes_required is a list of scopes, and offline_access is none of them", "a scope has visible ASCII without quotes and backslashes"
        => shop "/signoff/mcp/auth/scopes_required" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\", \"scopes_required\": §[\"offline_access\"] } } },"];
    INVALID_AUTH_LEEWAY Error "leeway_seconds is a whole number from 0 to 60", "set the clocks right"
        => shop "/signoff/mcp/auth/leeway_seconds" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\", \"leeway_seconds\": §300 } } },"];
    INVALID_AUTH_SETTING Error "a claim or a file is a non-empty text, a variable has capital letters, digits and _ only, and authorization_servers is a list of addresses"
        => shop "/signoff/mcp/auth/principal_claim" [r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\", \"principal_claim\": §7 } } },"];
    CONTEXT_CLAIM_MISMATCH Error "the context names another claim than signoff.mcp.auth", "one token has one tenant and one principal: name the same claim, or leave it out here"
        => shop "/trusted_context/values/tenant_id_key" [
            r#""mode": "review","# => "\"mode\": \"review\",\n  \"signoff\": { \"mcp\": { \"auth\": { \"issuer\": \"https://id.example\", \"audience\": \"https://mcp.example/mcp\", \"jwks_url\": \"https://id.example/jwks\", \"tenant_claim\": \"tenant\" } } },",
            r#"{ "provider": "environment" }"# => r#"{ "provider": "http_claims", "values": { "tenant_id_key": §"org" } }"#,
        ];

    // Executors.
    EXECUTORS_NOT_OBJECT Error "executors must be an object"
        => shop "/executors" [
            "{\n    \"shop_app\": {\n      \"type\": \"http_handler\",\n      \"url_env\": \"SHOP_APP_URL\",\n      \"auth\": { \"type\": \"bearer_env\", \"token_env\": \"SHOP_APP_TOKEN\" }\n    }\n  }" => "§[]",
            "      \"executor\": \"shop_app\",\n" => "",
        ];
    INVALID_EXECUTOR_NAME Error "an executor's name has letters, digits, _, . and - only and starts with a letter or _"
        => shop "/executors/-app" [
            r#""executors": {"# => "\"executors\": {\n    §\"-app\": { \"type\": \"sql_update\" },",
            r#""lookup": { "id_from_arg": "sku" },"# => "\"executor\": \"-app\",\n      \"lookup\": { \"id_from_arg\": \"sku\" },",
        ];
    EXECUTOR_NAME_RESERVED Error "sql_update is the built-in executor and keeps its meaning", "give the executor another name"
        => shop "/executors/sql_update" [
            r#""executors": {"# => "\"executors\": {\n    §\"sql_update\": { \"type\": \"command_handler\", \"command_env\": \"SHOP_COMMAND\" },",
            r#""lookup": { "id_from_arg": "sku" },"# => "\"executor\": \"sql_update\",\n      \"lookup\": { \"id_from_arg\": \"sku\" },",
        ];
    EXECUTOR_NOT_OBJECT Error "an executor must be an object"
        => shop "/executors/shop_app" ["{\n      \"type\": \"http_handler\",\n      \"url_env\": \"SHOP_APP_URL\",\n      \"auth\": { \"type\": \"bearer_env\", \"token_env\": \"SHOP_APP_TOKEN\" }\n    }" => "§\"http_handler\""];
    INVALID_EXECUTOR_TYPE Error "type must be sql_update, http_handler or command_handler"
        => shop "/executors/shop_app/type" [r#""http_handler""# => r#"§"webhook""#];
    HANDLER_URL_ENV_REQUIRED Error "url_env must name an environment variable"
        => shop "/executors/shop_app/url_env" [r#""SHOP_APP_URL""# => r#"§"https://app.example""#];
    INVALID_HANDLER_METHOD Error "method must be POST, PUT or PATCH"
        => shop "/executors/shop_app/method" [r#""type": "http_handler","# => "\"type\": \"http_handler\",\n      \"method\": §\"GET\","];
    HANDLER_SIGNING_SECRET_ENV_INVALID Error "signing_secret_env must name an environment variable", "the secret itself stays in the environment"
        => shop "/executors/shop_app/signing_secret_env" [r#""type": "http_handler","# => "\"type\": \"http_handler\",\n      \"signing_secret_env\": §\"the secret itself\","];
    INVALID_HANDLER_TIMEOUT Error "timeout_ms must be a whole number of milliseconds from 1 to 2147483647"
        => shop "/executors/shop_app/timeout_ms" [r#""type": "http_handler","# => "\"type\": \"http_handler\",\n      \"timeout_ms\": §-1,"];
    COMMAND_ENV_REQUIRED Error "command_env must name an environment variable"
        => shop "/executors/shop_app/command_env" ["{\n      \"type\": \"http_handler\",\n      \"url_env\": \"SHOP_APP_URL\",\n      \"auth\": { \"type\": \"bearer_env\", \"token_env\": \"SHOP_APP_TOKEN\" }\n    }" => "§{ \"type\": \"command_handler\" }"];
    EXECUTOR_INVALID_IN_READ_ONLY Error "mode read_only has nothing to execute", "remove the executor, or choose mode shadow or review"
        => shop "/executors/shop_app" [
            r#""mode": "review""# => r#""mode": "read_only""#,
            r#""shop_app": {"# => r#""shop_app": §{"#,
        ];
    EXECUTOR_AUTH_NOT_OBJECT Error "auth must be an object"
        => shop "/executors/shop_app/auth" [r#"{ "type": "bearer_env", "token_env": "SHOP_APP_TOKEN" }"# => r#"§"bearer""#];
    INVALID_EXECUTOR_AUTH Error "auth.type must be bearer_env"
        => shop "/executors/shop_app/auth/type" [r#""bearer_env""# => r#"§"basic""#];
    EXECUTOR_TOKEN_ENV_REQUIRED Error "token_env must name an environment variable", "the token itself stays in the environment"
        => shop "/executors/shop_app/auth/token_env" [r#""SHOP_APP_TOKEN""# => r#"§"the token itself""#];
    INVALID_EXECUTOR_SETTING Error "audience must be a text, and env a list of names of environment variables"
        => shop "/executors/shop_app/signoff/audience" [r#""url_env": "SHOP_APP_URL","# => "\"url_env\": \"SHOP_APP_URL\",\n      \"signoff\": { \"audience\": §7 },"];
    UNUSED_EXECUTOR Warning "no capability names this executor", "remove it, or name it"
        => shop "/executors/old_app" [r#""executors": {"# => "\"executors\": {\n    §\"old_app\": { \"type\": \"http_handler\", \"url_env\": \"OLD_APP_URL\" },"];

    // Capabilities.
    CAPABILITIES_REQUIRED Error "capabilities must be an array with at least one capability"
        => text "/capabilities" ["" => "{\n  \"version\": 1,\n  \"mode\": \"review\",\n  \"sources\": { \"shop\": { \"engine\": \"postgres\", \"read_url_env\": \"SHOP_READ_URL\" } },\n  \"trusted_context\": { \"provider\": \"environment\" },\n  \"capabilities\": §[]\n}\n"];
    CAPABILITY_NOT_OBJECT Error "a capability must be an object"
        => shop "/capabilities/0" [r#""capabilities": ["# => "\"capabilities\": [\n    §\"shop.inspect_order\","];
    INVALID_CAPABILITY_NAME Error "a capability's name is namespace.name: identifiers joined by points"
        => shop "/capabilities/0/name" [r#""shop.inspect_customer""# => r#"§"inspect customer""#];
    DUPLICATE_CAPABILITY Error "two capabilities have this name"
        => shop "/capabilities/1/name" [r#""shop.propose_refund""# => r#"§"shop.inspect_customer""#];
    TOOL_ALIAS_COLLISION Error "two capabilities would be one tool to clients that take no point in a name", "rename one of them"
        => shop "/capabilities/1/name" [r#""shop.propose_refund""# => r#"§"shop._inspect_customer""#];
    INVALID_CAPABILITY_KIND Error "kind must be read or proposal"
        => shop "/capabilities/0/kind" [r#""read""# => r#"§"write""#];
    INVALID_CAPABILITY_DESCRIPTION Error "description must be a non-empty string"
        => shop "/capabilities/0/description" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"description\": §\"\","];
    INVALID_RETURNS_HINT Error "returns_hint must be a non-empty string"
        => shop "/capabilities/0/returns_hint" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"returns_hint\": §5,"];
    INVALID_TOOL_SCOPE Error "scope must be user-space or admin"
        => shop "/capabilities/0/signoff/scope" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"signoff\": { \"scope\": §\"everything\" },"];
    INVALID_POLICY_HINT Error "policy_hint must be read, write or destructive"
        => shop "/capabilities/0/signoff/policy_hint" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"signoff\": { \"policy_hint\": §\"harmless\" },"];
    POLICY_HINT_CONTRADICTS_KIND Error "policy_hint contradicts kind: a read is read, and a proposal is write or destructive", "leave it out, or change kind"
        => shop "/capabilities/0/signoff/policy_hint" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"signoff\": { \"policy_hint\": §\"write\" },"];
    INVALID_TOOL_ROLES Error "roles must be a non-empty array of different non-empty strings", "leave it out to offer the tool to everybody"
        => shop "/capabilities/0/signoff/roles" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"signoff\": { \"roles\": §[] },"];
    ADMIN_TOOL_WITHOUT_ROLES Error "scope admin needs roles", "name the roles that are offered the tool"
        => shop "/capabilities/0/signoff/roles" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"signoff\": §{ \"scope\": \"admin\" },"];
    INVALID_TOOL_DIGEST Error "tool_digest must be sha256: and 64 hex digits", "`signoff tools list --json` shows it"
        => shop "/capabilities/0/signoff/tool_digest" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"signoff\": { \"tool_digest\": §\"latest\" },"];
    UNKNOWN_SOURCE Error "source must be the name of a source"
        => shop "/capabilities/0/source" ["\"kind\": \"read\",\n      \"source\": \"shop\"" => "\"kind\": \"read\",\n      \"source\": §\"shoop\""];
    UNKNOWN_CONTEXT Error "context must be the name of one of contexts"
        => shop "/capabilities/0/context" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"context\": §\"back_office\","];
    INVALID_EXECUTOR_REFERENCE Error "executor must be a non-empty string"
        => shop "/capabilities/2/executor" [r#""lookup": { "id_from_arg": "sku" },"# => "\"executor\": §\"\",\n      \"lookup\": { \"id_from_arg\": \"sku\" },"];
    UNKNOWN_EXECUTOR Error "executor must be sql_update or the name of one of executors"
        => shop "/capabilities/2/executor" [r#""lookup": { "id_from_arg": "sku" },"# => "\"executor\": §\"shop_ap\",\n      \"lookup\": { \"id_from_arg\": \"sku\" },"];
    TARGET_REQUIRED Error "target must be an object"
        => shop "/capabilities/0/target" [r#"{ "schema": "public", "table": "customers", "primary_key": "id", "tenant_key": "tenant_id" }"# => r#"§"public.customers""#];
    INVALID_TARGET_IDENTIFIER Error "the name must be an identifier: letters, digits and _ only, not starting with a digit"
        => shop "/capabilities/0/target/table" [r#""customers""# => r#"§"customers; --""#];
    TENANT_GUARD_REQUIRED Error "target needs a tenant_key", "name the column that holds the tenant; only a development database may say \"single_tenant_dev\": true"
        => shop "/capabilities/0/target/tenant_key" [r#"{ "schema": "public", "table": "customers", "primary_key": "id", "tenant_key": "tenant_id" }"# => r#"§{ "schema": "public", "table": "customers", "primary_key": "id" }"#];
    SINGLE_TENANT_DEV_EXCEPTION Warning "rows are read and written without a tenant guard", "for development only"
        => shop "/capabilities/0/target/single_tenant_dev" [r#""customers", "primary_key": "id", "tenant_key": "tenant_id" }"# => r#""customers", "primary_key": "id", "single_tenant_dev": §true }"#];
    INVALID_EVIDENCE Error "evidence, if it is given, must be required: it is always recorded", "remove it, or write \"required\"; `signoff config migrate` does"
        => shop "/capabilities/0/evidence" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"evidence\": §\"none\","];

    // Arguments.
    ARGS_REQUIRED Error "args must be an object with at least one argument"
        => shop "/capabilities/0/args" [r#"{ "customer_id": { "type": "string" } }"# => "§{}"];
    INVALID_ARG_NAME Error "an argument's name has letters, digits, _, . and - only and starts with a letter or _"
        => shop "/capabilities/0/args/customer name" [r#""args": { "customer_id""# => r#""args": { §"customer name": { "type": "string" }, "customer_id""#];
    MODEL_CONTROLLED_RESERVED_ARG Error "the model may not choose this: it comes from the contract or the trusted context", "give the argument another name, or remove it"
        => shop "/capabilities/0/args/tenant_id" [r#""args": { "customer_id""# => r#""args": { §"tenant_id": { "type": "string" }, "customer_id""#];
    ARG_NOT_OBJECT Error "an argument must be an object"
        => shop "/capabilities/0/args/customer_id" [r#"{ "customer_id": { "type": "string" } }"# => r#"{ "customer_id": §"string" }"#];
    INVALID_ARG_TYPE Error "type must be string, number or boolean"
        => shop "/capabilities/0/args/customer_id/type" [r#"{ "customer_id": { "type": "string" } }"# => r#"{ "customer_id": { "type": §"uuid" } }"#];
    INVALID_ARG_DESCRIPTION Error "description must be a non-empty string"
        => shop "/capabilities/1/args/note/description" [r#""note": { "type": "string" }"# => r#""note": { "type": "string", "description": §"" }"#];
    INVALID_MAX_LENGTH Error "max_length must be a whole number of at least 1"
        => shop "/capabilities/1/args/order_id/max_length" [r#""max_length": 64"# => r#""max_length": §0"#];
    NUMERIC_BOUNDS_REQUIRE_NUMBER Error "minimum and maximum are for numbers"
        => shop "/capabilities/1/args/note/minimum" [r#""note": { "type": "string" }"# => r#""note": { "type": "string", "minimum": §1 }"#];
    INVALID_MINIMUM Error "minimum must be a number"
        => shop "/capabilities/1/args/cents/minimum" [r#""type": "number", "minimum": 1"# => r#""type": "number", "minimum": §"1""#];
    INVALID_MAXIMUM Error "maximum must be a number"
        => shop "/capabilities/1/args/cents/maximum" [r#""maximum": 5000 },"# => r#""maximum": §true },"#];
    INVALID_NUMERIC_RANGE Error "minimum is greater than maximum"
        => shop "/capabilities/1/args/cents" [r#"{ "type": "number", "minimum": 1, "maximum": 5000 }"# => r#"§{ "type": "number", "minimum": 5000, "maximum": 1 }"#];
    INVALID_ENUM Error "enum must be a non-empty array of values of the argument's type"
        => shop "/capabilities/1/args/note/enum" [r#""note": { "type": "string" }"# => r#""note": { "type": "string", "enum": §[] }"#];
    ENUM_VALUE_UNREACHABLE Warning "another limit of the argument excludes this value of enum", "remove the value, or widen the limit"
        => shop "/capabilities/1/args/order_id/enum/1" [r#""max_length": 64"# => r#""max_length": 2, "enum": ["A1", §"A100"]"#];
    UNUSED_ARGUMENT Warning "neither lookup nor patch uses this argument", "what the model says in it has no effect: use it, or remove it"
        => shop "/capabilities/0/args/reason" [r#""args": { "customer_id""# => r#""args": { §"reason": { "type": "string" }, "customer_id""#];
    LOOKUP_REQUIRED Error "lookup must be an object"
        => shop "/capabilities/0/lookup" [r#"{ "id_from_arg": "customer_id" }"# => r#"§"customer_id""#];
    LOOKUP_ARG_REQUIRED Error "lookup.id_from_arg must name an argument"
        => shop "/capabilities/0/lookup/id_from_arg" [r#""id_from_arg": "customer_id""# => r#""id_from_arg": §"""#];
    LOOKUP_ARG_UNKNOWN Error "lookup.id_from_arg names no argument of this capability"
        => shop "/capabilities/0/lookup/id_from_arg" [r#""id_from_arg": "customer_id""# => r#""id_from_arg": §"customer""#];
    LOOKUP_ARG_OPTIONAL Warning "the argument that names the row is optional", "a call that omits it is refused: let it be required"
        => shop "/capabilities/0/lookup/id_from_arg" [
            r#"{ "customer_id": { "type": "string" } }"# => r#"{ "customer_id": { "type": "string", "required": false } }"#,
            r#""id_from_arg": "customer_id""# => r#""id_from_arg": §"customer_id""#,
        ];
    VISIBLE_COLUMNS_REQUIRED Error "visible_columns must be an array with at least one column"
        => shop "/capabilities/0/visible_columns" [r#"["id", "name"]"# => "§[]"];
    INVALID_VISIBLE_COLUMN Error "a visible column must be an identifier"
        => shop "/capabilities/0/visible_columns/1" [r#"["id", "name"]"# => r#"["id", §"*"]"#];
    COLUMN_REPEATED Warning "the column is already in the list", "remove it; `signoff config migrate` does"
        => shop "/capabilities/0/visible_columns/1" [r#"["id", "name"]"# => r#"["id", §"id"]"#];
    INVALID_MAX_ROWS Error "max_rows must be a whole number of at least 1"
        => shop "/capabilities/0/max_rows" [r#""kind": "read","# => "\"kind\": \"read\",\n      \"max_rows\": §0,"];

    // Patches.
    PATCH_REQUIRED Error "a proposal needs a patch with at least one column"
        => shop "/capabilities/2/patch" [r#"{ "title": { "from_arg": "title" } }"# => "§{}"];
    INVALID_PATCH_COLUMN Error "a patched column must be an identifier"
        => shop "/capabilities/2/patch/sub title" [r#"{ "title": { "from_arg": "title" } }"# => r#"{ "title": { "from_arg": "title" }, §"sub title": { "fixed": "" } }"#];
    DUPLICATE_PATCH_COLUMN Error "this engine does not tell the two columns apart by case"
        => shop "/capabilities/2/patch/Title" [
            r#""engine": "postgres""# => r#""engine": "mysql""#,
            r#"{ "title": { "from_arg": "title" } }"# => r#"{ "title": { "from_arg": "title" }, §"Title": { "fixed": "" } }"#,
            r#""allowed_columns": ["title"]"# => r#""allowed_columns": ["title", "Title"]"#,
        ];
    PATCH_BINDING_NOT_OBJECT Error "a patched column needs {\"fixed\": value} or {\"from_arg\": name}"
        => shop "/capabilities/2/patch/title" [r#"{ "title": { "from_arg": "title" } }"# => r#"{ "title": §"New title" }"#];
    INVALID_PATCH_BINDING Error "a patched column has exactly one of fixed and from_arg, and fixed is a string, number, boolean or null"
        => shop "/capabilities/2/patch/title" [r#"{ "title": { "from_arg": "title" } }"# => r#"{ "title": §{ "from_arg": "title", "fixed": "" } }"#];
    INVALID_PATCH_ARG Error "from_arg must be a non-empty string"
        => shop "/capabilities/2/patch/title/from_arg" [r#"{ "from_arg": "title" }"# => r#"{ "from_arg": §7 }"#];
    FROM_ARG_UNKNOWN Error "from_arg names no argument of this capability"
        => shop "/capabilities/2/patch/title/from_arg" [r#"{ "from_arg": "title" }"# => r#"{ "from_arg": §"titel" }"#];
    OPTIONAL_PATCH_ARG Warning "the column is patched from an optional argument", "a call that omits the argument does not patch the column"
        => shop "/capabilities/2/patch/title/from_arg" [
            r#""title": { "type": "string" }"# => r#""title": { "type": "string", "required": false }"#,
            r#"{ "from_arg": "title" }"# => r#"{ "from_arg": §"title" }"#,
        ];
    PATCH_COLUMN_NOT_ALLOWED Error "the patched column is not in allowed_columns"
        => shop "/capabilities/2/patch/title" [
            r#"{ "title": { "from_arg": "title" } }"# => r#"{ §"title": { "from_arg": "title" } }"#,
            r#""allowed_columns": ["title"]"# => r#""allowed_columns": ["name"]"#,
        ];
    PATCH_COLUMN_IS_VERSION Error "the patch writes the column that tells whether the row changed", "let the database or a trigger move it"
        => shop "/capabilities/2/patch/title" [
            r#"{ "title": { "from_arg": "title" } }"# => r#"{ §"title": { "from_arg": "title" } }"#,
            r#"{ "weak_guard_ack": true }"# => r#"{ "column": "title" }"#,
        ];
    ALLOWED_COLUMNS_REQUIRED Error "a proposal needs allowed_columns with at least one column"
        => shop "/capabilities/2/allowed_columns" [r#""allowed_columns": ["title"]"# => r#""allowed_columns": §[]"#];
    INVALID_ALLOWED_COLUMN Error "an allowed column must be an identifier"
        => shop "/capabilities/2/allowed_columns/1" [r#""allowed_columns": ["title"]"# => r#""allowed_columns": ["title", §"*"]"#];
    ALLOWED_COLUMN_IS_KEY Error "the primary key is never written"
        => shop "/capabilities/2/allowed_columns/1" [r#""allowed_columns": ["title"]"# => r#""allowed_columns": ["title", §"sku"]"#];
    ALLOWED_COLUMN_IS_TENANT Error "the tenant column is never written"
        => shop "/capabilities/2/allowed_columns/1" [r#""allowed_columns": ["title"]"# => r#""allowed_columns": ["title", §"tenant_id"]"#];
    NUMERIC_BOUNDS_NOT_OBJECT Error "numeric_bounds must be an object"
        => shop "/capabilities/1/numeric_bounds" [r#"{ "refund_cents": { "minimum": 1, "maximum": 5000 } }"# => "§[1, 5000]"];
    INVALID_NUMERIC_BOUND_COLUMN Error "a bounded column must be an identifier"
        => shop "/capabilities/1/numeric_bounds/refund cents" [r#"{ "refund_cents": { "minimum""# => r#"{ §"refund cents": { "minimum""#];
    NUMERIC_BOUND_PATCH_COLUMN_REQUIRED Error "the bounded column is not in patch"
        => shop "/capabilities/1/numeric_bounds/total_cents" [r#"{ "refund_cents": { "minimum""# => r#"{ §"total_cents": { "minimum""#];
    NUMERIC_BOUND_NOT_OBJECT Error "a bound must be an object"
        => shop "/capabilities/1/numeric_bounds/refund_cents" [r#"{ "refund_cents": { "minimum": 1, "maximum": 5000 } }"# => r#"{ "refund_cents": §5000 }"#];
    NUMERIC_BOUND_EMPTY Error "a bound needs a minimum or a maximum"
        => shop "/capabilities/1/numeric_bounds/refund_cents" [r#"{ "refund_cents": { "minimum": 1, "maximum": 5000 } }"# => r#"{ "refund_cents": §{} }"#];
    BOUND_VALUE_NOT_NUMBER Error "a bounded column is patched with something that is not a number: every call would fail"
        => shop "/capabilities/1/numeric_bounds/status" [r#"{ "refund_cents": { "minimum""# => r#"{ "status": §{ "minimum": 1 }, "refund_cents": { "minimum""#];
    FIXED_VALUE_OUT_OF_BOUNDS Error "the fixed value is outside the column's own bounds: every call would fail"
        => shop "/capabilities/1/numeric_bounds/refund_cents" [
            r#""refund_cents": { "from_arg": "cents" }"# => r#""refund_cents": { "fixed": 0 }"#,
            r#"{ "refund_cents": { "minimum""# => r#"{ "refund_cents": §{ "minimum""#,
        ];
    ARGUMENT_NEVER_FITS Error "no value that the argument allows passes the column's own limits: every call would fail", "let the argument's limits and the column's overlap"
        => shop "/capabilities/1/numeric_bounds/refund_cents" [r#"{ "refund_cents": { "minimum": 1, "maximum": 5000 } }"# => r#"{ "refund_cents": §{ "minimum": 9000 } }"#];
    TRANSITION_GUARDS_NOT_OBJECT Error "transition_guards must be an object"
        => shop "/capabilities/1/transition_guards" [r#"{ "status": { "allowed": { "paid": ["refunded"] } } }"# => r#"§["refunded"]"#];
    INVALID_TRANSITION_GUARD_COLUMN Error "a guarded column must be an identifier"
        => shop "/capabilities/1/transition_guards/order status" [r#"{ "status": { "allowed""# => r#"{ §"order status": { "allowed""#];
    TRANSITION_PATCH_COLUMN_REQUIRED Error "the guarded column is not in patch"
        => shop "/capabilities/1/transition_guards/updated_at" [r#"{ "status": { "allowed""# => r#"{ §"updated_at": { "allowed""#];
    TRANSITION_GUARD_NOT_OBJECT Error "a transition guard must be an object"
        => shop "/capabilities/1/transition_guards/status" [r#"{ "allowed": { "paid": ["refunded"] } }"# => r#"§["refunded"]"#];
    INVALID_TRANSITION_FROM_COLUMN Error "from_column must be an identifier"
        => shop "/capabilities/1/transition_guards/status/from_column" [r#"{ "allowed": { "paid""# => r#"{ "from_column": §"order status", "allowed": { "paid""#];
    TRANSITION_FROM_COLUMN_NOT_VISIBLE Error "from_column is not in visible_columns"
        => shop "/capabilities/1/transition_guards/status/from_column" [r#"{ "allowed": { "paid""# => r#"{ "from_column": §"state", "allowed": { "paid""#];
    TRANSITION_ALLOWED_REQUIRED Error "allowed must be an object with at least one present value"
        => shop "/capabilities/1/transition_guards/status/allowed" [r#"{ "paid": ["refunded"] }"# => "§{}"];
    TRANSITION_FROM_REQUIRED Error "a present value must be a non-empty string"
        => shop "/capabilities/1/transition_guards/status/allowed/" [r#"{ "paid": ["refunded"] }"# => r#"{ §"": ["refunded"] }"#];
    TRANSITION_TO_VALUES_REQUIRED Error "the values that may follow must be a non-empty array of non-empty strings"
        => shop "/capabilities/1/transition_guards/status/allowed/sent" [r#"{ "paid": ["refunded"] }"# => r#"{ "paid": ["refunded"], "sent": §[] }"#];
    TRANSITION_VALUE_NOT_STRING Error "a column with a transition guard is patched with something that is not a string: every call would fail"
        => shop "/capabilities/1/transition_guards/refund_cents" [r#"{ "status": { "allowed""# => r#"{ "refund_cents": §{ "allowed": { "none": ["some"] } }, "status": { "allowed""#];
    FIXED_VALUE_UNREACHABLE Error "no transition leads to the fixed value: every call would fail"
        => shop "/capabilities/1/transition_guards/status" [r#"{ "allowed": { "paid": ["refunded"] } }"# => r#"§{ "allowed": { "paid": ["sent"] } }"#];
    CONFLICT_GUARD_REQUIRED Error "a proposal needs a conflict_guard", "name the version column, or say \"weak_guard_ack\": true"
        => shop "/capabilities/2/conflict_guard" [
            "{\n      \"name\": \"shop.propose_rename\"" => "§{\n      \"name\": \"shop.propose_rename\"",
            ",\n      \"conflict_guard\": { \"weak_guard_ack\": true }" => "",
        ];
    CONFLICT_GUARD_COLUMN_REQUIRED Error "conflict_guard needs a column", "name the version column, or say \"weak_guard_ack\": true"
        => shop "/capabilities/2/conflict_guard/column" [r#"{ "weak_guard_ack": true }"# => "§{}"];
    APPROVAL_NOT_OBJECT Error "approval must be an object"
        => shop "/capabilities/1/approval" [r#"{ "required_role": "support_lead" }"# => r#"§"support_lead""#];
    INVALID_APPROVAL_MODE Error "approval.mode, if it is given, must be human: a person decides", "write \"human\"; `signoff config migrate` does"
        => shop "/capabilities/1/approval/mode" [r#"{ "required_role": "support_lead" }"# => r#"{ "mode": §"auto", "required_role": "support_lead" }"#];
    INVALID_REQUIRED_ROLE Error "required_role must be a non-empty string"
        => shop "/capabilities/1/approval/required_role" [r#""support_lead""# => r#"§"""#];
    WRITEBACK_DISABLED Warning "the source has no write_url_env: proposals can be approved and not applied", "name the variable that holds the address for writes"
        => shop "/capabilities/2/source" [
            ",\n      \"write_url_env\": \"SHOP_WRITE_URL\"" => "",
            "\"source\": \"shop\",\n      \"target\": { \"schema\": \"public\", \"table\": \"products\"" => "\"source\": §\"shop\",\n      \"target\": { \"schema\": \"public\", \"table\": \"products\"",
        ];
}
