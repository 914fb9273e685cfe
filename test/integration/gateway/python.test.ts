// The Python SDK through the gateway, with both real servers: what it can do without a gateway, it can do with one.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { McpListener } from '../../support/mcp-listener.ts';
import { pythonWithSdk } from '../../support/python-sdk.ts';
import { RelayBench, WAYS } from '../../support/relay-bench.ts';
import { output } from '../../support/tools.ts';

const FEATURES = `
  ping_and_status create_and_send deltas transform prompt_hook client_tool shell_tool user_input
  set_model lists_and_metadata abort cancel leave_and_resume delete
  exit_plan_mode elicitation bearer_token two_sessions_at_once lifecycle attachment_and_steering
  command sub_agent compaction mcp_over_http mode_empty stop
`.trim();

describe.each(WAYS)('the Python SDK (%s, %s)', (binary, way) => {
  let bench: RelayBench;

  beforeAll(async () => {
    // So often that each feature meets some of these messages: SDKs are to ignore them.
    bench = await RelayBench.startBy(way, binary, { keepaliveMs: 20 });
  }, 90_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  it('does everything that it can do', async () => {
    const { host, port, token, provider } = bench.binding;
    const model = provider?.baseUrl.replace(/\/v1$/, '') ?? '';
    const program = join(import.meta.dirname, 'features.py');
    await using mcp = await McpListener.start('lookup');
    const printed = await output(await pythonWithSdk(), [program, `${host}:${port}`, token, model, mcp.url]);
    expect(JSON.parse(printed)).toEqual(Object.fromEntries(FEATURES.split(/\s+/).map((name) => [name, 'ok'])));
  }, 240_000);
});
