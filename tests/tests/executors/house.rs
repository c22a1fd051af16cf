//! The billing application with core's own handler on Postgres, the proxy before it, and our side of it: a contract whose
//! executor is that handler, a ledger, a runtime.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use signoff::contract::Contract;
use signoff::ledger::{Ledger, SqliteLedger};
use signoff::primitives::{Instant, SystemClock, SystemIds};
use signoff::runtime::{Applied, ApplyOptions, Approver, Caller, Environment, Seen};
use signoff::{Result, Runtime};
use signoff_tests::library;

use super::client::SECRET;
use super::proxy::Proxy;
use super::shop::{App, action, credit};

pub const CREDIT: &str = "billing.propose_account_credit";
/// Another change to the same rows, for contracts that name it.
pub const SECOND: &str = "billing.propose_second_credit";
pub const TOKEN: &str = "the-bearer-of-this-test";

pub struct House {
    pub app: App,
    pub proxy: Arc<Proxy>,
    pub runtime: Runtime,
    pub variables: Arc<Mutex<BTreeMap<String, String>>>,
    pub folder: tempfile::TempDir,
    pub ledger: Arc<SqliteLedger>,
}

/// The example's contract, its executor changed like this.
pub fn contract(change: impl FnOnce(&mut Value)) -> String {
    contract_with(|contract| change(&mut contract["executors"]["billing_app_handler"]))
}

/// The example's contract, changed like this.
pub fn contract_with(change: impl FnOnce(&mut Value)) -> String {
    let text = include_str!("../../../examples/billing/synapsor.runner.json");
    let mut contract: Value = serde_json::from_str(text).unwrap();
    let executor = contract.pointer_mut("/executors/billing_app_handler").unwrap();
    executor["signing_secret_env"] = json!("BILLING_APP_HANDLER_SECRET");
    executor["signoff"] = json!({ "audience": "billing-app" });
    executor["timeout_ms"] = json!(2_000);
    change(&mut contract);
    contract.to_string()
}

impl House {
    /// With so many invoices of acme: INV-1, INV-2, …
    pub fn new(invoices: u32) -> Option<Self> {
        Self::with(invoices, |_| {})
    }

    /// The same with another executor.
    pub fn with(invoices: u32, change: impl FnOnce(&mut Value)) -> Option<Self> {
        Self::of(invoices, &contract(change))
    }

    /// The same with this contract.
    pub fn of(invoices: u32, contract: &str) -> Option<Self> {
        let app = App::start(|handler| handler.action(action(SECOND), credit))?;
        app.shop.sql(&format!(
            "INSERT INTO invoices SELECT (jsonb_populate_record(i, jsonb_build_object('id', 'INV-' || n))).* FROM invoices i, generate_series(1, {invoices}) n WHERE i.id = 'INV-3001'"
        ));
        let proxy = app.shop.wait(Proxy::before(app.at));
        let folder = tempfile::tempdir().unwrap();
        let address = app.shop.address("billing", app.shop.name());
        let variables = Arc::new(Mutex::new(BTreeMap::from(
            [
                ("BILLING_APP_READ_URL", address.as_str()),
                ("BILLING_APP_WRITE_URL", &address),
                ("BILLING_APP_HANDLER_URL", &format!("http://{}/signoff/writeback", proxy.at)),
                ("BILLING_APP_HANDLER_TOKEN", TOKEN),
                ("BILLING_APP_HANDLER_SECRET", SECRET),
                ("SYNAPSOR_TENANT_ID", "acme"),
                ("SYNAPSOR_PRINCIPAL", "support_agent"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )));
        let contract = Contract::parse(contract).unwrap_or_else(|found| panic!("{found:?}")).0;
        let known = Arc::clone(&variables);
        let environment = Environment::new(move |name| known.lock().unwrap().get(name).cloned());
        let ledger = library::ledger(folder.path(), "ledger.db", &SystemClock);
        let runtime = Runtime::new(Some(contract), Arc::clone(&ledger) as Arc<dyn Ledger>)
            .with_environment(environment)
            .with_clock(Arc::new(SystemClock), Arc::new(SystemIds));
        Some(Self { app, proxy, runtime, variables, folder, ledger })
    }

    pub fn set(&self, variable: &str, value: &str) {
        self.variables.lock().unwrap().insert(variable.to_owned(), value.to_owned());
    }

    /// Runs one call to its end.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.app.shop.wait(call)
    }

    /// An approved credit for an invoice; its id.
    pub fn approved(&self, invoice: &str) -> String {
        let arguments = json!({ "invoice_id": invoice, "amount_cents": 500, "reason": "a courtesy" });
        self.approved_as(CREDIT, &arguments)
    }

    /// The same of any capability.
    pub fn approved_as(&self, capability: &str, arguments: &Value) -> String {
        self.wait(async {
            let arguments = arguments.to_string();
            let proposed = self.runtime.propose(capability, &arguments, &Caller::FromContract).await.unwrap();
            let change = proposed.change_set;
            let seen = Seen { proposal_id: change.proposal_id, hash: change.integrity.proposal_hash, version: 1 };
            let dana = Approver { id: "dana".to_owned(), roles: vec!["billing_lead".to_owned()], asserted: false };
            self.runtime.approve(&seen, &dana, None).await.unwrap();
            seen.proposal_id
        })
    }

    pub fn apply(&self, id: &str) -> Result<Applied> {
        self.wait(self.runtime.apply(id, &ApplyOptions::default()))
    }

    pub fn effects(&self, invoice: &str) -> String {
        self.app.shop.one(&format!("SELECT count(*) FROM effects WHERE invoice_id = '{invoice}'"))
    }

    pub fn state(&self, id: &str) -> String {
        self.wait(self.runtime.show(id)).unwrap().state.to_string()
    }

    /// What was sent, as head and body.
    pub fn sent(&self) -> Vec<(String, Value)> {
        let requests = self.proxy.requests.lock().unwrap();
        let parted = |request: &Vec<u8>| {
            let text = String::from_utf8(request.clone()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            (head.to_owned(), serde_json::from_str(body).unwrap())
        };
        requests.iter().map(parted).collect()
    }
}

/// A header of a request.
pub fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
}

pub fn instant(value: &Value) -> Instant {
    Instant::parse(value.as_str().unwrap()).unwrap()
}
