#!/bin/sh
# Claude Desktop hands none of its environment on to a server: this script sets what ours needs, and becomes it.
# Keep it readable by you alone (chmod 700); it may read addresses from a keychain instead.
folder=$(dirname "$0")
export SUPPORT_APP_READ_URL="$folder/support.db" BILLING_APP_READ_URL="$folder/billing.db"
export SYNAPSOR_TENANT_ID=acme SYNAPSOR_PRINCIPAL=support_agent
# A desktop program has a short PATH: say where signoff is.
export PATH="$PATH:/usr/local/bin:/opt/homebrew/bin:$HOME/.cargo/bin"
exec signoff "$@"
