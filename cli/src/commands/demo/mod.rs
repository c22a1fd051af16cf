//! One change from proposal to receipt, with everything that is refused on the way. Every line is what really happened:
//! the demo makes the same calls as any application, on a throwaway SQLite file or in a Postgres schema of its own.

#[cfg(feature = "postgres")]
mod postgres;
mod source;
mod stage;

use std::path::Path;

use serde_json::json;
use signoff::runtime::{ApplyOptions, Approver, Caller, Ending, Seen};
use signoff::{Code, Error, Result};

use self::source::Source;
use self::stage::Stage;
use crate::args::Demo;
use crate::output::Output;
use crate::setup;

const INSPECT: &str = "billing.inspect_invoice";
const WAIVE: &str = "billing.propose_late_fee_waiver";

pub async fn run(demo: &Demo, output: &mut Output) -> Result<u8> {
    let folder = Path::new(&demo.dir);
    let source = match &demo.postgres {
        Some(address) => Source::postgres(address)?,
        None => Source::sqlite(folder),
    };
    let stage = Stage::set(folder, source).await?;
    setup::warn_unverified(&stage.contract()?, &stage.environment(), output);
    let told = tell(&stage, output).await;
    // Also of a story that broke off, whose reason is the one to be told.
    let left = if demo.keep { Ok(()) } else { stage.source.leave().await };
    told.and_then(|exit| left.map(|()| exit))
}

async fn tell(stage: &Stage, output: &mut Output) -> Result<u8> {
    let runtime = stage.runtime("ledger.db")?;
    stage.migrate().await?;
    let caller = Caller::FromContract;
    let lead = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: true };
    let options = ApplyOptions::default();

    output.line(output.strong("An agent reads one row, inside its tenant"));
    let read = runtime.read(INSPECT, r#"{"invoice_id":"INV-3001"}"#, &caller).await?;
    let fee =
        read.data.iter().find(|(column, _)| column.as_str() == "late_fee_cents").map(|(_, value)| value.to_string());
    output.line(format!("  {INSPECT} INV-3001: late_fee_cents {}", fee.unwrap_or_default()));
    let foreign = runtime.read(INSPECT, r#"{"invoice_id":"INV-9001"}"#, &caller).await;
    output.line(format!("  {INSPECT} INV-9001 (another tenant's): {}", refused(foreign)?));

    output.line(output.strong("It proposes an exact change; the row stays as it was"));
    let proposed = runtime
        .propose(WAIVE, r#"{"invoice_id":"INV-3001","reason":"first late payment in six years"}"#, &caller)
        .await?;
    let id = proposed.change_set.proposal_id.clone();
    let hash = proposed.change_set.integrity.proposal_hash.clone();
    output.line(format!("  {id}"));
    super::shown::diff(&proposed.change_set, output);
    output.line(format!("  Source DB changed: no (late_fee_cents is {})", stage.source.fee().await?));

    output.line(output.strong("Nothing lands without a decision by somebody else"));
    output.line(format!("  apply before approval: {}", refused(runtime.apply(&id, &options).await)?));
    let seen = Seen { proposal_id: id.clone(), hash: hash.clone(), version: 1 };
    let agent = Approver { id: "support_agent".to_owned(), ..lead.clone() };
    output.line(format!("  approved by the proposer: {}", refused(runtime.approve(&seen, &agent, None).await)?));
    runtime.approve(&seen, &lead, Some("within policy".to_owned())).await?;
    output.line(format!("  approved by dana (billing_lead), bound to {}…", hash.get(..23).unwrap_or(&hash)));

    output.line(output.strong("A worker checks everything again and applies it, once"));
    let rehearsed = runtime.apply(&id, &ApplyOptions::rehearsal()).await?;
    output.line(format!(
        "  dry run on the live row: {}; late_fee_cents is still {}",
        word(&rehearsed.ending),
        stage.source.fee().await?
    ));
    let applied = runtime.apply(&id, &options).await?;
    output.line(format!("  apply:  {}; late_fee_cents is {}", word(&applied.ending), stage.source.fee().await?));
    let retried = runtime.apply(&id, &options).await?;
    output.line(format!(
        "  again:  {}; a trigger counted {} effect",
        word(&retried.ending),
        stage.source.effects().await?
    ));

    output.line(output.strong("A row that changed since is not overwritten"));
    let stale =
        runtime.propose(WAIVE, r#"{"invoice_id":"INV-3001","reason":"second thoughts"}"#, &caller).await?.change_set;
    let seen = Seen { proposal_id: stale.proposal_id.clone(), hash: stale.integrity.proposal_hash.clone(), version: 1 };
    runtime.approve(&seen, &lead, None).await?;
    stage.source.app_updates_the_row().await?;
    let conflict = runtime.apply(&stale.proposal_id, &options).await?;
    let code =
        conflict.receipt.as_ref().and_then(|receipt| receipt.receipt.safe_error_code.clone()).unwrap_or_default();
    output.line(format!("  the app updated it meanwhile; apply: {} ({code})", word(&conflict.ending)));

    output.line(output.strong("What happened can be replayed, and tampering is found"));
    let story = runtime.replay(&id).await?;
    output.line(format!(
        "  replay: {}",
        story.events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>().join(" > ")
    ));
    let verified = runtime.ledger().verify(None, Box::new(|_, _| ())).await?;
    output.line(format!("  ledger verifies: {} events", verified.checkpoint.size));
    let found = stage.tamper(&runtime, &id).await?;
    output.line(format!("  one digit edited in a copy: {found}"));

    output.line(output.strong("Where to look next"));
    let ledger = stage.file("ledger.db");
    output.line(format!("  signoff proposals list --store {}", ledger.display()));
    output.line(format!("  signoff replay show {id} --store {}", ledger.display()));
    output.line(format!("  signoff tools preview --config {}", stage.file("signoff.json").display()));
    output.line("  README.md: the same with your own tables, from the command line or from Rust");
    output.value(&json!({
        "mode": "demo",
        "store": ledger,
        "config": stage.file("signoff.json"),
        "proposal_id": id,
        "evidence_bundle_id": proposed.change_set.evidence.bundle_id,
        "replay_id": story.replay_id,
        "model_tool": WAIVE,
        "business_object": { "type": "invoices", "id": "INV-3001" },
        "proposed_change": proposed.change_set.patch,
        "effects": stage.source.effects().await?,
        "approval": "required outside MCP",
    }));
    Ok(0)
}

/// What was refused, as its code; if it was not refused, the demo is broken and says so.
fn refused<T>(result: Result<T>) -> Result<String> {
    match result {
        Err(error) => Ok(format!("refused, {}", error.code())),
        Ok(_) => Err(Error::new(Code::Internal).with("detail", "the demo expected a refusal")),
    }
}

fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Applied => "applied",
        Ending::AlreadyApplied => "already applied, nothing written",
        Ending::Conflict => "conflict, nothing written",
        Ending::WouldApply => "would apply",
        _ => "not applied",
    }
}
