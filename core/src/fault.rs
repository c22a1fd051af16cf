//! Numbered points at which a test can end the process, as `kill -9` would. Without the feature `fault-injection` every
//! call is empty and no name of a point is in the binary.

/// Passes a point. With the feature, the process ends here if `SIGNOFF_FAULT_AT` names it.
#[macro_export]
#[doc(hidden)]
macro_rules! fault_point {
    ($name:literal) => {
        #[cfg(feature = "fault-injection")]
        $crate::fault::reach($name);
    };
}

/// Ends the process if this is the point that the environment names, `name` or `name#n` for the nth passing.
#[cfg(feature = "fault-injection")]
pub fn reach(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("SIGNOFF_FAULT_AT") else { return };
    let (point, nth) = wanted.split_once('#').unwrap_or((&wanted, "1"));
    if point == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == nth.parse().unwrap_or(1) {
        // SIGKILL from outside: no destructor, no flush, no atexit.
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        loop {
            std::thread::park();
        }
    }
}
