//! Guides, rendered here and readable in `core/docs/`.

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}
