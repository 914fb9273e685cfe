import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import pino from 'pino';
import type { CoreEvent } from '../../../../src/kube/types/builtins.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import { EventRecorder } from '../../../../src/kube/runtime/events.ts';
import { LeadershipLostError } from '../../../../src/kube/runtime/leader-election.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import type { KubeObject } from '../../../../src/kube/types/types.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { metricValue } from '../../../support/metrics.ts';

const request = { method: 'POST', path: '/events' };
const serverBusy = () => new StatusError(request, { code: 503, reason: 'ServiceUnavailable' });
const connectionReset = () => new TransportError(request, 'network', 'connection reset');
const namespaceTerminating = () =>
  new StatusError(request, {
    code: 403,
    reason: 'Forbidden',
    details: { causes: [{ reason: 'NamespaceTerminating' }] },
  });

function object(name = 'acme', namespace: string | undefined = 'team'): KubeObject {
  const metadata = { name, ...(namespace && { namespace }), uid: `uid-of-${name}`, resourceVersion: '7' };
  return { apiVersion: 'example.com/v1', kind: 'Tenant', metadata };
}

/** A recorder whose API is a map of events; `fail` makes the next requests fail, optionally after they were executed. */
function setUp() {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const events = new Map<string, CoreEvent>();
  const requests: string[] = [];
  const failures: { error: Error; executed?: boolean }[] = [];
  let hold: Promise<void> | undefined;
  let seed = 42;
  const send = async (verb: string, act: () => void): Promise<CoreEvent> => {
    requests.push(verb);
    await hold;
    const failure = failures.shift();
    if (!failure || failure.executed) act();
    if (failure) throw failure.error;
    return {} as CoreEvent;
  };
  const client = {
    create: (_: unknown, event: CoreEvent) =>
      send('create', () => {
        if (events.has(event.metadata.name)) throw new StatusError(request, { code: 409, reason: 'AlreadyExists' });
        events.set(event.metadata.name, event);
      }),
    patch: (_: unknown, { name }: { name: string }, body: Partial<CoreEvent>) =>
      send('patch', () => {
        const event = events.get(name);
        if (!event) throw new StatusError(request, { code: 404, reason: 'NotFound' });
        events.set(name, { ...event, ...body });
      }),
  } as unknown as Pick<KubeClient, 'create' | 'patch'>;
  const recorder = new EventRecorder({
    client,
    clock,
    random: () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647,
    log: pino({ level: 'silent' }),
    metrics,
    component: 'test-operator',
    instance: 'pod-1',
  });
  const stored = () => [...events.values()];
  const counted = (outcome: string) => metricValue(metrics, 'event_recorder_events_total', { outcome });
  /** Requests get no response until the returned function is called. */
  const holdRequests = (): (() => void) => {
    let respond: () => void = () => undefined;
    hold = new Promise<void>((resolve) => (respond = resolve));
    return respond;
  };
  return { clock, recorder, events, stored, requests, failures, counted, holdRequests };
}

describe('an event', () => {
  it('is in the namespace of its object, with reporter, reason, times and count', async () => {
    const { recorder, stored, counted } = setUp();
    recorder.event(object(), 'Warning', 'ImagePullFailed', 'image example.com/x: not found');
    await settle();
    expect(stored()).toEqual([
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { namespace: 'team', name: expect.stringMatching(/^acme\.[0-9a-f]+$/) },
        involvedObject: {
          apiVersion: 'example.com/v1',
          kind: 'Tenant',
          namespace: 'team',
          name: 'acme',
          uid: 'uid-of-acme',
          resourceVersion: '7',
        },
        type: 'Warning',
        reason: 'ImagePullFailed',
        message: 'image example.com/x: not found',
        source: { component: 'test-operator', host: 'pod-1' },
        reportingComponent: 'test-operator',
        reportingInstance: 'pod-1',
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        count: 1,
      },
    ]);
    expect(await counted('created')).toBe(1);
  });

  it('is written however soon after the previous one it is recorded', async () => {
    for (let microtasks = 0; microtasks < 20; microtasks++) {
      const { recorder, stored, holdRequests } = setUp();
      const respond = holdRequests();
      recorder.event(object(), 'Normal', 'First', 'x');
      await settle();
      respond();
      for (let i = 0; i < microtasks; i++) await Promise.resolve();
      recorder.event(object(), 'Normal', 'Second', 'x');
      await settle();
      expect(stored().map(({ reason }) => reason)).toEqual(['First', 'Second']);
    }
  });

  it('of a cluster-scoped object is in default', async () => {
    const { recorder, stored } = setUp();
    recorder.event({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } }, 'Normal', 'Seen', 'x');
    await settle();
    expect(stored()[0]?.metadata.namespace).toBe('default');
  });

  it('that occurs again is the same Event with a higher count and a later time', async () => {
    const { recorder, stored, clock, requests } = setUp();
    for (let i = 0; i < 3; i++) {
      recorder.event(object(), 'Normal', 'Ready', 'all servers answer');
      await clock.advance(60_000);
    }
    expect(requests).toEqual(['create', 'patch', 'patch']);
    expect(stored()).toHaveLength(1);
    expect(stored()[0]).toMatchObject({
      ...stored()[0],
      count: 3,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:02:00Z',
    });
  });

  it('that occurs many times during a write costs one more write', async () => {
    const { recorder, stored, requests, holdRequests } = setUp();
    const respond = holdRequests();
    for (let i = 0; i < 20; i++) recorder.event(object(), 'Normal', 'Ready', 'x');
    await settle();
    recorder.event(object(), 'Normal', 'Ready', 'x');
    respond();
    await settle();
    expect(requests).toEqual(['create', 'patch']);
    expect(stored()[0]?.count).toBe(21);
  });

  it('with ever new messages becomes one combined event', async () => {
    const { recorder, stored } = setUp();
    for (let i = 0; i < 15; i++) {
      recorder.event(object(), 'Warning', 'Failed', `attempt ${i}`);
      await settle();
    }
    expect(stored()).toHaveLength(11);
    expect(stored().at(-1)).toMatchObject({ count: 5, message: '(combined from similar events): attempt 14' });
  });

  it('of an object that has had 25 is dropped; then one more is allowed every five minutes', async () => {
    const { recorder, requests, clock, counted } = setUp();
    for (let i = 0; i < 100; i++) {
      recorder.event(object(), 'Normal', `Reason${i}`, 'x');
      await settle(1);
    }
    recorder.event(object('other'), 'Normal', 'Ready', 'x');
    await settle();
    expect(requests).toHaveLength(26);
    expect(await counted('dropped')).toBe(75);
    await clock.advance(600_000);
    for (let i = 0; i < 10; i++) recorder.event(object(), 'Normal', `More${i}`, 'x');
    await settle();
    expect(requests).toHaveLength(28);
  });

  it('is cut to the 1,024 characters that the API allows', async () => {
    const { recorder, stored } = setUp();
    recorder.event(object(), 'Normal', 'Long', 'x'.repeat(5_000));
    await settle();
    expect(stored()[0]?.message).toHaveLength(1_024);
  });
});

describe('writing an event', () => {
  it('never blocks the caller and never throws', () => {
    const { recorder, failures, holdRequests } = setUp();
    holdRequests();
    failures.push({ error: new Error('anything') });
    expect(recorder.event(object(), 'Normal', 'Ready', 'x')).toBeUndefined();
  });

  it('is retried while the API server is down, and counted as failed after six attempts', async () => {
    const { recorder, stored, failures, clock, requests, counted } = setUp();
    failures.push({ error: connectionReset() }, { error: serverBusy() });
    recorder.event(object(), 'Normal', 'Ready', 'x');
    await clock.advance(60_000);
    expect([requests.length, stored().length, await counted('created')]).toEqual([3, 1, 1]);

    failures.push(...Array.from({ length: 6 }, () => ({ error: serverBusy() })));
    recorder.event(object('other'), 'Normal', 'Ready', 'x');
    await clock.advance(600_000);
    expect([requests.length, stored().length, await counted('failed')]).toEqual([9, 1, 1]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('creates one Event when the response to its creation was lost', async () => {
    const { recorder, stored, failures, clock } = setUp();
    failures.push({ error: connectionReset(), executed: true });
    recorder.event(object(), 'Normal', 'Ready', 'x');
    await clock.advance(10_000);
    expect(stored().map(({ count }) => count)).toEqual([1]);
  });

  it('creates a new Event for a series whose Event has expired', async () => {
    const { recorder, stored, events } = setUp();
    recorder.event(object(), 'Normal', 'Ready', 'x');
    await settle();
    events.clear();
    recorder.event(object(), 'Normal', 'Ready', 'x');
    await settle();
    expect(stored().map(({ count }) => count)).toEqual([2]);
  });

  it.each([
    ['the namespace is being deleted', namespaceTerminating()],
    ['this process does not lead', new LeadershipLostError('not the leader')],
  ])('is given up quietly when %s', async (_, error) => {
    const { recorder, failures, clock, requests, counted } = setUp();
    failures.push({ error });
    recorder.event(object(), 'Normal', 'Ready', 'x');
    await clock.advance(60_000);
    expect([requests.length, await counted('dropped'), await counted('failed')]).toEqual([1, 1, undefined]);
  });

  it('ends with close: waiting events are written, until the deadline', async () => {
    const { recorder, stored, clock, counted, holdRequests } = setUp();
    const respond = holdRequests();
    for (const name of ['a', 'b', 'c']) recorder.event(object(name), 'Normal', 'Ready', 'x');
    let closed = false;
    void recorder.close(2_000).then(() => (closed = true));
    await clock.advance(1_000);
    expect(closed).toBe(false);
    await clock.advance(1_000);
    respond();
    await settle();
    expect([closed, stored().length, await counted('dropped')]).toEqual([true, 1, 2]);
    recorder.event(object(), 'Normal', 'Ready', 'x');
    await settle();
    expect([stored().length, clock.pendingTimers]).toEqual([1, 0]);
  });

  it('is bounded, whatever is recorded: at most 25 requests an object at once, and one an event', async () => {
    const recorded = fc.array(
      fc.record({ name: fc.constantFrom('a', 'b'), reason: fc.constantFrom('R', 'S'), message: fc.string() }),
      {
        maxLength: 200,
      },
    );
    await fc.assert(
      fc.asyncProperty(recorded, async (events) => {
        const { recorder, requests } = setUp();
        for (const { name, reason, message } of events) {
          recorder.event(object(name), 'Normal', reason, message);
          await settle(1);
        }
        expect(requests.length).toBeLessThanOrEqual(Math.min(events.length, 50));
      }),
      { numRuns: 20 },
    );
  });
});
