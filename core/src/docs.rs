//! Guides, rendered here and readable in `core/docs/`.

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("../docs/contract.md")]
pub mod contract {}

#[doc = include_str!("../docs/diagnostics.md")]
pub mod diagnostics {}

#[doc = include_str!("../docs/embedding.md")]
pub mod embedding {}

#[doc = include_str!("../docs/mcp.md")]
pub mod mcp {}

#[doc = include_str!("../docs/mcp-auth.md")]
pub mod mcp_auth {}

#[doc = include_str!("../docs/node.md")]
pub mod node {}

#[doc = include_str!("../docs/python.md")]
pub mod python {}
