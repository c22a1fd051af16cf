// Other processes of a test, and what they say.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Starts `server.mjs` on a database. */
export async function server(t, database, mode = 'plain') {
  const child = spawn(process.execPath, [fileURLToPath(new URL('server.mjs', import.meta.url)), database, mode], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.stdin.end();
    await exited;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const heard = async (key) => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the process ended before it said ${key}`);
      const line = JSON.parse(value);
      if (key in line) return line[key];
    }
  };
  const port = await heard('port');
  const deliver = async ({ body, headers }) => {
    const response = await fetch(`http://127.0.0.1:${port}/writeback`, { method: 'POST', body, headers });
    const answer = await response.json();
    return { http: response.status, status: answer.status, code: answer.safe_error_code, replayed: response.headers.get('idempotent-replayed') === 'true' };
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  return { deliver, heard, kill };
}
