// A tenant that limits how fast its clients connect and send: real SDKs, and the real servers.
import type { PermissionHandler } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { RelayBench, toolCall } from '../../support/relay-bench.ts';

describe.each(['cli', 'runtime'] as const)('a tenant with rates (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  const limited = (rule: string) => bench.gateway.metric('copilot_gateway_rate_limited_total', { rule });

  it('refuses connections that come too fast, and takes others again later', async () => {
    bench.gateway.fleet.change({ rates: { tenant: { connectionsPerMinute: 60 } } });
    const connect = () => bench.client(async () => undefined);
    const before = await limited('TenantConnections');
    const attempts = await Promise.allSettled(Array.from({ length: 70 }, connect));
    const refused = attempts.filter((attempt) => attempt.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]).toMatchObject({ reason: { code: -32050, data: { rule: 'RateLimit', limit: 60 } } });
    expect(await limited('TenantConnections')).toBe(before + refused.length);
    bench.gateway.fleet.change({ rates: undefined });
    await connect();
  }, 120_000);

  interface Refusal {
    readonly code: number;
    readonly data: { readonly retryAfterMs: number; readonly field: string };
  }
  const refusalsOf = (outcomes: readonly PromiseSettledResult<unknown>[]): Refusal[] =>
    outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Refusal] : []));
  const refused = (field: string, limit: number) => {
    const data = { retryable: true, outcome: 'NotSent', rule: 'RateLimit', field: `spec.rates.${field}`, limit };
    return { code: -32050, data };
  };

  it('refuses messages that come too fast, serves them after the time that it says, and lets a turn go on meanwhile', async () => {
    let asked = 0;
    await bench.client(async (client) => {
      const onPermissionRequest: PermissionHandler = async () => {
        asked += 1;
        // Nothing is left when it answers.
        await Promise.allSettled(Array.from({ length: 30 }, () => client.getStatus()));
        return { kind: 'approve-once' };
      };
      const session = await client.createSession(bench.config({ onPermissionRequest }));
      const word = await bench.answer(
        toolCall('bash', { command: 'echo hi42', description: 'x' }),
        toolCall('bash', { command: 'echo hi43', description: 'x' }),
        { text: 'done' },
      );
      bench.gateway.fleet.change({ rates: { tenant: { framesPerSecond: 1 } } });
      const before = await limited('TenantFrames');
      expect((await session.sendAndWait({ prompt: word }, 60_000))?.data.content).toBe('done');
      expect(asked).toBe(2);
      expect(await bench.toolResults(word)).toContain('hi43');
      const refusals = refusalsOf(await Promise.allSettled(Array.from({ length: 20 }, () => client.getStatus())));
      expect(refusals[0]).toMatchObject(refused('tenant.framesPerSecond', 1));
      expect(await limited('TenantFrames')).toBeGreaterThanOrEqual(before + refusals.length);
      const waitMs = Math.min(...refusals.map(({ data }) => data.retryAfterMs));
      expect(waitMs).toBeGreaterThan(0);
      await setTimeout(waitMs);
      expect(await client.getStatus()).toMatchObject({ version: expect.any(String) });
      bench.gateway.fleet.change({ rates: undefined });
    });
  }, 120_000);

  it('refuses a prompt of too many bytes a second to its user alone, and takes it after the time that it says, once', async () => {
    await bench.clientOf('alice', (alice) =>
      bench.clientOf('bob', async (bob) => {
        const [hers, his] = [await alice.createSession(bench.config()), await bob.createSession(bench.config())];
        bench.gateway.fleet.change({ rates: { user: { bytesPerSecond: 1000 } } });
        const prompts = ['first', 'second'].map((name) => `${name} ${'x'.repeat(9000)}`);
        const [first = '', second = ''] = prompts;
        await hers.send({ prompt: first });
        const [refusal] = refusalsOf(await Promise.allSettled([hers.send({ prompt: second })]));
        expect(refusal).toMatchObject(refused('user.bytesPerSecond', 1000));
        await his.sendAndWait({ prompt: first }, 60_000);
        await setTimeout(refusal?.data.retryAfterMs);
        await hers.sendAndWait({ prompt: second }, 60_000);
        const events = await hers.getEvents();
        expect(events.flatMap((each) => (each.type === 'user.message' ? [each.data.content] : []))).toEqual(prompts);
        bench.gateway.fleet.change({ rates: undefined });
      }),
    );
  }, 120_000);
});
