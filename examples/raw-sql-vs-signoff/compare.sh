#!/bin/sh
# Reviews both servers by the tools that they offer a model, and prints the two summaries.
cd "$(dirname "$0")" || exit 1
signoff audit dangerous-db-mcp.json | head -n 1
signoff audit ../support-billing-agent/signoff.json | head -n 1
