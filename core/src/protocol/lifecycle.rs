//! The lifecycle of a proposal: one table. Every pair that is not in it is refused with a code.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};

/// Event, the states it applies to, the state it leads to.
pub const TABLE: &[(Event, &[State], State)] = {
    use Event as E;
    use State as S;
    &[
        (E::Approve, &[S::PendingReview], S::Approved),
        (E::Reject, &[S::PendingReview, S::Approved], S::Rejected),
        (E::Cancel, &[S::PendingReview, S::Approved], S::Canceled),
        (E::Expire, &[S::PendingReview, S::Approved], S::Expired),
        // From pending_worker only once its lease lapsed, or on an explicit take-over.
        (E::Claim, &[S::Approved, S::OutcomeUnknown, S::PendingWorker], S::PendingWorker),
        // This attempt certainly had no effect, and no earlier one is unresolved.
        (E::Release, &[S::PendingWorker], S::Approved),
        (E::Lost, &[S::PendingWorker], S::OutcomeUnknown),
        (E::Applied, &[S::PendingWorker], S::Applied),
        (E::Conflict, &[S::PendingWorker], S::Conflict),
        (E::Failed, &[S::PendingWorker], S::Failed),
        // The tombstone took the key at the source: the change can never land.
        (E::Tombstoned, &[S::PendingWorker], S::Canceled),
        // What a person did, beside a shadow proposal: recorded to be compared, it moves nothing.
        (E::HumanAction, &[S::PendingReview], S::PendingReview),
    ]
};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $(#[$vdoc:meta])* $variant:ident = $word:literal, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name { $( $(#[$vdoc])* $variant, )* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// The word on the wire and in the ledger.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $( $word => Some(Self::$variant), )* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where a proposal stands.
    State {
        /// Waits for a decision.
        PendingReview = "pending_review",
        /// May be applied.
        Approved = "approved",
        /// Decided against.
        Rejected = "rejected",
        /// Withdrawn, superseded or tombstoned.
        Canceled = "canceled",
        /// Nobody decided, or nobody applied, in time.
        Expired = "expired",
        /// An attempt is under way.
        PendingWorker = "pending_worker",
        /// An attempt ended without an answer.
        OutcomeUnknown = "outcome_unknown",
        /// It landed.
        Applied = "applied",
        /// The row had changed.
        Conflict = "conflict",
        /// The handler refused it for good.
        Failed = "failed",
    }
}

words! {
    /// What can happen to a proposal.
    Event {
        /// A reviewer approved.
        Approve = "approve",
        /// A reviewer rejected.
        Reject = "reject",
        /// It was withdrawn.
        Cancel = "cancel",
        /// Its time ran out.
        Expire = "expire",
        /// A worker took it.
        Claim = "claim",
        /// The worker gave it back unharmed.
        Release = "release",
        /// The worker does not know how it ended.
        Lost = "lost",
        /// It landed.
        Applied = "applied",
        /// The row had changed.
        Conflict = "conflict",
        /// It failed for good.
        Failed = "failed",
        /// Its key was taken so that it never lands.
        Tombstoned = "tombstoned",
        /// What a person did was recorded beside it.
        HumanAction = "human_action",
    }
}

impl State {
    /// The state after an event.
    ///
    /// # Errors
    /// `TRANSITION_NOT_ALLOWED` for every pair outside [`TABLE`].
    pub fn after(self, event: Event) -> Result<Self> {
        TABLE
            .iter()
            .find(|(known, from, _)| *known == event && from.contains(&self))
            .map(|(_, _, to)| *to)
            .ok_or_else(|| Error::new(Code::TransitionNotAllowed).with("event", event).with("state", self))
    }

    /// True if nothing can happen any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !TABLE.iter().any(|(_, from, _)| from.contains(&self))
    }

    /// True while an attempt's end is not known.
    #[must_use]
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::PendingWorker | Self::OutcomeUnknown)
    }

    /// The word that v1 knows for this state.
    #[must_use]
    pub fn v1_word(self) -> &'static str {
        match self {
            Self::OutcomeUnknown => "pending_worker",
            Self::Expired => "canceled",
            other => other.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair, written out: what is not listed is refused.
    #[test]
    fn every_pair_of_state_and_event() {
        let allowed = [
            "pending_review approve approved",
            "pending_review reject rejected",
            "approved reject rejected",
            "pending_review cancel canceled",
            "approved cancel canceled",
            "pending_review expire expired",
            "approved expire expired",
            "approved claim pending_worker",
            "outcome_unknown claim pending_worker",
            "pending_worker claim pending_worker",
            "pending_worker release approved",
            "pending_worker lost outcome_unknown",
            "pending_worker applied applied",
            "pending_worker conflict conflict",
            "pending_worker failed failed",
            "pending_worker tombstoned canceled",
            "pending_review human_action pending_review",
        ];
        let mut found = Vec::new();
        for state in State::ALL {
            for event in Event::ALL {
                match state.after(*event) {
                    Ok(next) => found.push(format!("{state} {event} {next}")),
                    Err(error) => assert_eq!(error.code(), Code::TransitionNotAllowed),
                }
            }
        }
        found.sort();
        let mut expected: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(State::ALL.len() * Event::ALL.len(), 120);
    }

    #[test]
    fn terminal_states_stay() {
        let terminal: Vec<&str> =
            State::ALL.iter().filter(|state| state.is_terminal()).map(|state| state.as_str()).collect();
        assert_eq!(terminal, ["rejected", "canceled", "expired", "applied", "conflict", "failed"]);
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(*state));
        }
    }
}
