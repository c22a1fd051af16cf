use serde::{Deserialize, Serialize};

use super::job::EngineName;
use super::wire::{self, filled, invalid};
use crate::error::Result;

const SCHEMA: &str = "synapsor.runner-registration.v1";

/// A runner tells a control plane what it can do: `synapsor.runner-registration.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RunnerRegistration {
    /// The one schema this is.
    pub schema_version: RunnerRegistrationSchema,
    /// The runner's id.
    pub runner_id: String,
    /// The runner's version.
    pub runner_version: String,
    /// The databases it writes to; at least one.
    pub engines: Vec<EngineName>,
    /// What it can do; at least one.
    pub capabilities: Vec<String>,
    /// Where it may work.
    pub scope: RegistrationScope,
    /// RFC 3339, kept as written.
    pub registered_at: String,
}

/// The schema of a [`RunnerRegistration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RunnerRegistrationSchema {
    /// `synapsor.runner-registration.v1`.
    #[default]
    #[serde(rename = "synapsor.runner-registration.v1")]
    V1,
}

/// Where a runner may work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RegistrationScope {
    /// The project.
    pub project_id: String,
    /// The sources; at least one.
    pub source_ids: Vec<String>,
}

impl RunnerRegistration {
    /// Reads and [validates](Self::validate) a registration.
    ///
    /// # Errors
    /// `JSON_INVALID`, `JSON_DUPLICATE_KEY`, `JSON_TOO_DEEP`, `DOCUMENT_INVALID`.
    pub fn parse(text: &str) -> Result<Self> {
        let registration: Self = wire::read(SCHEMA, text)?;
        registration.validate()?;
        Ok(registration)
    }

    /// Checks what the types cannot say: nothing is empty, `registered_at` is RFC 3339.
    ///
    /// # Errors
    /// `DOCUMENT_INVALID`.
    pub fn validate(&self) -> Result<()> {
        filled(
            SCHEMA,
            &[
                ("runner_id", &self.runner_id),
                ("runner_version", &self.runner_version),
                ("scope.project_id", &self.scope.project_id),
            ],
        )?;
        if self.engines.is_empty() {
            return Err(invalid(SCHEMA, "engines is empty"));
        }
        for (field, list) in [("capabilities", &self.capabilities), ("scope.source_ids", &self.scope.source_ids)] {
            if list.is_empty() || list.iter().any(String::is_empty) {
                return Err(invalid(SCHEMA, format!("{field} is empty, or one of them is")));
            }
        }
        wire::instant(SCHEMA, "registered_at", &self.registered_at)
    }
}
