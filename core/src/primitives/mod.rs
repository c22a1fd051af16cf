//! Values that everything else is made of, exact and without I/O.

mod canonical;
mod clock;
mod decimal;
mod digest;
mod hmac;
mod identifier;
mod ids;
mod instant;
pub mod json;
mod scalar;
#[cfg(feature = "runtime")]
mod scripted;
mod secret;
mod tool_name;

pub use self::hmac::HmacKey;
#[cfg(feature = "runtime")]
pub use crate::error::looks_secret;
pub(crate) use canonical::canonical_without;
#[cfg(feature = "sqlite")]
pub(crate) use canonical::escape;
pub use canonical::{canonical, canonical_number};
pub use clock::{Clock, SystemClock};
pub use decimal::compare_decimals;
pub use digest::{Digest, MacKey, digest_of};
pub use identifier::Identifier;
pub use ids::IdSource;
#[cfg(feature = "runtime")]
pub use ids::SystemIds;
pub use instant::{Instant, Lifetime};
pub use scalar::{MAX_SAFE_INTEGER, Scalar};
#[cfg(feature = "runtime")]
pub use scripted::Scripted;
pub use secret::{Redactor, Secret};
pub use tool_name::tool_alias;
pub(crate) use tool_name::{LONGEST_TOOL_NAME, digest_start, name_with_digest};
