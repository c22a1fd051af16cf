// A stub where a model would be: it says what its script says, so that the example runs without a key.
import { MockLanguageModelV3 } from 'ai/test';

const SCRIPT = [
  ['billing__inspect_invoice', { invoice_id: 'INV-3001' }],
  ['billing__propose_late_fee_waiver', { invoice_id: 'INV-3001', reason: 'first late payment' }],
];
const usage = { inputTokens: {}, outputTokens: {} };

/** Calls the tools of its script in turn, then repeats the last answer it was given. */
export function scripted(script = SCRIPT) {
  return new MockLanguageModelV3({
    doGenerate: async ({ prompt }) => {
      const answers = prompt.filter(({ role }) => role === 'tool').flatMap(({ content }) => content);
      const next = script[answers.length];
      const content = next
        ? { type: 'tool-call', toolCallId: `call_${answers.length}`, toolName: next[0], input: JSON.stringify(next[1]) }
        : { type: 'text', text: answers.at(-1).output.value.summary };
      return { content: [content], finishReason: { unified: next ? 'tool-calls' : 'stop' }, usage, warnings: [] };
    },
  });
}
