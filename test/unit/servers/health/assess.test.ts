import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { UnhealthyReason } from '../../../../src/copilot/index.ts';
import type { HealthSettings } from '../../../../src/servers/server.ts';
import { NO_HISTORY, assess, type History, type Outcome } from '../../../../src/servers/health/assess.ts';

const target: Omit<HealthSettings, 'timeoutMs'> = { intervalMs: 10_000, failureThreshold: 3 };
const epoch = 1_750_000_000_000;
const healthy = (version = '1.0.102'): Outcome => ({ ok: true, version });
const failing = (reason: UnhealthyReason = 'Unreachable'): Outcome => ({ ok: false, reason, message: `no: ${reason}` });

/** Assesses the outcomes in order, each at its time in ms. */
function assessAll(steps: readonly (readonly [number, Outcome])[], settings = target, from = NO_HISTORY): History {
  return steps.reduce(
    (history, [at, outcome]) => assess(history, outcome, settings, { now: epoch + at, monotonic: at }),
    from,
  );
}

describe('the health of a server', () => {
  it('is Unknown before the first outcome, and after fewer failures than the threshold', () => {
    expect(NO_HISTORY.health).toEqual({ state: 'Unknown' });
    const steps = [0, 10_000].map((at) => [at, failing()] as const);
    expect(assessAll(steps).health).toEqual({ state: 'Unknown' });
  });

  it('is Healthy at the first success, since then, with its version', () => {
    expect(assessAll([[500, healthy()]]).health).toEqual({ state: 'Healthy', version: '1.0.102', since: epoch + 500 });
  });

  it('is the same object while nothing changes', () => {
    const first = assessAll([[0, healthy()]]);
    expect(assessAll([[10_000, healthy()]], target, first)).toBe(first);
    const down = assessAll([0, 10_000, 20_000].map((at) => [at, failing()] as const));
    expect(assessAll([[30_000, failing()]], target, down).health).toBe(down.health);
  });

  it('changes when a healthy server comes back with another version', () => {
    const steps = [[0, healthy('1.0.102')] as const, [10_000, healthy('1.0.103')] as const];
    expect(assessAll(steps).health).toEqual({ state: 'Healthy', version: '1.0.103', since: epoch + 10_000 });
  });

  it('is slow after as many slow answers in a row, until one is in time', () => {
    const slow = (at: number): readonly [number, Outcome] => [at, { ok: true, version: '1', ms: 2001 }];
    const settings = { ...target, slowMs: 2000 };
    const two = assessAll([slow(0), slow(10_000)], settings);
    expect(two.health).toEqual({ state: 'Healthy', version: '1', since: epoch });
    const three = assessAll([slow(20_000)], settings, two);
    expect(three.health).toEqual({ state: 'Healthy', version: '1', since: epoch + 20_000, isSlow: true });
    expect(assessAll([slow(30_000)], settings, three).health).toBe(three.health);
    const inTime = [[40_000, { ok: true, version: '1', ms: 2000 }]] as const;
    expect(assessAll(inTime, settings, three).health).toEqual({
      state: 'Healthy',
      version: '1',
      since: epoch + 40_000,
    });
  });

  it('is never slow where that is not looked at', () => {
    const steps = [0, 1, 2, 3].map((at) => [at * 10_000, { ok: true, version: '1', ms: 60_000 }] as const);
    expect(assessAll(steps).health).not.toHaveProperty('isSlow');
  });

  it('is Unhealthy at the third failure in a row, with the latest reason', () => {
    const steps = [
      [0, healthy()],
      [10_000, failing('Unreachable')],
      [20_000, failing('Timeout')],
    ] as const;
    expect(assessAll(steps).health.state).toBe('Healthy');
    expect(assessAll([...steps, [30_000, failing('Timeout')]]).health).toEqual({
      state: 'Unhealthy',
      reason: 'Timeout',
      message: 'no: Timeout',
      since: epoch + 30_000,
    });
  });

  it('is Unhealthy at once with a threshold of 1', () => {
    expect(assessAll([[0, failing('AuthFailed')]], { ...target, failureThreshold: 1 }).health).toMatchObject({
      state: 'Unhealthy',
      reason: 'AuthFailed',
    });
  });

  it('forgets failures at a success', () => {
    const steps = [
      [0, failing()],
      [10_000, failing()],
      [20_000, healthy()],
      [30_000, failing()],
      [40_000, failing()],
    ] as const;
    expect(assessAll(steps).health.state).toBe('Healthy');
  });

  it('counts failures once an interval, however often the server is dialled', () => {
    const dials = Array.from({ length: 100 }, (_, dial) => [dial * 150, failing()] as const);
    expect(assessAll(dials).failures).toBe(2);
    expect(assessAll(dials).health.state).toBe('Unknown');
  });

  it('counts checks that came early by their jitter', () => {
    expect(assessAll([0, 9000, 18_000].map((at) => [at, failing()] as const)).health.state).toBe('Unhealthy');
  });

  it('changes its reason when another one has lasted, not when reasons alternate', () => {
    const down = assessAll([0, 10_000, 20_000].map((at) => [at, failing('Unreachable')] as const));
    const flapping = assessAll(
      Array.from({ length: 10 }, (_, n) => [30_000 + n * 10_000, failing(n % 2 ? 'Timeout' : 'Unreachable')] as const),
      target,
      down,
    );
    expect(flapping.health).toBe(down.health);
    const lasting = assessAll(
      [150_000, 160_000, 170_000].map((at) => [at, failing('AuthFailed')] as const),
      target,
      down,
    );
    expect(lasting.health).toMatchObject({ reason: 'AuthFailed', since: epoch + 170_000 });
  });

  it('follows the rule for any outcomes: never Unhealthy before `threshold` failures since the last success', () => {
    const outcomes = fc.array(fc.boolean(), { maxLength: 30 });
    fc.assert(
      fc.property(outcomes, fc.integer({ min: 1, max: 5 }), (oks, failureThreshold) => {
        let failures = 0;
        let history = NO_HISTORY;
        oks.forEach((ok, n) => {
          failures = ok ? 0 : failures + 1;
          history = assessAll([[n * 10_000, ok ? healthy() : failing()]], { ...target, failureThreshold }, history);
          expect(history.health.state === 'Unhealthy').toBe(failures >= failureThreshold);
          if (ok) expect(history.health.state).toBe('Healthy');
        });
      }),
    );
  });
});
