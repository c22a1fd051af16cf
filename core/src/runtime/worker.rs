//! A worker: carries out what is approved, and what somebody began and did not end.
//!
//! It holds no queue of its own. What is to be done stands in the ledger, and any number of workers look there, oldest first;
//! the claim decides who does it. A worker that notices another one goes through each page in an order of its own, and asks
//! once more whether a change is still open before it begins it: so they seldom want the same one. Of two changes to one
//! row the older goes first. A change that fails waits longer each time, one that cannot succeed is left alone until it
//! moves, and neither stops the others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, sleep, sleep_until};

use super::apply::{Applied, ApplyOptions, Ending};
use super::{Runtime, decide};
use crate::error::{Code, Error, Result};
use crate::ledger::OpenWork;
use crate::primitives::Digest;
use crate::protocol::State;

/// How many proposals are looked at in one step.
const PAGE: u32 = 64;
/// After a pass that found nothing to do, so long nothing is looked for: others may be writing without a pause.
const REST: Duration = Duration::from_millis(20);
/// A change that failed is tried again after so long, twice that, …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … and this at most.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How to work.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerOptions {
    /// Attempts at a time: at least one.
    pub concurrency: usize,
    /// Who applies.
    pub runner: String,
    /// How long an attempt's lease holds before it is renewed or lapses: clamped to 15 s … 3600 s.
    pub lease: Duration,
    /// How often to look for what other processes wrote: at least 250 ms.
    pub poll: Duration,
    /// End when nothing is left that can be done now.
    pub once: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        let ApplyOptions { runner, lease, .. } = ApplyOptions::default();
        Self { concurrency: 4, runner, lease, poll: Duration::from_secs(1), once: false }
    }
}

/// What a worker tells of itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report {
    /// An attempt is about to begin.
    Begun {
        /// The proposal.
        proposal_id: String,
    },
    /// An attempt ended, or could not begin.
    Ended {
        /// The proposal.
        proposal_id: String,
        /// How.
        result: Box<Result<Applied>>,
        /// After how long.
        took: Duration,
        /// What becomes of the proposal.
        next: Next,
    },
    /// The ledger could not be read; it is tried again.
    LedgerFailed(Error),
    /// It was told to stop, and waits for these attempts.
    Draining {
        /// How many.
        running: usize,
    },
}

/// What becomes of a proposal after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Nothing: it has ended.
    Done,
    /// Somebody else has it.
    Elsewhere,
    /// It is tried again after so long.
    Retry(Duration),
    /// It is left alone until something happens to it, or until another worker is started.
    Parked,
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Attempts that were made: not those for which another worker was faster.
    pub attempts: u64,
    /// Proposals that ended: applied, conflict, failed, canceled.
    pub ended: u64,
}

/// Carries out approved changes, several at a time, for as long as it is let.
#[derive(Debug)]
pub struct Worker {
    runtime: Runtime,
    options: WorkerOptions,
}

type Finished = (OpenWork, Result<Applied>, Duration);

impl Worker {
    /// A worker on this runtime's ledger and contract.
    ///
    /// # Errors
    /// `ACTOR_INVALID`, `CONFIG_NOT_FOUND`.
    pub fn new(runtime: Runtime, options: WorkerOptions) -> Result<Self> {
        decide::check_name("a runner", &options.runner)?;
        runtime.need_contract()?;
        Ok(Self { runtime, options })
    }

    /// Works until `stop` is ready, and then until what was begun has ended; with `once` until nothing is left to do.
    /// Dropped, it begins nothing more, and what it began runs to its end as long as the async runtime does.
    ///
    /// # Errors
    /// With `once`, if the ledger cannot be read. Otherwise that is reported and tried again.
    pub async fn run(&self, stop: impl Future<Output = ()>, mut report: impl FnMut(Report)) -> Result<Summary> {
        let mut stop = std::pin::pin!(stop);
        let mut desk = Desk::new(self.runtime.ids.uuid());
        let mut scan = Scan::new(self.runtime.ledger.size().await?);
        let mut running: JoinSet<Finished> = JoinSet::new();
        let (mut summary, mut stopping) = (Summary::default(), false);
        loop {
            while !stopping && !scan.done && running.len() < self.options.concurrency.max(1) {
                match self.next(&mut scan, &mut desk).await {
                    Ok(Some(work)) => {
                        scan.begun = true;
                        desk.begin(&work);
                        report(Report::Begun { proposal_id: work.proposal_id.clone() });
                        running.spawn(attempt(self.runtime.clone(), self.apply_options(), work));
                    }
                    Ok(None) => scan.done = true,
                    Err(error) if self.options.once => return Err(error),
                    Err(error) => {
                        report(Report::LedgerFailed(error));
                        scan.end_after_failure(self.options.poll);
                    }
                }
            }
            let idle = running.is_empty();
            if idle && (stopping || (self.options.once && scan.done && !scan.begun)) {
                return Ok(summary);
            }
            let may_look = !stopping && scan.done && running.len() < self.options.concurrency.max(1);
            let looking = async {
                match scan.due {
                    _ if !may_look => pending().await,
                    // What this pass began may have left something behind it on the same row.
                    _ if self.options.once && !idle => pending().await,
                    _ if self.options.once => {}
                    Some(due) => tokio::select! {
                        () = sleep_until(due) => {}
                        () = self.changed(&scan) => {}
                    },
                    None => self.changed(&scan).await,
                }
            };
            tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    report(Report::Draining { running: running.len() });
                }
                Some(joined) = running.join_next(), if !idle => {
                    // An attempt runs in a task of its own and answers for its panics; this one has none.
                    let Ok((work, result, took)) = joined else { continue };
                    let next = desk.finish(&work, &result, || self.jitter());
                    let in_vain = next == Next::Elsewhere && !overtaken(&result);
                    summary.attempts += u64::from(!in_vain);
                    summary.ended += u64::from(next == Next::Done);
                    if next == Next::Elsewhere {
                        scan.rivals = true;
                        desk.meet_rivals(&mut scan);
                    }
                    report(Report::Ended { proposal_id: work.proposal_id, result: Box::new(result), took, next });
                }
                () = looking => {
                    desk.forget_all_but(&scan.seen);
                    desk.rivals = scan.rivals;
                    scan = Scan::new(self.runtime.ledger.size().await.unwrap_or(scan.size));
                }
            }
        }
    }

    /// Waits until something was written since this pass began.
    async fn changed(&self, scan: &Scan) {
        sleep(REST).await;
        sleep_until(scan.not_before).await;
        let poll = self.options.poll.max(Duration::from_millis(250));
        if self.runtime.ledger.changed(scan.size, poll).await.is_err() {
            sleep(poll).await;
        }
    }

    fn apply_options(&self) -> ApplyOptions {
        ApplyOptions { runner: self.options.runner.clone(), lease: self.options.lease, ..ApplyOptions::default() }
    }

    /// The next proposal that can be begun now; none at the end of the pass.
    async fn next(&self, scan: &mut Scan, desk: &mut Desk) -> Result<Option<OpenWork>> {
        loop {
            if let Some(work) = scan.page.pop_front() {
                scan.seen.insert(work.seq);
                match desk.due(&work, scan.state, self.runtime.clock.now()) {
                    // Somebody else may have taken it since the page was read.
                    Due::Now if desk.rivals && !self.is_open(scan.state, &work).await? => {}
                    Due::Now => return Ok(Some(work)),
                    Due::Held(moment) => {
                        scan.rivals = true;
                        desk.meet_rivals(scan);
                        scan.due = Some(scan.due.map_or(moment, |due| due.min(moment)));
                    }
                    Due::At(moment) => scan.due = Some(scan.due.map_or(moment, |due| due.min(moment))),
                    Due::Not => {}
                }
                continue;
            }
            let Some(state) = scan.state else { return Ok(None) };
            let page = self.runtime.ledger.open_work(state, scan.after, PAGE).await?;
            // What was made since is for the next pass: a pass that never ended would leave those behind it waiting.
            match page.last() {
                Some(last) if scan.after < scan.size => {
                    scan.after = last.seq;
                    scan.page.extend(page);
                    if desk.rivals {
                        desk.shuffle(&mut scan.page);
                    }
                }
                _ => (scan.state, scan.after) = (after(state), 0),
            }
        }
    }

    /// Whether a change is still where its page showed it.
    async fn is_open(&self, state: Option<State>, work: &OpenWork) -> Result<bool> {
        let Some(state) = state else { return Ok(false) };
        let found = self.runtime.ledger.open_work(state, work.seq.saturating_sub(1), 1).await?;
        Ok(found.first().is_some_and(|found| found.seq == work.seq && found.last_seq == work.last_seq))
    }

    /// Between a half and one, so that those who failed together do not come back together.
    fn jitter(&self) -> f64 {
        let random = self.runtime.ids.uuid();
        let digits = random.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(u32::MAX);
        0.5 + 0.5 * f64::from(digits) / f64::from(u32::MAX)
    }
}

/// The states that are looked through, what is in flight first: others may wait behind it.
fn after(state: State) -> Option<State> {
    match state {
        State::PendingWorker => Some(State::OutcomeUnknown),
        State::OutcomeUnknown => Some(State::Approved),
        _ => None,
    }
}

/// Whether an attempt was made before somebody else turned out to have the change.
fn overtaken(result: &Result<Applied>) -> bool {
    result.as_ref().is_err_and(|error| error.code() == Code::FencingTokenStale)
}

async fn attempt(runtime: Runtime, options: ApplyOptions, work: OpenWork) -> Finished {
    let begun = now();
    let result = runtime.apply(&work.proposal_id, &options).await;
    (work, result, begun.elapsed())
}

/// The async runtime's clock: it measures, and decides nothing that is recorded.
fn now() -> Moment {
    Moment::now()
}

/// One pass through all that is open.
struct Scan {
    /// How many events there were when it began.
    size: u64,
    state: Option<State>,
    after: u64,
    page: VecDeque<OpenWork>,
    seen: HashSet<u64>,
    /// When the first of those that wait is due.
    due: Option<Moment>,
    not_before: Moment,
    begun: bool,
    done: bool,
    /// Another worker was noticed.
    rivals: bool,
}

impl Scan {
    fn new(size: u64) -> Self {
        Self {
            size,
            state: Some(State::PendingWorker),
            after: 0,
            page: VecDeque::new(),
            seen: HashSet::new(),
            due: None,
            not_before: now(),
            begun: false,
            done: false,
            rivals: false,
        }
    }

    fn end_after_failure(&mut self, poll: Duration) {
        self.done = true;
        self.not_before = now() + poll;
        self.due = Some(self.not_before);
    }
}

enum Due {
    Now,
    At(Moment),
    /// Another worker is at it until then, or renews.
    Held(Moment),
    Not,
}

/// What this worker remembers of proposals that are open.
struct Desk {
    /// Told apart from other workers by.
    name: String,
    /// Other workers are at it: pages are gone through in an order of this one's own.
    rivals: bool,
    /// Rows that an attempt of this worker is at.
    rows: HashMap<Vec<u8>, u64>,
    waiting: HashMap<u64, Waiting>,
    /// By the last event that they were met with since.
    parked: HashMap<u64, Option<u64>>,
}

struct Waiting {
    until: Moment,
    tries: u32,
    row: Vec<u8>,
}

impl Desk {
    fn new(name: String) -> Self {
        Self { name, rivals: false, rows: HashMap::new(), waiting: HashMap::new(), parked: HashMap::new() }
    }

    fn meet_rivals(&mut self, scan: &mut Scan) {
        if !self.rivals {
            self.rivals = true;
            self.shuffle(&mut scan.page);
        }
    }

    /// An order of this worker's own, by row: what belongs to one row stays in its order.
    fn shuffle(&self, page: &mut VecDeque<OpenWork>) {
        page.make_contiguous().sort_by_cached_key(|work| Digest::of_parts(&[self.name.as_bytes(), &work.row]));
    }

    fn due(&mut self, work: &OpenWork, state: Option<State>, clock: crate::primitives::Instant) -> Due {
        if self.rows.contains_key(&work.row) {
            return Due::Not;
        }
        if let Some(met) = self.parked.get_mut(&work.seq) {
            if *met.get_or_insert(work.last_seq) == work.last_seq {
                return Due::Not;
            }
            self.parked.remove(&work.seq);
        }
        let moment = now();
        if state == Some(State::PendingWorker)
            && let Some(end) = work.lease_expires_at
            && end > clock
        {
            return Due::Held(moment + end.since(clock));
        }
        // An older change to the row that waits goes first. If it is not open any more, the end of this pass forgets it.
        if let Some((_, older)) = self.waiting.iter().find(|(seq, waiting)| **seq < work.seq && waiting.row == work.row)
        {
            return Due::At(older.until.max(moment));
        }
        match self.waiting.get(&work.seq) {
            Some(waiting) if waiting.until > moment => Due::At(waiting.until),
            _ => Due::Now,
        }
    }

    fn begin(&mut self, work: &OpenWork) {
        self.rows.insert(work.row.clone(), work.seq);
    }

    fn finish(&mut self, work: &OpenWork, result: &Result<Applied>, jitter: impl Fn() -> f64) -> Next {
        self.rows.remove(&work.row);
        let tries = self.waiting.remove(&work.seq).map_or(0, |waiting| waiting.tries);
        let next = match result {
            Ok(applied) if applied.ending == Ending::Unknown => Next::Retry(wait(tries, jitter())),
            Ok(applied) if !applied.attempted => Next::Elsewhere,
            Ok(_) => Next::Done,
            Err(error) => match error.code() {
                Code::AttemptInFlight | Code::FencingTokenStale => Next::Elsewhere,
                Code::ApprovalExpired => Next::Done,
                // That ends with another change, not with time.
                Code::RowBusy => Next::Retry(wait(0, jitter())),
                _ if error.retryable() => Next::Retry(wait(tries, jitter())),
                _ => Next::Parked,
            },
        };
        match next {
            Next::Retry(after) => {
                let waiting = Waiting { until: now() + after, tries: tries + 1, row: work.row.clone() };
                self.waiting.insert(work.seq, waiting);
            }
            Next::Parked => drop(self.parked.insert(work.seq, None)),
            Next::Done | Next::Elsewhere => {}
        }
        next
    }

    /// What a whole pass has not met is not open any more.
    fn forget_all_but(&mut self, seen: &HashSet<u64>) {
        self.waiting.retain(|seq, _| seen.contains(seq));
        self.parked.retain(|seq, _| seen.contains(seq));
    }
}

/// Twice as long each time.
fn wait(tries: u32, jitter: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1_u32.checked_shl(tries.min(16)).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    whole.mul_f64(jitter)
}
