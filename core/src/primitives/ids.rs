/// Where identifiers and keys come from. A test can make them predictable.
pub trait IdSource: Send + Sync + std::fmt::Debug {
    /// A new version-4 UUID, hyphenated, lower case: at least 122 random bits, because it is also a handle.
    fn uuid(&self) -> String;

    /// 32 random bytes for a key; `None` if the system has no randomness to give.
    fn key(&self) -> Option<[u8; 32]>;
}

/// The system's random source.
#[cfg(feature = "runtime")]
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

#[cfg(feature = "runtime")]
#[expect(clippy::disallowed_methods, reason = "the one place that draws from the system")]
impl IdSource for SystemIds {
    fn uuid(&self) -> String {
        uuid::Uuid::new_v4().hyphenated().to_string()
    }

    fn key(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    }
}
