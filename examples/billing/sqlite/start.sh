# To be sourced (`. start.sh`): a billing database and the place of a ledger, in the current folder.
here=../billing/sqlite
[ -f billing.db ] || python3 "$here/make.py" billing.db
export BILLING_APP_READ_URL="$PWD/billing.db" BILLING_APP_WRITE_URL="$PWD/billing.db" SIGNOFF_LOCAL_STORE="$PWD/ledger.db"
export SIGNOFF_MCP_CONFIG="$PWD/$here/signoff.json" # where `signoff` finds the contract
