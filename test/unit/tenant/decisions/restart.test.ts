import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { restartDecision, type RestartInput } from '../../../../src/tenant/decisions/restart.ts';
import { HOUR, MINUTE, NOW, SECOND, healthy, unhealthy } from '../fixtures.ts';

/** The decision about a server that hangs, with overrides. */
const decide = (other: Partial<RestartInput> = {}) =>
  restartDecision({ server: 'acme-0', health: unhealthy(), podReady: true, last: undefined, now: NOW, ...other });

/** A server that was restarted `ago` ms before now, as number `attempt` of a series, and soon hung again. */
const again = (attempt: number, ago: number) =>
  decide({ last: { at: timestamp(NOW - ago), attempt }, health: unhealthy('Timeout', NOW - ago + 30 * SECOND) });

describe('the restart of an unresponsive server', () => {
  it.each([
    ['it responds', healthy()],
    ['its health is unknown', { state: 'Unknown' } as const],
  ])('is not done while %s', (_, health) => {
    expect(decide({ health })).toMatchObject({ action: 'none', reason: 'NotUnhealthy' });
  });

  it.each([
    ['it hangs', 'Timeout', true],
    ['another protocol is spoken on its port', 'ProtocolError', true],
    ['its port is closed for the kubelet too', 'Unreachable', false],
  ] as const)('is done at once when %s', (_, reason, podReady) => {
    expect(decide({ health: unhealthy(reason), podReady })).toMatchObject({ action: 'restart', reason, attempt: 1 });
  });

  it.each([
    ['at once', undefined],
    ['nor after any earlier restart', { at: timestamp(NOW - HOUR), attempt: 3 }],
  ])('is never done for a rejected token, %s: the new pod would have the same', (_, last) => {
    const decision = decide({ health: unhealthy('AuthFailed'), last });
    expect(decision).toMatchObject({ action: 'none', reason: 'RestartDoesNotHelp' });
    expect(decision.message).toMatch(/Secret acme-token.*kubectl rollout restart deploy\/acme-0/);
  });

  it('is not done when only the operator cannot connect, which is a problem of the network', () => {
    const decision = decide({ health: unhealthy('Unreachable'), podReady: true });
    expect(decision).toMatchObject({ action: 'none', reason: 'RestartDoesNotHelp' });
    expect(decision.message).toMatch(/10\.0\.0\.1:4321.*check the NetworkPolicies/);
  });

  it.each([
    [1, MINUTE],
    [2, 2 * MINUTE],
    [3, 4 * MINUTE],
    [4, 8 * MINUTE],
    [5, 16 * MINUTE],
    [6, 30 * MINUTE],
    [7, 30 * MINUTE],
    [2000, 30 * MINUTE],
  ])('after attempt %i waits until %i ms have passed since that attempt', (attempt, wait) => {
    expect(again(attempt, wait - SECOND)).toMatchObject({ action: 'wait', reason: 'BackingOff', afterMs: SECOND });
    expect(again(attempt, wait)).toMatchObject({ action: 'restart', attempt: attempt + 1 });
  });

  it('does not wait for a time of before the clock was set back, but for one of a clock that is a little ahead', () => {
    expect(again(1, -HOUR)).toMatchObject({ action: 'restart', attempt: 2 });
    expect(again(1, -30 * SECOND)).toMatchObject({ action: 'wait', afterMs: MINUTE });
  });

  it('is reported while it waits, with the health, the number of the last restart and the time of the next one', () => {
    const { message } = again(2, MINUTE);
    expect(message).toMatch(/10\.0\.0\.1:4321.*Restart 2 did not help.*due at 2026-01-02T03:05:05Z/);
  });

  it('has the same message at each reconcile while it waits, because each change is a write', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 * MINUTE - 1 }), (later) => {
        const last = { at: timestamp(NOW), attempt: 3 };
        expect(decide({ last, now: NOW + later }).message).toBe(decide({ last }).message);
      }),
    );
  });

  it.each([
    ['after more than a healthy hour a new series begins', HOUR + SECOND, { action: 'restart', attempt: 1 }],
    ['after an hour or less the series continues', HOUR, { action: 'restart', attempt: 7 }],
  ])('%s', (_, after, expected) => {
    const now = NOW + after;
    const last = { at: timestamp(NOW), attempt: 6 };
    expect(decide({ last, now, health: unhealthy('Timeout', now) })).toMatchObject(expected);
  });

  it('happens at most 6 times in the first hour and then every half hour, however often it is decided', () => {
    const day = 24 * HOUR;
    let last: RestartInput['last'];
    const restarts: number[] = [];
    for (let now = NOW; now < NOW + day; now += 10 * SECOND) {
      const decision = decide({ last, now, health: unhealthy('Timeout', last ? Date.parse(last.at) : NOW) });
      if (decision.action !== 'restart') continue;
      restarts.push(now - NOW);
      last = { at: timestamp(now), attempt: decision.attempt };
    }
    expect(restarts.slice(0, 8).map((at) => at / MINUTE)).toEqual([0, 1, 3, 7, 15, 31, 61, 91]);
    expect(restarts).toHaveLength(6 + 46);
  });
});
