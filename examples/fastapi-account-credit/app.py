"""An account credit, booked exactly once: FastAPI, SQLAlchemy and Postgres."""

import os

import signoff
import signoff.fastapi
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

handler = signoff.WritebackHandler(
    database=async_sessionmaker(create_async_engine(os.environ["BILLING_APP_WRITE_URL"])),
    secrets=os.environ["BILLING_APP_HANDLER_SECRET"],
    audience="billing-app",
)

CREDIT = text("""INSERT INTO account_credits (id, tenant_id, invoice_id, customer_id, amount_cents, reason, idempotency_key, created_by)
    SELECT :key, tenant_id, id, customer_id, :amount, :reason, :key, 'signoff' FROM invoices WHERE id = :id AND tenant_id = :tenant""")
INVOICE = text("""UPDATE invoices SET credited_cents = credited_cents + :amount, credit_requested_cents = :amount,
    credit_reason = :reason, updated_at = clock_timestamp() WHERE id = :id AND tenant_id = :tenant RETURNING updated_at""")


@handler.action("billing.propose_account_credit", target="invoices", key="id", tenant="tenant_id", version="updated_at")
async def account_credit(job: signoff.Job, session: AsyncSession) -> signoff.Applied:
    amount, reason = job.patch["credit_requested_cents"], job.patch["credit_reason"]
    if not isinstance(amount, int) or not 1 <= amount <= 10_000:
        raise signoff.Refused("CREDIT_OUT_OF_BOUNDS", {"maximum_cents": 10_000})
    values = {"amount": amount, "reason": reason, "id": job.object_id, "tenant": job.tenant_id}
    await session.execute(CREDIT, {**values, "key": job.idempotency_key})
    version = (await session.execute(INVOICE, values)).scalar_one()
    effects = [{"kind": "db.insert"}, {"kind": "db.update"}, {"kind": "event", "name": "account_credit.created"}]
    return signoff.Applied(rows=2, new_version=version, effects=effects)


app = FastAPI(title="Billing")
app.include_router(signoff.fastapi.router(handler))
