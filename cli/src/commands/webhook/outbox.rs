//! What is to be sent: a lane for each proposal, in the order of the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use signoff::ledger::LoggedEvent;
use signoff::{Result, Runtime};
use tokio::time::Instant as Moment;

use super::all;

/// Lanes beyond which nothing more is read: with so many stuck, the endpoint is.
const LANES: usize = 64;
/// Events beyond which nothing more is read.
const QUEUED: usize = 256;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How far deliveries got: everything up to `reached`, but for what is held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub reached: u64,
    /// What an event is about, and its first event that was not taken.
    #[serde(default)]
    pub held: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<LoggedEvent>,
    tries: u32,
    not_before: Option<Moment>,
    sending: bool,
}

#[derive(Debug, Default)]
pub struct Outbox {
    reached: u64,
    lanes: BTreeMap<String, Lane>,
    /// Whose turn it is: the lane behind this one.
    last: String,
    dirty: bool,
}

impl Outbox {
    /// From a mark; what it holds is read again.
    pub async fn begin(runtime: &Runtime, mark: Mark) -> Result<Self> {
        let mut outbox = Self { reached: mark.reached, ..Self::default() };
        let mut after = mark.held.values().min().map_or(mark.reached, |first| first.saturating_sub(1));
        while after < mark.reached {
            let (events, looked) = runtime.ledger().events_after(all(), after).await?;
            if looked == after {
                break;
            }
            after = looked;
            for event in events {
                if event.seq <= mark.reached && mark.held.get(&event.subject).is_some_and(|first| *first <= event.seq) {
                    outbox.push(event);
                }
            }
        }
        Ok(outbox)
    }

    /// Reads on in the ledger.
    pub async fn read(&mut self, runtime: &Runtime) -> Result<()> {
        let (events, looked) = runtime.ledger().events_after(all(), self.reached).await?;
        self.dirty |= looked != self.reached;
        self.reached = looked;
        events.into_iter().for_each(|event| self.push(event));
        Ok(())
    }

    fn push(&mut self, event: LoggedEvent) {
        self.lanes.entry(event.subject.clone()).or_default().events.push_back(event);
    }

    pub fn reached(&self) -> u64 {
        self.reached
    }

    pub fn queued(&self) -> usize {
        self.lanes.values().map(|lane| lane.events.len()).sum()
    }

    pub fn has_room(&self) -> bool {
        self.lanes.len() < LANES && self.queued() < QUEUED
    }

    /// The next event whose lane is free and due, one lane after the other.
    pub fn next(&mut self, now: Moment, give_up_after: Option<u32>) -> Option<LoggedEvent> {
        let ready = |lane: &Lane| {
            !lane.sending
                && lane.not_before.is_none_or(|moment| moment <= now)
                && give_up_after.is_none_or(|most| lane.tries < most)
        };
        let behind = (std::ops::Bound::Excluded(self.last.clone()), std::ops::Bound::Unbounded);
        let found = self.lanes.range(behind).chain(self.lanes.iter()).find(|(_, lane)| ready(lane));
        let subject = found.map(|(subject, _)| subject.clone())?;
        let lane = self.lanes.get_mut(&subject)?;
        lane.sending = true;
        self.last = subject;
        lane.events.front().cloned()
    }

    /// When the next lane that waits is due; now, if one is.
    pub fn due(&self, now: Moment, give_up_after: Option<u32>) -> Option<Moment> {
        let waits = |lane: &&Lane| !lane.sending && give_up_after.is_none_or(|most| lane.tries < most);
        self.lanes.values().filter(waits).map(|lane| lane.not_before.unwrap_or(now)).min()
    }

    /// It was taken: the next one of its lane may go.
    pub fn delivered(&mut self, event: &LoggedEvent) {
        self.dirty = true;
        if let Some(lane) = self.lanes.get_mut(&event.subject) {
            lane.events.pop_front();
            (lane.tries, lane.not_before, lane.sending) = (0, None, false);
            if lane.events.is_empty() {
                self.lanes.remove(&event.subject);
            }
        }
    }

    /// It was not: its lane waits, twice as long each time. Answers how often it has failed.
    pub fn failed(&mut self, event: &LoggedEvent, jitter: f64) -> u32 {
        let Some(lane) = self.lanes.get_mut(&event.subject) else { return 0 };
        let doubled = 1_u32.checked_shl(lane.tries.min(16)).unwrap_or(u32::MAX);
        let wait = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT).mul_f64(jitter);
        lane.tries += 1;
        lane.sending = false;
        lane.not_before = Some(Moment::now() + wait);
        lane.tries
    }

    /// Any event that is queued, the oldest first.
    pub fn take_any(&mut self) -> Option<LoggedEvent> {
        let first = |lane: &Lane| lane.events.front().map(|event| event.seq);
        let subject = self.lanes.iter().min_by_key(|(_, lane)| first(lane)).map(|(subject, _)| subject.clone())?;
        let event = self.lanes.get(&subject)?.events.front().cloned()?;
        self.delivered(&event);
        Some(event)
    }

    pub fn mark(&self) -> Mark {
        let first = |lane: &Lane| lane.events.front().map(|event| event.seq);
        let held = self.lanes.iter().filter_map(|(subject, lane)| Some((subject.clone(), first(lane)?)));
        Mark { reached: self.reached, held: held.collect() }
    }

    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// There is something to keep.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    pub fn clean(&mut self) {
        self.dirty = false;
    }
}
