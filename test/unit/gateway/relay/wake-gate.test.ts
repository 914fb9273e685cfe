import { beforeEach, describe, expect, it } from '@jest/globals';
import type { TenantSleep } from '../../../../src/gateway/model.ts';
import { WakeGate } from '../../../../src/gateway/relay/tenant/wake-gate.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const ALICE = {};
const BOB = {};

let clock: FakeClock;
let sleep: TenantSleep | undefined;
let stoppedBy: 'spec.suspend' | undefined;
let areServing: boolean;
let isHeard: boolean;
let seen: string[];
let gate: WakeGate;

function open(canWake = true): void {
  gate = new WakeGate({
    find: () => ({
      namespace: 'team',
      name: 'acme',
      uid: 'u',
      access: 'Gateway',
      isolation: 'Dedicated',
      credentials: [],
      servers: [],
      sleep,
      stoppedBy,
    }),
    areServing: () => areServing,
    canWake,
    isHeard: () => isHeard,
    clock,
    limits: { wakeBytes: 1000, wakeMs: 300_000 },
    observer: { wakeEnded: (end) => void seen.push(end) },
    onWanted: () => void seen.push('wanted'),
  });
}

const at = (phase: TenantSleep['phase'], epoch = 1, failure?: TenantSleep['failure']): TenantSleep => ({
  afterIdleMs: 60_000,
  wakeTimeoutMs: 120_000,
  phase,
  epoch,
  failure,
});
function become(next: TenantSleep | undefined): void {
  sleep = next;
  gate.changed();
}
function hold(name: string, { client = ALICE, bytes = 10, wakes = true } = {}): void {
  gate.hold(client, {
    bytes,
    wakes,
    go: () => void seen.push(`${name} goes`),
    refuse: (why) => void seen.push(`${name}: ${why}`),
  });
}

beforeEach(() => {
  [clock, sleep, areServing, seen] = [new FakeClock(), at('Stopped'), false, []];
  [stoppedBy, isHeard] = [undefined, true];
  open();
});

describe('the gate of a tenant', () => {
  it.each([
    [undefined, true],
    [at('Running'), true],
    [at('Draining'), false],
    [at('Stopping'), false],
    [at('Stopped'), false],
    [at('Waking'), false],
  ])('%j is open: %s', (state, isOpen) => {
    sleep = state;
    expect(gate.isOpen).toBe(isOpen);
  });

  it('refuses what waits, and what comes, once its author stops it', () => {
    hold('first');
    stoppedBy = 'spec.suspend';
    become(at('Running', 2));
    hold('second');
    const why = 'tenant team/acme is stopped by its spec.suspend, and no call starts it';
    expect(seen).toEqual(['wanted', 'Failed', `first: ${why}`, `second: ${why}`]);
  });

  it('opens when every server serves, which is before the operator has heard of it', () => {
    hold('first');
    become(at('Waking', 2));
    expect(seen).toEqual(['wanted']);
    areServing = true;
    gate.changed();
    expect(seen).toEqual(['wanted', 'Woken', 'first goes']);
  });

  it('lets calls pass in their order', () => {
    hold('first');
    hold('second', { client: BOB });
    hold('third');
    become(at('Running', 3));
    expect(seen.filter((each) => each.endsWith('goes'))).toEqual(['first goes', 'second goes', 'third goes']);
    expect([gate.size, clock.pendingTimers]).toEqual([0, 0]);
  });

  it('has the tenant woken once, whoever waits', () => {
    hold('first');
    hold('second', { client: BOB });
    expect(seen).toEqual(['wanted']);
    expect(gate.isWanted).toBe(true);
  });

  it('does not have it woken for a list, which waits with calls that do', () => {
    hold('list', { wakes: false });
    expect(seen).toEqual([expect.stringContaining('list: tenant team/acme sleeps, and this call does not wake it')]);
    seen = [];
    hold('first');
    hold('list', { wakes: false });
    become(at('Running', 2));
    expect(seen).toEqual(['wanted', 'Woken', 'Woken', 'first goes', 'list goes']);
  });

  it('tells those that waited why it could not be woken, and not those that came since', () => {
    hold('first');
    become(at('Waking', 2));
    become(at('Stopping', 3, { epoch: 3, message: 'the image is gone' }));
    expect(seen.slice(1)).toEqual(['Failed', 'first: tenant team/acme could not be woken: the image is gone']);
    seen = [];
    hold('second');
    become(at('Stopped', 4, { epoch: 3, message: 'the image is gone' }));
    expect(seen).toEqual(['wanted']);
  });

  it('forgets a client that leaves, and has the tenant woken for nobody then', () => {
    hold('first');
    gate.leave(ALICE);
    expect([gate.isWanted, gate.size, clock.pendingTimers]).toEqual([false, 0, 0]);
    become(at('Running', 2));
    expect(seen).toEqual(['wanted', 'ClientGone', 'first: the client is gone']);
  });

  it('holds so many bytes, of one call whatever it has', () => {
    hold('large', { bytes: 5000 });
    hold('second');
    expect(seen).toEqual(['wanted', expect.stringContaining('second: calls of more than 1000 bytes wait')]);
  });

  it('tells each call after its own time that the tenant did not wake', async () => {
    hold('first');
    await clock.advance(200_000);
    hold('second', { client: BOB });
    await clock.advance(100_000);
    expect(seen.slice(1)).toEqual(['TimedOut', 'first: tenant team/acme did not wake within 300 s']);
    await clock.advance(200_000);
    expect(seen.at(-1)).toBe('second: tenant team/acme did not wake within 300 s');
    expect(clock.pendingTimers).toBe(0);
  });

  it('tells a call that nobody has heard of it, as while the operator is away', async () => {
    isHeard = false;
    hold('first');
    await clock.advance(300_000);
    expect(seen.at(-1)).toBe(
      'first: tenant team/acme did not wake within 300 s: the operator, which starts its servers, does not answer',
    );
    hold('second');
    await clock.advance(60 * 60_000 - 1);
    isHeard = true;
    hold('third');
    become(at('Running', 2));
    expect(seen.at(-1)).toBe('third goes');
  });

  it('waits for a wake that may take longer, and for its turn before it', async () => {
    sleep = { ...at('Stopped'), wakeTimeoutMs: 600_000 };
    hold('first');
    await clock.advance(779_999);
    expect(seen).toEqual(['wanted']);
    become({ ...at('Stopped'), wakeTimeoutMs: 60_000 });
    await clock.advance(1);
    expect(seen.at(-1)).toBe('first: tenant team/acme did not wake within 300 s');
    expect(clock.pendingTimers).toBe(0);
  });

  it('says so at once where nobody can be asked', () => {
    open(false);
    hold('first');
    expect(seen).toEqual([expect.stringContaining('this gateway is not set up to have it woken')]);
  });
});
