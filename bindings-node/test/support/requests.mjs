// Writeback requests as runners send them, signed by us.
import { sign } from 'signoff';

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
export const VERSION = '2026-06-20T14:31:08.0003Z';

/** The flat body, with these members in place of its own. */
export function request(members = {}, now = new Date()) {
  return {
    protocol_version: '1.0', schema_version: 'synapsor.handler-writeback.v1', writeback_job_id: 'hwb_wrp_1',
    proposal_id: 'wrp_1', proposal_version: 1, proposal_hash: `sha256:${'1'.repeat(64)}`, action: 'billing.credit',
    idempotency_key: 'wrp_1:INV-3001', audience: 'billing-app',
    target: { schema: 'public', table: 'invoices', primary_key: { column: 'id', value: 'INV-3001' } },
    tenant_guard: { column: 'tenant_id', value: 'acme' },
    allowed_columns: ['credit_requested_cents', 'credit_reason'],
    before: { status: 'overdue', updated_at: VERSION },
    patch: { credit_requested_cents: 500, credit_reason: 'a courtesy' },
    guards: { expected_version: { column: 'updated_at', value: VERSION } },
    approval: { status: 'approved', required_role: 'billing_lead' },
    source_database_mutated: false, issued_at: now.toISOString(), dry_run: false,
    ...members,
  };
}

/** Bytes and headers of a request. */
export function signed(members = {}, { now = new Date(), secret = SECRET } = {}) {
  const document = request(members, now);
  const body = Buffer.from(JSON.stringify(document));
  return { body, headers: { 'content-type': 'application/json', ...sign(body, secret, { key: document.idempotency_key, now }) } };
}
