import { describe, expect, it } from '@jest/globals';
import type { HibernationPhase } from '../../../../src/api/names.ts';
import type { HibernationStatus } from '../../../../src/api/tenant.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import {
  hibernationDecision,
  type HibernationInput,
  SLEEP_DRAIN_MS,
} from '../../../../src/tenant/decisions/hibernation.ts';
import { MINUTE, NOW } from '../fixtures.ts';

const FAILURE = { epoch: 3, message: 'no image' };

/** The phase since so long. */
const stated = (phase: HibernationPhase, agoMs = 0, change: Partial<HibernationStatus> = {}): HibernationStatus => ({
  phase,
  epoch: 4,
  since: timestamp(NOW - agoMs),
  ...change,
});

/** Of a tenant that was unused for an hour, and sleeps after 15 minutes; its servers run unless it sleeps. */
function decide(at: HibernationStatus | undefined, change: Partial<HibernationInput> = {}) {
  const sleeps = at !== undefined && ['Stopping', 'Stopped', 'Waking'].includes(at.phase);
  return hibernationDecision({
    stated: at,
    wanted: { afterIdleMs: 15 * MINUTE, wakeTimeoutMs: 2 * MINUTE },
    canWake: true,
    isExpected: true,
    idleMs: 60 * MINUTE,
    servesSince: timestamp(NOW - 60 * MINUTE),
    isAsked: false,
    hasPlace: () => true,
    isPaused: false,
    areReady: !sleeps,
    arePortsOpen: !sleeps,
    wakingMs: at?.phase === 'Waking' ? NOW - Date.parse(at.since) : 0,
    foundAtMs: 0,
    isChanging: false,
    areStopped: at?.phase === 'Stopped',
    cause: undefined,
    now: NOW,
    ...change,
  });
}

type Row = [what: string, at: HibernationStatus | undefined, change: Partial<HibernationInput>, next: string];

describe('a tenant', () => {
  it.each<Row>([
    ['that was unused for long enough drains', undefined, {}, 'Draining Idle'],
    ['that was used lately runs', undefined, { idleMs: 14 * MINUTE }, 'Running InUse'],
    ['of which the gateway says nothing runs', undefined, { idleMs: undefined }, 'Running Unknown'],
    [
      'whose servers serve only since a moment ago runs, although nobody ever used it',
      undefined,
      { servesSince: timestamp(NOW - 14 * MINUTE) },
      'Running InUse',
    ],
    [
      'whose servers serve, which the status does not state yet, runs',
      undefined,
      { servesSince: undefined },
      'Running Changing',
    ],
    [
      'whose servers serve again after a suspension runs, though it was awake before',
      stated('Running', 120 * MINUTE),
      { servesSince: timestamp(NOW - MINUTE) },
      'Running InUse',
    ],
    [
      'whose servers serve since a time that is long to come drains: the clock was set back',
      undefined,
      { servesSince: timestamp(NOW + 60 * MINUTE) },
      'Draining Idle',
    ],
    ['that somebody asks for runs', undefined, { isAsked: true }, 'Running InUse'],
    ['with a server that does not answer runs', undefined, { areReady: false }, 'Running Changing'],
    ['with a server that is being replaced runs', undefined, { isChanging: true }, 'Running Changing'],
    ['that was woken lately runs', stated('Running', 14 * MINUTE), {}, 'Running InUse'],
    [
      'that was woken before the clock was set back by hours drains',
      stated('Running', -180 * MINUTE),
      {},
      'Draining Idle',
    ],
    ['that was woken by a clock that is a little ahead runs', stated('Running', -1000), {}, 'Running InUse'],
    ['that was woken long ago drains', stated('Running', 15 * MINUTE), {}, 'Draining Idle'],
    ['that drains goes on', stated('Draining', 1000), {}, 'Draining Draining'],
    ['that drains and is used runs', stated('Draining', 1000), { isAsked: true }, 'Running Asked'],
    [
      'that is used in the moment in which it has drained runs',
      stated('Draining', 1000),
      { mayStop: true, isAsked: true },
      'Running Asked',
    ],
    ['that drains and was used since runs', stated('Draining', 1000), { idleMs: 14 * MINUTE }, 'Running InUse'],
    [
      'that drains while the gateway does not say that it is unused runs',
      stated('Draining', 1000),
      { idleMs: undefined },
      'Running Unknown',
    ],
    [
      'whose servers have been stopped stays so, whatever the gateway says then',
      stated('Draining', 1000),
      { mayStop: true, idleMs: undefined },
      'Stopping Drained',
    ],
    ['that has drained stops', stated('Draining', 1000), { mayStop: true }, 'Stopping Drained'],
    ['that drains and was stopped by others stops', stated('Draining'), { areStopped: true }, 'Stopping Drained'],
    ['whose drain takes too long runs', stated('Draining', SLEEP_DRAIN_MS), {}, 'Running NotDrained'],
    ['that drains since a time that is to come runs', stated('Draining', -MINUTE), {}, 'Running NotDrained'],
    ['that drains while a server fails runs', stated('Draining', 1), { areReady: false }, 'Running NotDrained'],
    ['that stops goes on', stated('Stopping'), {}, 'Stopping Stopping'],
    ['whose servers have stopped sleeps', stated('Stopping'), { areStopped: true }, 'Stopped Stopped'],
    ['that stops and is asked for is woken', stated('Stopping'), { isAsked: true }, 'Waking Asked'],
    ['that sleeps goes on', stated('Stopped'), {}, 'Stopped Asleep'],
    ['that sleeps and is asked for is woken', stated('Stopped'), { isAsked: true }, 'Waking Asked'],
    ['that has no place sleeps', stated('Stopped'), { isAsked: true, hasPlace: () => false }, 'Stopped NoPlace'],
    ['that wakes goes on', stated('Waking', MINUTE), {}, 'Waking Waking'],
    ['whose servers answer runs', stated('Waking', MINUTE), { areReady: true }, 'Running Awake'],
    ['whose servers do not start in time stops', stated('Waking', 2 * MINUTE), {}, 'Stopping WakeFailed'],
    ['that is paused runs', undefined, { isPaused: true }, 'Running Paused'],
    ['that is paused while it drains runs', stated('Draining', 1000), { isPaused: true }, 'Running Paused'],
    [
      'that is paused after its servers have stopped sleeps',
      stated('Draining', 1000),
      { isPaused: true, areStopped: true },
      'Stopping Drained',
    ],
    [
      'that is paused while it stops sleeps when its servers have stopped',
      stated('Stopping'),
      { isPaused: true, areStopped: true },
      'Stopped Stopped',
    ],
    [
      'that is paused while it sleeps is not woken',
      stated('Stopped'),
      { isPaused: true, isAsked: true },
      'Stopped Asleep',
    ],
    ['that is paused while it wakes goes on', stated('Waking', MINUTE), { isPaused: true }, 'Waking Waking'],
    [
      'that is paused while it wakes runs when its servers answer',
      stated('Waking', MINUTE),
      { isPaused: true, areReady: true },
      'Running Awake',
    ],
    [
      'that is paused while it wakes says when its servers do not start',
      stated('Waking', 2 * MINUTE),
      { isPaused: true },
      'Stopping WakeFailed',
    ],
    [
      'that wakes goes on until its servers answer the operator',
      stated('Waking', MINUTE),
      { arePortsOpen: true },
      'Waking Waking',
    ],
    [
      'whose time is over while clients may use its servers runs',
      stated('Waking', 60 * MINUTE),
      { arePortsOpen: true },
      'Running Awake',
    ],
    [
      'that wakes goes on, though the clock was set forward',
      stated('Waking', 60 * MINUTE),
      { wakingMs: MINUTE },
      'Waking Waking',
    ],
    [
      'that wakes goes on, though the clock was set back',
      stated('Waking', -60 * MINUTE),
      { wakingMs: MINUTE },
      'Waking Waking',
    ],
    [
      'whose servers do not start in time stops, though the clock was set back',
      stated('Waking', -60 * MINUTE),
      { wakingMs: 2 * MINUTE },
      'Stopping WakeFailed',
    ],
    [
      'whose servers do not start in time stops, though another operator had begun to wake it',
      stated('Waking', 2 * MINUTE),
      { foundAtMs: MINUTE },
      'Stopping WakeFailed',
    ],
    [
      'that was being woken when the last operator ended, an hour ago, runs if its servers do',
      stated('Waking', 60 * MINUTE),
      { foundAtMs: 60 * MINUTE, arePortsOpen: true },
      'Running Awake',
    ],
    [
      'that sleeps and is suspended is as if it had never slept',
      stated('Stopped'),
      { isExpected: false },
      'Running NotExpected',
    ],
    ['that sleeps and is not to is started', stated('Stopped'), { wanted: undefined }, 'Running NotWanted'],
    ['that sleeps and that nobody could wake is started', stated('Stopped'), { canWake: false }, 'Running NotWanted'],
  ])('%s', (_what, at, change, next) => {
    const { phase, reason, status } = decide(at, change);
    expect(`${phase} ${reason}`).toBe(next);
    if (phase === (at?.phase ?? 'Running')) expect(status).toBe(at);
    else expect(status).toMatchObject({ phase, epoch: (at?.epoch ?? 0) + 1, since: timestamp(NOW) });
  });

  it('is not asked for a place unless it would start', () => {
    const hasPlace = () => {
      throw new Error('it was asked');
    };
    for (const phase of ['Running', 'Draining', 'Stopping', 'Stopped', 'Waking'] as const) {
      expect(() => decide(stated(phase), { hasPlace })).not.toThrow();
      expect(() => decide(stated(phase), { hasPlace, isPaused: true, isAsked: true })).not.toThrow();
    }
  });

  it('whose wake is found when its time is over is waited for once more, because nobody saw it', () => {
    const found = { wakingMs: 60 * MINUTE, foundAtMs: 60 * MINUTE };
    const { phase, status, dueInMs } = decide(stated('Waking', 60 * MINUTE, { failure: FAILURE }), found);
    expect([phase, dueInMs]).toEqual(['Waking', 2 * MINUTE]);
    expect(status).toEqual(stated('Waking', 0, { failure: FAILURE, countedAnew: true }));
    const again = { wakingMs: 2 * MINUTE, foundAtMs: 2 * MINUTE };
    expect(decide(stated('Waking', 2 * MINUTE, { countedAnew: true }), again)).toMatchObject({
      phase: 'Stopping',
      reason: 'WakeFailed',
      status: expect.not.objectContaining({ countedAnew: true }),
    });
  });

  it('says why it could not be woken until it could', () => {
    const failed = decide(stated('Waking', 2 * MINUTE), { cause: 'The image cannot be pulled.' });
    expect(failed.status?.failure).toEqual({
      epoch: 5,
      message: expect.stringContaining('wakeTimeout: The image cannot be pulled.'),
    });
    const kept = { failure: FAILURE };
    expect(decide(stated('Stopping', 0, kept), { areStopped: true }).status).toMatchObject(kept);
    expect(decide(stated('Stopped', 0, kept), { isAsked: true }).status).toMatchObject(kept);
    expect(decide(stated('Waking', 0, kept), { areReady: true }).status).not.toHaveProperty('failure');
  });

  it('keeps a failure within the bound of the CRD', () => {
    const { status } = decide(stated('Waking', 2 * MINUTE), { cause: 'x'.repeat(5000) });
    expect(status?.failure?.message).toHaveLength(1024);
  });

  it('is looked at again when it may be idle, has drained for too long, or should be awake', () => {
    expect(decide(undefined, { idleMs: 10 * MINUTE }).dueInMs).toBe(5 * MINUTE);
    expect(decide(stated('Draining', 1000)).dueInMs).toBe(SLEEP_DRAIN_MS - 1000);
    expect(decide(stated('Waking', MINUTE)).dueInMs).toBe(MINUTE);
    expect(decide(stated('Stopped')).dueInMs).toBeUndefined();
  });
});
