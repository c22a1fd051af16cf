// The smallest server of the TypeScript SDK that reads the same row of the same file, and notes a proposal in a file of its
// own: what `bench mcp` is measured beside. `node server.mjs SOURCE NOTES [PORT]`; without a port on standard input and output.
import { createServer } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { z } from 'zod'

const [source, notes, port] = process.argv.slice(2)
const read = new DatabaseSync(source, { readOnly: true }).prepare(
  'SELECT id, status, balance_cents, late_fee_cents, waiver_reason, updated_at FROM invoices WHERE id = ? AND tenant_id = ?',
)
const noted = new DatabaseSync(notes)
noted.exec('PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS proposals (id INTEGER PRIMARY KEY, invoice TEXT, document TEXT)')
const note = noted.prepare('INSERT INTO proposals (invoice, document) VALUES (?, ?)')

const answer = (value) => ({ content: [{ type: 'text', text: JSON.stringify(value) }], structuredContent: value })

const make = () => {
  const server = new McpServer({ name: 'beside', version: '1.0.0' })
  server.registerTool(
    'inspect_invoice',
    { description: 'Reads an invoice.', inputSchema: { invoice_id: z.string().max(128) } },
    ({ invoice_id }) => answer({ ok: true, data: read.get(invoice_id, 'acme') }),
  )
  server.registerTool(
    'propose_late_fee_waiver',
    { description: 'Proposes a waiver.', inputSchema: { invoice_id: z.string().max(128), reason: z.string().max(500) } },
    ({ invoice_id, reason }) => {
      const before = read.get(invoice_id, 'acme')
      const patch = { late_fee_cents: 0, waiver_reason: reason }
      const { lastInsertRowid } = note.run(invoice_id, JSON.stringify({ before, patch }))
      return answer({ ok: true, proposal: { id: String(lastInsertRowid), before, patch } })
    },
  )
  return server
}

if (port === undefined) {
  await make().connect(new StdioServerTransport())
} else {
  // Stateless, as its documentation shows: a server and a transport for each request.
  const http = createServer(async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
    const server = make()
    response.on('close', () => {
      transport.close()
      server.close()
    })
    await server.connect(transport)
    await transport.handleRequest(request, response)
  })
  http.listen(Number(port), '127.0.0.1', () => console.error(`serving http://127.0.0.1:${http.address().port}/mcp`))
}
