//! Events out: each at least once, those of one proposal in order.

mod cursor;
mod outbox;
mod send;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use signoff::handler::{Policy, SigningSecrets};
use signoff::ledger::{Filter, LoggedEvent};
use signoff::primitives::{Clock as _, IdSource as _, Secret, SystemClock, SystemIds};
use signoff::runtime::Environment;
use signoff::{Code, Error, Result, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant as Moment, sleep_until};

use self::cursor::Cursor;
use self::outbox::{Mark, Outbox};
use self::send::{Destination, Sender};
use crate::args::JsonFlag;
use crate::output::Output;
use crate::service::{Level, Log, put, told_to_stop};

/// The cursor is written at most so often while events go out; whatever was sent since is sent again after a crash.
const SAVE: Duration = Duration::from_millis(200);

/// Send what happens to an endpoint, at least once each.
///
/// It goes on where it ended, also after a crash: how far it got is kept in a file beside the ledger. A receiver tells
/// events apart by `webhook-id`. Of one proposal, no event overtakes another; a proposal whose event is not taken waits,
/// and the others go on.
#[derive(Debug, Args)]
pub struct EventsWebhook {
    /// The endpoint: https, or http on this machine
    #[arg(long, value_name = "URL", required_unless_present = "url_env", conflicts_with = "url_env")]
    pub url: Option<String>,
    /// The variable that holds the endpoint
    #[arg(long, value_name = "VARIABLE")]
    pub url_env: Option<String>,
    /// The variable that holds a signing secret (Standard Webhooks); given twice while one replaces another
    #[arg(long, value_name = "VARIABLE")]
    pub secret_env: Vec<String>,
    /// The variable that holds a bearer token
    #[arg(long, value_name = "VARIABLE")]
    pub bearer_env: Option<String>,
    /// Send what there is, and end: the default
    #[arg(long, conflicts_with = "follow")]
    pub once: bool,
    /// Go on with what comes, until told to stop
    #[arg(long, short)]
    pub follow: bool,
    /// Begin behind this event, or behind the latest, whatever the cursor says
    #[arg(long, visible_alias = "since-event-id", value_name = "SEQ|latest")]
    pub since: Option<String>,
    /// Where to keep how far it got [default: beside the ledger]
    #[arg(long, value_name = "FILE")]
    pub cursor: Option<PathBuf>,
    /// How long an answer may take
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(250..=60_000))]
    pub timeout_ms: u64,
    /// How often to look for what other processes wrote
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(250..=60_000))]
    pub interval_ms: u64,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// With --once: give a proposal's events up for now after so many failures
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,
    /// Show what would be sent, one payload a line; nothing is sent, and the cursor stays
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

pub async fn run(runtime: &Runtime, wanted: &EventsWebhook, output: &mut Output) -> Result<u8> {
    let environment = Environment::system();
    let value = |variable: &String| {
        environment.get(variable).map(Secret::new).ok_or_else(|| usage(format!("{variable} is not set"), "set it"))
    };
    let url = match (&wanted.url, &wanted.url_env) {
        (Some(url), _) => Secret::new(url.clone()),
        (None, Some(variable)) => value(variable)?,
        (None, None) => return Err(usage("no endpoint is given".to_owned(), "add --url or --url-env")),
    };
    let destination = Destination::parse(&url)?;
    let bearer = wanted.bearer_env.as_ref().map(value).transpose()?;
    let secrets = wanted.secret_env.iter().map(value).collect::<Result<Vec<_>>>()?;
    let mut log = Log::new();
    secrets.iter().chain(&bearer).for_each(|secret| log.hide(secret.expose()));
    destination.hidden().iter().for_each(|secret| log.hide(secret));
    let signing = if secrets.is_empty() {
        if !destination.is_loopback() && !wanted.dry_run {
            return Err(usage("an endpoint on another machine gets signed events only".to_owned(), "add --secret-env"));
        }
        log.write(Level::Warn, "events are not signed", json!({ "hint": "add --secret-env" }));
        None
    } else {
        let signing = SigningSecrets::new(secrets)?;
        signing.fit(Policy::Strict)?;
        Some(signing)
    };
    let store_path = runtime.ledger().stats().await?.path;
    let place = wanted.cursor.clone().unwrap_or_else(|| Cursor::beside(&store_path, destination.id()));
    let sender = Sender::new(destination, signing, bearer, Duration::from_millis(wanted.timeout_ms), &store_path)?
        .hiding(log.hidden());

    // A dry run may look while a sender is at work.
    let cursor = if wanted.dry_run { Cursor::look(place) } else { Cursor::take(place)? };
    let since = wanted.since.as_deref().map(|text| since(runtime, text));
    let mark = match since {
        Some(mark) => mark.await?,
        None => cursor.read(runtime).await?,
    };
    let mut outbox = Outbox::begin(runtime, mark).await?;
    if wanted.dry_run {
        return rehearse(runtime, outbox, &sender, output).await;
    }
    if wanted.since.is_some() {
        // Kept even if there is nothing to send from there.
        outbox.touch();
    }
    let mut delivery = Delivery { runtime, wanted, cursor, outbox, sender, log, delivered: 0, saved: Moment::now() };
    delivery.run().await?;
    let (delivered, mark) = (delivery.delivered, delivery.outbox.mark());
    drop(delivery.log);
    output.value(&json!({
        "ok": mark.held.is_empty(), "delivered": delivered, "reached": mark.reached, "held": mark.held,
        "cursor": delivery.cursor.path(),
    }));
    output.line(format!("{delivered} events delivered; the cursor is {}", delivery.cursor.path().display()));
    if mark.held.is_empty() || wanted.follow {
        return Ok(0);
    }
    output.line(format!("{} proposals wait with events that were not taken", mark.held.len()));
    Ok(1)
}

/// From behind this event.
async fn since(runtime: &Runtime, text: &str) -> Result<Mark> {
    let size = runtime.ledger().size().await?;
    // What `webhook-id` says is an event, too.
    let number = text.strip_prefix("evt_").and_then(|rest| rest.split('_').next()).unwrap_or(text);
    let reached = match number.parse::<u64>() {
        Ok(seq) if seq <= size => seq,
        _ if text == "latest" => size,
        _ => return Err(usage(format!("`{text}` is no event of this ledger"), "see `signoff events list`")),
    };
    Ok(Mark { reached, held: Default::default() })
}

async fn rehearse(runtime: &Runtime, mut outbox: Outbox, sender: &Sender, output: &mut Output) -> Result<u8> {
    let end = runtime.ledger().size().await?;
    loop {
        while let Some(event) = outbox.take_any() {
            output.text(&format!("{}\n", sender.payload(&event, SystemClock.now())));
        }
        if outbox.reached() >= end || output.is_closed() {
            return Ok(0);
        }
        outbox.read(runtime).await?;
    }
}

struct Delivery<'a> {
    runtime: &'a Runtime,
    wanted: &'a EventsWebhook,
    cursor: Cursor,
    outbox: Outbox,
    sender: Sender,
    log: Log,
    delivered: u64,
    saved: Moment,
}

type Sent = (LoggedEvent, std::result::Result<(), String>);

impl Delivery<'_> {
    async fn run(&mut self) -> Result<()> {
        let end = self.runtime.ledger().size().await?;
        let mut stop = std::pin::pin!(told_to_stop()?);
        let mut sending: JoinSet<Sent> = JoinSet::new();
        let (mut stopping, interval) = (false, Duration::from_millis(self.wanted.interval_ms));
        loop {
            let more = self.wanted.follow || self.outbox.reached() < end;
            if !stopping && more && self.outbox.has_room() {
                match self.outbox.read(self.runtime).await {
                    Err(error) if self.wanted.follow && error.retryable() => {
                        self.log.write(Level::Error, "the ledger cannot be read", json!({ "code": error.code() }));
                        tokio::time::sleep(interval).await;
                    }
                    read => read?,
                }
            }
            let now = Moment::now();
            while !stopping && sending.len() < usize::from(self.wanted.concurrency) {
                let Some(event) = self.outbox.next(now, self.give_up_after()) else { break };
                let sender = self.sender.clone();
                sending.spawn(async move {
                    let result = sender.send(&event).await;
                    (event, result)
                });
            }
            self.save(sending.is_empty()).await?;
            if sending.is_empty() && (stopping || self.is_done(end)) {
                return Ok(());
            }
            // Room, and nothing left to read: wait for the ledger to grow.
            let grown = !stopping && self.wanted.follow && self.outbox.has_room();
            let (reached, due) = (self.outbox.reached(), self.outbox.due(now, self.give_up_after()));
            let free = !stopping && sending.len() < usize::from(self.wanted.concurrency);
            tokio::select! {
                biased;
                () = &mut stop, if !stopping => stopping = true,
                Some(joined) = sending.join_next(), if !sending.is_empty() => {
                    let (event, result) = joined.map_err(|_| Error::new(Code::Internal).with("detail", "a sender ended early"))?;
                    self.settle(&event, result);
                }
                () = sleep_until(due.unwrap_or(now)), if free && due.is_some() => {}
                changed = self.runtime.ledger().changed(reached, interval), if grown => {
                    if let Err(error) = changed {
                        self.log.write(Level::Error, "the ledger cannot be read", json!({ "code": error.code() }));
                        tokio::time::sleep(interval).await;
                    }
                }
            }
        }
    }

    fn settle(&mut self, event: &LoggedEvent, result: std::result::Result<(), String>) {
        let meta = |event: &LoggedEvent| json!({ "webhook_id": send::id(event), "seq": event.seq, "kind": event.kind, "proposal_id": event.subject });
        match result {
            Ok(()) => {
                self.outbox.delivered(event);
                self.delivered += 1;
                self.log.write(Level::Info, "delivered", meta(event));
            }
            Err(reason) => {
                let tries = self.outbox.failed(event, jitter());
                let mut meta = meta(event);
                put(&mut meta, "reason", json!(reason));
                put(&mut meta, "tries", json!(tries));
                self.log.write(Level::Warn, "not delivered", meta);
            }
        }
        self.log.now(format!("{} delivered, {} wait", self.delivered, self.outbox.queued()));
    }

    /// After so many failures a pass leaves a lane alone.
    fn give_up_after(&self) -> Option<u32> {
        (!self.wanted.follow).then_some(self.wanted.attempts)
    }

    fn is_done(&self, end: u64) -> bool {
        let stuck = !self.outbox.has_room();
        !self.wanted.follow
            && (self.outbox.reached() >= end || stuck)
            && self.outbox.due(Moment::now(), self.give_up_after()).is_none()
    }

    /// Keeps how far it got: never further than what was taken.
    async fn save(&mut self, idle: bool) -> Result<()> {
        if !self.outbox.is_dirty() || !(idle || self.saved.elapsed() >= SAVE) {
            return Ok(());
        }
        self.cursor.write(self.runtime, &self.outbox.mark(), self.sender.destination()).await?;
        self.outbox.clean();
        self.saved = Moment::now();
        Ok(())
    }
}

/// Between a half and one.
fn jitter() -> f64 {
    let random = SystemIds.uuid();
    let digits = random.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(u32::MAX);
    0.5 + 0.5 * f64::from(digits) / f64::from(u32::MAX)
}

fn usage(problem: String, hint: &str) -> Error {
    Error::new(Code::Usage).with("problem", problem).with("hint", hint)
}

/// Everything.
fn all() -> Filter {
    Filter::default()
}
