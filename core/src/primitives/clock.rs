use super::instant::Instant;

/// Where the time comes from. Pure code takes one, so a test can stand still or jump.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant.
    fn now(&self) -> Instant;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Instant {
        // Microseconds: what databases keep, and what people can read.
        Instant::from(std::time::SystemTime::now()).to_microseconds()
    }
}
