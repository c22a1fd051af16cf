//! `cloud`: where a control plane is found. It is checked here and used by nothing yet.

use super::capabilities::engine_of;
use super::reader::{At, Findings};
use crate::contract::diagnostics as d;
use crate::contract::keys;
use crate::contract::types::Mode;

pub(super) fn read(findings: &mut Findings<'_>, root: &At<'_>, mode: Option<Mode>) {
    let Some(cloud) = root.get("cloud") else {
        if mode == Some(Mode::Cloud) {
            findings.report(&d::CLOUD_CONFIG_REQUIRED, root.spot_of("cloud"));
        }
        return;
    };
    if mode.is_some_and(|mode| mode != Mode::Cloud) {
        findings.report(&d::CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE, cloud.key());
        return;
    }
    if !cloud.is_object() {
        findings.report(&d::CLOUD_CONFIG_REQUIRED, cloud.spot());
        return;
    }
    findings.open(&cloud, &keys::CLOUD);
    findings.required(&cloud, "base_url_env", &d::CLOUD_BASE_URL_ENV_REQUIRED, At::env_name);
    findings.required(&cloud, "runner_token_env", &d::CLOUD_RUNNER_TOKEN_ENV_REQUIRED, At::env_name);
    findings.required(&cloud, "adapter_id", &d::CLOUD_ADAPTER_ID_REQUIRED, At::text);
    let texts = [
        ("source_id", &d::INVALID_CLOUD_SOURCE_ID),
        ("runner_id", &d::INVALID_CLOUD_RUNNER_ID),
        ("runner_version", &d::INVALID_CLOUD_RUNNER_VERSION),
        ("project_id", &d::INVALID_CLOUD_PROJECT_ID),
    ];
    for (key, info) in texts {
        findings.optional(&cloud, key, info, At::text);
    }
    let every = |at: &At<'_>, good: fn(&At<'_>) -> bool| {
        at.items().filter(|items| !items.is_empty() && items.iter().all(good)).map(|_| ())
    };
    findings.optional(&cloud, "engines", &d::INVALID_CLOUD_ENGINES, |at| {
        every(at, |item| item.node.as_str().and_then(engine_of).is_some())
    });
    findings
        .optional(&cloud, "capabilities", &d::INVALID_CLOUD_CAPABILITIES, |at| every(at, |item| item.text().is_some()));
    findings.optional(&cloud, "session", &d::INVALID_CLOUD_SESSION, |at| at.is_object().then_some(()));
}
