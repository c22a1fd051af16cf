// An agent of the AI SDK that reads and proposes: its tools are the contract's.
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

import { dynamicTool, generateText, jsonSchema, stepCountIs } from 'ai';
import { Signoff } from 'signoff';

import { scripted } from './stub.mjs';

const contract = fileURLToPath(new URL('../billing/sqlite/signoff.json', import.meta.url));

/** The contract's tools as the SDK's. Who asks comes from your session; the model writes the arguments and nothing else. */
export async function tools(so, context) {
  const offered = await so.tools({ alias: 'openai' });
  return Object.fromEntries(offered.map(({ name, description, inputSchema }) => [name, dynamicTool({
    description,
    inputSchema: jsonSchema(inputSchema),
    execute: (args) => so.call(name, args, { context }),
  })]));
}

/** Runs the agent once. It has no tool that approves or applies, because the contract's tools are all there is. */
export async function clerk(so, context, model, prompt) {
  return generateText({
    model,
    tools: await tools(so, context),
    stopWhen: stepCountIs(8),
    system: 'Inspect an invoice before you propose a change. Nothing changes before a person approves: say so.',
    prompt,
  });
}

// With a stub where a model would be.
if (argv[1] === fileURLToPath(import.meta.url)) {
  const so = await Signoff.open(contract, { create: true });
  const who = { tenant: 'acme', principal: 'billing_clerk' };
  const { text } = await clerk(so, who, scripted(), 'Please waive the fee of INV-3001.');
  console.log(text);
  await so.close();
}
