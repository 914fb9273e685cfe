/** An MCP server over stdio that takes three seconds to start, and has one tool. */
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

interface Call {
  readonly id?: number | string;
  readonly method: string;
  readonly params?: { readonly protocolVersion?: string };
}

const TOOL = { name: 'found', description: 'says found', inputSchema: { type: 'object', properties: {} } };

function resultOf({ method, params }: Call): object {
  if (method === 'initialize') {
    const serverInfo = { name: 'slow', version: '1.0.0' };
    return { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo };
  }
  if (method === 'tools/list') return { tools: [TOOL] };
  return method === 'tools/call' ? { content: [{ type: 'text', text: 'found' }] } : {};
}

await setTimeout(3000);
for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line) as Call;
  // A notification has no answer.
  if (call.id === undefined) continue;
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: call.id, result: resultOf(call) })}\n`);
}
