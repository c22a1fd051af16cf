//! Kept connections: what a server closes behind our back is no lost request, and what it may have read is not sent twice.

use std::sync::atomic::Ordering;

use signoff::runtime::Ending;
use signoff_tests::rounds;

use super::house::House;
use super::proxy::Fault;

#[test]
fn an_idle_connection_that_the_server_closed_is_replaced() {
    let each = rounds(20, 300);
    let Some(house) = House::new(each) else { return };
    house.proxy.set(Fault::Closed);
    for number in 1..=each {
        let invoice = format!("INV-{number}");
        let id = house.approved(&invoice);
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied, "{invoice}");
        assert_eq!(house.effects(&invoice), "1");
        let so_far = usize::try_from(number).unwrap();
        while house.proxy.ended.load(Ordering::SeqCst) < so_far {
            std::thread::yield_now();
        }
        assert_eq!((house.sent().len(), house.proxy.connections.load(Ordering::SeqCst)), (so_far, so_far));
    }
}

#[test]
fn a_request_that_may_have_been_read_is_not_sent_again_by_itself() {
    let Some(house) = House::new(12) else { return };
    for number in (1..=12).step_by(2) {
        let (warm, lost) = (format!("INV-{number}"), format!("INV-{}", number + 1));
        let id = house.approved(&warm);
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied);
        let id = house.approved(&lost);
        let before = house.sent().len();
        house.proxy.queue(&[Fault::Swallowed]);
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Unknown);
        assert_eq!((house.sent().len(), house.effects(&lost).as_str()), (before + 1, "0"));
        // It had never landed: the same key makes it land, once.
        assert_eq!(house.apply(&id).unwrap().ending, Ending::Applied);
        assert_eq!((house.sent().len(), house.effects(&lost).as_str()), (before + 2, "1"));
    }
}
