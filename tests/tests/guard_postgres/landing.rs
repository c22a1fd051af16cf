//! What the server may do between BEGIN and COMMIT that a change has to survive: constraints that hold in the end, rules,
//! rows that are replaced, triggers that meddle with the transaction.

use signoff::Code;
use signoff_tests::shop::postgres::Shop;
use signoff_tests::shop::{approve, text};

#[test]
fn a_refusal_of_the_applications_own_costs_no_statement_its_name() {
    let shop = shop!(Shop::usual());
    shop.sql(
        "CREATE TABLE ran (named boolean);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.status = 'never' THEN RAISE EXCEPTION 'not supported' USING ERRCODE = 'feature_not_supported'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION refuse();
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES (current_query() LIKE '/*%'); RETURN NULL; END $$;
         CREATE TRIGGER look AFTER UPDATE ON synapsor_writeback_receipts FOR EACH ROW EXECUTE FUNCTION look();",
    );
    assert_eq!(shop.released(shop.job("7", &[("status", text("never"))])), Code::TransactionFailed);
    shop.applies(shop.job("7", &approve()));
    assert_eq!(shop.rows("SELECT named FROM ran"), ["t"]);
}
