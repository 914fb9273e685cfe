import { beforeEach, describe, expect, it } from '@jest/globals';
import { WakeAsker } from '../../../src/gateway/wake-asker.ts';
import type { WakeAsk } from '../../../src/resources/operator-internal.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

const ACME = { namespace: 'team', name: 'acme', epoch: 1 };

let clock: FakeClock;
let wanted: WakeAsk[];
let address: string | undefined;
/** What was sent where. */
let sent: string[];
let fails: Error | undefined;
let logged: string[];
let asker: WakeAsker;
let stop: AbortController;
let running: Promise<void>;

beforeEach(() => {
  [clock, wanted, address, sent, fails, logged, stop] = [
    new FakeClock(),
    [],
    '10.0.0.1:8082',
    [],
    undefined,
    [],
    new AbortController(),
  ];
  const lease = () => ({
    metadata: {
      name: 'copilot-operator',
      ...(address && { annotations: { 'copilot-operator.dev/wake-address': address } }),
    },
  });
  asker = new WakeAsker({
    client: { get: () => Promise.resolve(lease() as never) },
    clock,
    log: { warn: (fields) => logged.push(JSON.stringify(fields)), info: (_fields, message) => logged.push(message) },
    lease: { namespace: 'ops', name: 'copilot-operator' },
    wanted: () => wanted,
    post: (at, asks) => {
      sent.push(`${at} ${asks.map(({ name, epoch }) => `${name}@${epoch}`).join()}`);
      return fails === undefined ? Promise.resolve() : Promise.reject(fails);
    },
  });
  running = asker.run(stop.signal);
});

async function end(): Promise<void> {
  stop.abort();
  await running;
  expect(clock.pendingTimers).toBe(0);
}

describe('the operator', () => {
  it('is asked at once, and again every second while somebody waits', async () => {
    await clock.advance(10_000);
    expect(sent).toEqual([]);
    wanted = [ACME];
    asker.ask();
    await settle();
    expect(sent).toEqual(['10.0.0.1:8082 acme@1']);
    await clock.advance(2_000);
    expect(sent).toHaveLength(3);
    wanted = [];
    await clock.advance(10_000);
    expect(sent).toHaveLength(3);
    await end();
  });

  it('hears of whoever comes meanwhile at once', async () => {
    wanted = [ACME];
    asker.ask();
    await clock.advance(100);
    wanted = [ACME, { ...ACME, name: 'globex' }];
    asker.ask();
    await settle();
    expect(sent).toEqual(['10.0.0.1:8082 acme@1', '10.0.0.1:8082 acme@1,globex@1']);
    await end();
  });

  it('is looked for again when it does not answer, which is said once', async () => {
    wanted = [ACME];
    fails = new Error('connect ECONNREFUSED');
    expect(asker.isHeard).toBe(true);
    asker.ask();
    await clock.advance(2_000);
    expect(asker.isHeard).toBe(false);
    address = '10.0.0.2:8082';
    fails = undefined;
    await clock.advance(1_000);
    expect(asker.isHeard).toBe(true);
    expect(sent.at(-1)).toBe('10.0.0.2:8082 acme@1');
    expect(logged).toEqual(['{"error":"connect ECONNREFUSED"}', 'the operator can be asked to wake tenants again']);
    await end();
  });

  it('cannot be asked if its Lease does not say where it is', async () => {
    address = undefined;
    wanted = [ACME];
    asker.ask();
    await clock.advance(1_000);
    expect(sent).toEqual([]);
    expect(logged).toEqual([expect.stringContaining('Lease ops/copilot-operator has no annotation')]);
    await end();
  });
});
