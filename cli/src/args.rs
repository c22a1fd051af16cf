//! The command line as clap reads it. Unknown flags name the nearest one; `--flag=value` works everywhere.

mod lists;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use lists::{
    Activity, ActivityCommand, Events, EventsCommand, EventsTail, Evidence, EvidenceCommand, Export, ProposalsList,
    QueryAudit, QueryAuditCommand, ReceiptsList, ReplayList, before_now,
};

use crate::commands::audit::Audit;
use crate::commands::benchmark::Benchmark;
use crate::commands::manual::{Completions, Man};
use crate::commands::mcp::Mcp;
use crate::commands::shadow::Shadow;
use crate::commands::smoke::{Smoke, SmokeCommand};
use crate::commands::up::Up;
use crate::commands::validate::Validate;
use crate::commands::worker::{Work, WorkCommand};

/// Agents propose, people sign off, the change lands exactly once.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 3 conflict, 4 refused, 5 outcome unknown.
#[derive(Debug, Parser)]
#[command(name = "signoff", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// The contract [default: signoff.json, else synapsor.runner.json]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
    /// The ledger [default: the contract's storage.sqlite_path, else .signoff/ledger.db]
    #[arg(long, global = true, value_name = "FILE")]
    pub store: Option<String>,
    /// How to answer
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[value(alias = "text")]
    Human,
    Json,
    /// For `proposals export`, `replay export` and `audit`: a document for people
    Markdown,
    /// For `config validate` and `audit`: a log that code scanners read
    Sarif,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch a change travel from proposal to receipt, on a throwaway SQLite database or in a schema of its own
    Demo(Demo),
    /// Check the contract
    Config(Config),
    /// The tools that an agent gets
    Tools(Tools),
    /// Propose a change, as an agent would
    Propose(Propose),
    /// List, show and decide proposals
    Proposals(Proposals),
    /// Apply an approved proposal, at most once
    Apply(Apply),
    /// Apply what is approved, as it comes
    Worker(Work),
    /// Tell what happened, from the ledger alone
    Replay(Replay),
    /// List and show receipts
    Receipts(Receipts),
    /// List, show and export what agents saw
    Evidence(Evidence),
    /// List and show what agents asked, answered or not
    QueryAudit(QueryAudit),
    /// Look for anything that happened
    Activity(Activity),
    /// The events of the ledger as they come
    Events(Events),
    /// Verify, measure and tidy the ledger
    Store(Store),
    /// See whether changes could be carried out: by the applications, by direct SQL
    Doctor(Doctor),
    /// Prepare a source for writeback
    Writeback(Writeback),
    /// Prepare the database of an application's own handler
    Handler(Handler),
    /// What an agent would have done, beside what a person did
    Shadow(Shadow),
    /// Try the agent's door: call a tool, check the boundary
    Smoke(Smoke),
    /// Check a document of the protocol
    Validate(Validate),
    /// Serve the contract's tools to an agent
    Mcp(Mcp),
    /// What is there, what is missing and what comes next, from a contract to an agent that is let in
    Up(Box<Up>),
    /// Review the tools that an MCP server offers: what a model could do with them that it should not
    Audit(Box<Audit>),
    /// Measure what a contract costs a model
    Benchmark(Benchmark),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page, or write all of them
    Man(Man),
}

#[derive(Debug, Args)]
pub struct JsonFlag {
    /// Short for --format json
    #[arg(long = "json")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Play on this PostgreSQL database, in a schema signoff_demo that is dropped at the end
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Leave that schema, to look at it; the next demo drops it
    #[arg(long, requires = "postgres")]
    pub keep: bool,
    /// Where the demo's files go
    #[arg(long, default_value = ".signoff/demo", value_name = "DIR")]
    pub dir: String,
    /// Accepted for v1's scripts; the demo is always quick
    #[arg(long, hide = true)]
    pub quick: bool,
    /// Accepted for v1's scripts; the demo never asks
    #[arg(long, hide = true)]
    pub no_interactive: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the contract and say what is wrong, where, and what to do
    Validate(JsonFlag),
    /// Print the contract, with everything masked that looks like a credential
    Show(ConfigShow),
    /// Take out what has no effect, as a diff; writes only if told to
    Migrate(ConfigMigrate),
}

#[derive(Debug, Args)]
pub struct ConfigShow {
    /// Accepted for v1's scripts; nothing is ever shown otherwise
    #[arg(long)]
    pub redacted: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct ConfigMigrate {
    /// Write the result in place; the old file stays beside it as FILE.bak.TIME
    #[arg(long, conflicts_with = "output")]
    pub write: bool,
    /// Write the result to a new file
    #[arg(long, value_name = "FILE")]
    pub output: Option<String>,
    /// Accepted for v1's scripts; --write alone is enough
    #[arg(long, hide = true)]
    pub yes: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Tools {
    #[command(subcommand)]
    pub command: ToolsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// The tools, one a line
    List(ToolsList),
    /// What an agent sees, and what it cannot reach
    Preview(JsonFlag),
}

#[derive(Debug, Args)]
pub struct ToolsList {
    /// Names that OpenAI's clients accept, too
    #[arg(long)]
    pub aliases: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Propose {
    /// The capability, such as billing.propose_late_fee_waiver
    pub capability: String,
    /// The arguments as a JSON object
    #[arg(long, value_name = "JSON", group = "source")]
    pub json: Option<String>,
    /// A file with the arguments as a JSON object; - is standard input
    #[arg(long, value_name = "FILE", group = "source")]
    pub input: Option<String>,
    /// Arguments made up from the contract
    #[arg(long, group = "source")]
    pub sample: bool,
}

#[derive(Debug, Args)]
pub struct Proposals {
    #[command(subcommand)]
    pub command: ProposalsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ProposalsCommand {
    /// Proposals, newest first
    List(Box<ProposalsList>),
    /// Everything a reviewer needs
    Show(ProposalsShow),
    /// Write a proposal to a file
    Export(Export),
    /// Approve exactly what is shown
    Approve(Decide),
    /// Reject
    Reject(Decide),
    /// Withdraw
    Cancel(Cancel),
    /// Write the job of an approved proposal, for `apply --job` elsewhere
    WritebackJob(WritebackJob),
}

#[derive(Debug, Args)]
pub struct ProposalsShow {
    /// The proposal, or latest
    pub id: String,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Decide {
    /// The proposal, or latest
    pub id: String,
    /// Decide without being asked
    #[arg(long, short)]
    pub yes: bool,
    /// Only if the proposal's hash begins so (at least 8 hex digits)
    #[arg(long, value_name = "PREFIX")]
    pub hash: Option<String>,
    /// Who decides [default: the user of the operating system]
    #[arg(long)]
    pub actor: Option<String>,
    /// A role the actor holds; may be given several times [default: SIGNOFF_OPERATOR_ROLES, else the role required]
    #[arg(long)]
    pub role: Vec<String>,
    /// Why; required for reject
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    pub decide: Decide,
    /// Also an attempt that has not ended and whose lease still holds
    #[arg(long)]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub struct WritebackJob {
    /// The proposal, or latest
    pub id: String,
    /// Where to write it [default: standard output]; refused if it exists
    #[arg(long, value_name = "FILE")]
    pub output: Option<String>,
    /// Accepted for v1's scripts; a job names no runner
    #[arg(long, default_value = "local_runner")]
    pub runner: String,
    /// v1's name of the project; only `local` exists without a control plane
    #[arg(long, default_value = "local", value_parser = ["local"])]
    pub project: String,
    /// How long the job may be used, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(15..=3600))]
    pub lease_seconds: u64,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// The proposal, or latest: the newest of all
    #[arg(group = "which", required_unless_present_any = ["proposal", "job", "all_approved"])]
    pub id: Option<String>,
    /// The proposal
    #[arg(long, value_name = "ID", group = "which")]
    pub proposal: Option<String>,
    /// A job file: applied only if it says what its approved proposal says
    #[arg(long, value_name = "FILE", group = "which")]
    pub job: Option<String>,
    /// Everything that is approved, and every attempt whose lease lapsed: once, then a summary
    #[arg(long, group = "which", conflicts_with_all = ["dry_run", "resume"])]
    pub all_approved: bool,
    /// Attempts at a time
    #[arg(long, value_name = "N", requires = "all_approved", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Rehearse on the live row and roll back
    #[arg(long)]
    pub dry_run: bool,
    /// Take over an attempt that has not ended, and find out how it did
    #[arg(long)]
    pub resume: bool,
    /// Who applies
    #[arg(long, default_value = "local_runner")]
    pub runner: String,
    /// How long the attempt's lease holds, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(15..=3600))]
    pub lease_seconds: u64,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Replay {
    #[command(subcommand)]
    pub command: ReplayCommand,
}

#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Stories, newest first
    List(Box<ReplayList>),
    /// One proposal's whole story
    Show(ReplayShow),
    /// Write a story to a file
    Export(Export),
}

#[derive(Debug, Args)]
pub struct ReplayShow {
    /// The proposal or replay, or latest
    #[arg(default_value = "latest")]
    pub id: String,
    /// The proposal
    #[arg(long, value_name = "ID")]
    pub proposal: Option<String>,
    /// The replay
    #[arg(long, value_name = "ID")]
    pub replay: Option<String>,
    /// Everything, not only the story
    #[arg(long)]
    pub details: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Receipts {
    #[command(subcommand)]
    pub command: ReceiptsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ReceiptsCommand {
    /// Receipts, newest first
    List(Box<ReceiptsList>),
    /// One receipt, by its number, its hash or its proposal
    Show(ReceiptsShow),
}

#[derive(Debug, Args)]
pub struct ReceiptsShow {
    /// The receipt's number in the ledger, or its proposal
    pub id: String,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Recompute everything and name the first thing that is not as it was written
    Verify(StoreVerify),
    /// Counts and sizes
    Stats(JsonFlag),
    /// Forget what terminal proposals of long ago recorded, and keep their hashes
    Prune(StorePrune),
    /// Give the room of what was pruned back
    Vacuum(JsonFlag),
    /// Delete the ledger; its key stays
    Reset(StoreReset),
}

#[derive(Debug, Args)]
pub struct StorePrune {
    /// Only proposals whose last step is longer ago, such as 90d
    #[arg(long, value_name = "AGE")]
    pub older_than: String,
    /// Do it; without, it is only counted
    #[arg(long, short)]
    pub yes: bool,
    /// Who prunes [default: the user of the operating system]
    #[arg(long)]
    pub actor: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct StoreReset {
    /// Do it without being asked
    #[arg(long, short)]
    pub yes: bool,
    /// Give up what is pending or unresolved, too
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct StoreVerify {
    /// A checkpoint written down before: also finds a truncation
    #[arg(long, value_name = "SIZE:HEAD")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct Writeback {
    #[command(subcommand)]
    pub command: WritebackCommand,
}

#[derive(Debug, Subcommand)]
pub enum WritebackCommand {
    /// Create the receipts table in a source, or bring it up to date
    Migrate(WritebackMigrate),
    /// Print the SQL that creates the receipts table, one statement a line
    Migration(WritebackSql),
    /// Look whether changes could be applied to a source; nothing is left behind
    Doctor(WritebackDoctor),
    /// Accept that the contract names another receipts table, if nothing is approved or unresolved in the one recorded
    Rebind(WritebackRebind),
    /// Print the SQL that lets a writer's role use the receipts table, one statement a line
    Grants(WritebackGrants),
}

#[derive(Debug, Args)]
pub struct WritebackSql {
    /// The engine
    #[arg(long, value_enum)]
    pub engine: SqlEngine,
    /// The schema of the receipts table [default: public, on SQLite main]
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct WritebackGrants {
    #[command(flatten)]
    pub sql: WritebackSql,
    /// The role that applies changes
    #[arg(long, value_name = "ROLE")]
    pub writer_role: String,
}

#[derive(Debug, Args)]
pub struct Handler {
    #[command(subcommand)]
    pub command: HandlerCommand,
}

#[derive(Debug, Subcommand)]
pub enum HandlerCommand {
    /// Print the SQL that creates the handler's receipts table, one statement a line
    Migration(HandlerMigration),
}

#[derive(Debug, Args)]
pub struct HandlerMigration {
    /// The SQL to speak
    #[arg(long, value_enum)]
    pub dialect: SqlEngine,
    /// The receipts table, SCHEMA.TABLE [default: public.synapsor_handler_receipts, on SQLite main]
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Also print what this role needs to use it
    #[arg(long, value_name = "ROLE")]
    pub writer_role: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SqlEngine {
    Postgres,
    Sqlite,
}

#[derive(Debug, Args)]
pub struct WritebackMigrate {
    /// The source [default: every source that can be written]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct WritebackRebind {
    /// The source
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// Who changes it [default: the user of the operating system]
    #[arg(long)]
    pub actor: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true, args = ["check_handlers", "check_writeback"])]
pub struct Doctor {
    /// Ask the contract's handlers whether they are there, with OPTIONS; nothing is asked of them
    #[arg(long)]
    pub check_handlers: bool,
    /// Try whether changes could be applied by direct SQL: logins, receipts table, columns; nothing is left behind
    #[arg(long)]
    pub check_writeback: bool,
    /// With --check-writeback: one login for reads and writes is a warning
    #[arg(long, requires = "check_writeback")]
    pub allow_shared_credential: bool,
    #[command(flatten)]
    pub json: JsonFlag,
}

#[derive(Debug, Args)]
pub struct WritebackDoctor {
    /// Ask the database (the only thing there is to ask)
    #[arg(long, required = true)]
    pub check_db: bool,
    /// The source [default: every source that can be written]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[command(flatten)]
    pub json: JsonFlag,
}

impl Arguments {
    /// JSON wanted? `--json` is the short form of `--format json`, except where it carries input.
    pub fn json(&self) -> bool {
        let short = match &self.command {
            Command::Demo(demo) => demo.json.json,
            Command::Config(Config { command }) => match command {
                ConfigCommand::Validate(flag) => flag.json,
                ConfigCommand::Show(show) => show.json.json,
                ConfigCommand::Migrate(migrate) => migrate.json.json,
            },
            Command::Tools(Tools { command: ToolsCommand::List(list) }) => list.json.json,
            Command::Tools(Tools { command: ToolsCommand::Preview(flag) }) => flag.json,
            Command::Propose(_) => false,
            Command::Proposals(proposals) => match &proposals.command {
                ProposalsCommand::List(list) => list.paging.json.json,
                ProposalsCommand::Export(export) => export.json.json,
                ProposalsCommand::Show(show) => show.json.json,
                ProposalsCommand::Approve(decide) | ProposalsCommand::Reject(decide) => decide.json.json,
                ProposalsCommand::Cancel(cancel) => cancel.decide.json.json,
                ProposalsCommand::WritebackJob(job) => job.json.json,
            },
            Command::Apply(apply) => apply.json.json,
            Command::Doctor(doctor) => doctor.json.json,
            Command::Worker(Work { command: WorkCommand::Run(run) }) => run.json.json,
            Command::Replay(replay) => match &replay.command {
                ReplayCommand::List(list) => list.paging.json.json,
                ReplayCommand::Show(show) => show.json.json,
                ReplayCommand::Export(export) => export.json.json,
            },
            Command::Evidence(Evidence { command: EvidenceCommand::List(list) }) => list.paging.json.json,
            Command::Evidence(Evidence { command: EvidenceCommand::Show(show) }) => show.json.json,
            Command::Evidence(Evidence { command: EvidenceCommand::Export(export) }) => export.json.json,
            Command::QueryAudit(QueryAudit { command: QueryAuditCommand::List(list) }) => list.paging.json.json,
            Command::QueryAudit(QueryAudit { command: QueryAuditCommand::Show(show) }) => show.json.json,
            Command::QueryAudit(QueryAudit { command: QueryAuditCommand::Export(export) }) => export.json.json,
            Command::Activity(Activity { command: ActivityCommand::Search(search) }) => search.paging.json.json,
            Command::Events(Events { command: EventsCommand::List(list) }) => list.paging.json.json,
            Command::Events(Events { command: EventsCommand::Tail(tail) }) => tail.json.json,
            Command::Events(Events { command: EventsCommand::Webhook(webhook) }) => webhook.json.json,
            Command::Receipts(receipts) => match &receipts.command {
                ReceiptsCommand::List(list) => list.paging.json.json,
                ReceiptsCommand::Show(show) => show.json.json,
            },
            Command::Store(Store { command: StoreCommand::Verify(verify) }) => verify.json.json,
            Command::Store(Store { command: StoreCommand::Stats(flag) | StoreCommand::Vacuum(flag) }) => flag.json,
            Command::Store(Store { command: StoreCommand::Prune(prune) }) => prune.json.json,
            Command::Store(Store { command: StoreCommand::Reset(reset) }) => reset.json.json,
            Command::Writeback(writeback) => match &writeback.command {
                WritebackCommand::Migrate(migrate) => migrate.json.json,
                WritebackCommand::Doctor(doctor) => doctor.json.json,
                WritebackCommand::Rebind(rebind) => rebind.json.json,
                WritebackCommand::Migration(sql) => sql.json.json,
                WritebackCommand::Grants(grants) => grants.sql.json.json,
            },
            Command::Handler(Handler { command: HandlerCommand::Migration(migration) }) => migration.json.json,
            Command::Smoke(Smoke { command: SmokeCommand::Boundary(flag) }) => flag.json,
            Command::Smoke(Smoke { command: SmokeCommand::Call(_) }) => false,
            Command::Shadow(shadow) => shadow.json(),
            Command::Validate(validate) => validate.json.json,
            Command::Audit(audit) => audit.json.json,
            Command::Mcp(mcp) => mcp.json(),
            Command::Up(up) => up.json.json,
            Command::Benchmark(benchmark) => benchmark.json(),
            Command::Completions(_) | Command::Man(_) => false,
        };
        short || self.global.format == Format::Json
    }
}
