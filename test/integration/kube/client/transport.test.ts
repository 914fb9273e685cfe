import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConfigMap, Namespace } from '../../../../src/kube/types/builtins.ts';
import {
  isAlreadyExists,
  isConflict,
  isNotFound,
  StatusError,
  TransportError,
} from '../../../../src/kube/types/errors.ts';
import type { RequestRecord } from '../../../../src/kube/client/transport.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { FaultProxy } from '../../../support/fault-proxy.ts';
import { configMap, connect } from '../../../support/kube.ts';
import { waitFor } from '../../../support/wait.ts';

let apiServer: ApiServer;

beforeAll(async () => {
  apiServer = await startApiServer();
}, 90_000);
afterAll(() => apiServer.stop());

/** A proxy and a client through it, for one test. */
async function broken(options: Parameters<typeof connect>[1] = {}) {
  const proxy = await FaultProxy.start(apiServer);
  const connection = connect(apiServer.kubeconfig({ server: proxy.url }), { random: () => 0, ...options });
  return {
    proxy,
    ...connection,
    [Symbol.asyncDispose]: async () => {
      await connection.transport.close();
      await proxy.stop();
    },
  };
}

const configMaps = { resource: 'configmaps' };

describe('connections', () => {
  it('are shared: 200 requests, ten at a time, open ten; a watch has one of its own', async () => {
    await using b = await broken({ connections: 10 });
    const watch = b.client.watch(ConfigMap, { namespace: 'default', timeoutSeconds: 60 })[Symbol.asyncIterator]();
    const event = watch.next();
    const queue = Array.from({ length: 200 }, (_, i) => i);
    const workers = Array.from({ length: 10 }, async () => {
      while (queue.pop() !== undefined) await b.client.get(Namespace, { namespace: '', name: 'default' });
    });
    await Promise.all(workers);
    expect(b.proxy.requests({ resource: 'namespaces' })).toHaveLength(200);
    expect(b.proxy.connectionsOpened).toBe(11);
    await b.client.create(ConfigMap, configMap('default', 'wakes-the-watch'));
    await event;
    await watch.return?.();
  });

  it('are closed with the transport', async () => {
    const b = await broken();
    await b.client.list(Namespace);
    await b.transport.close();
    await waitFor('no connection is left', () => b.proxy.openConnections === 0);
    await expect(b.client.list(Namespace)).rejects.toThrow('GET /api/v1/namespaces: the transport is closed');
    await b.proxy.stop();
  });
});

describe('errors', () => {
  it('of the API server carry its code, reason and details, and name the request', async () => {
    await using b = await broken();
    const error: unknown = await b.client
      .get(ConfigMap, { namespace: 'default', name: 'absent' })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StatusError);
    expect(error).toMatchObject({ code: 404, reason: 'NotFound', details: { kind: 'configmaps', name: 'absent' } });
    expect(String(error)).toBe(
      'StatusError: GET /api/v1/namespaces/default/configmaps/absent: configmaps "absent" not found (404 NotFound)',
    );
    expect(isNotFound(error)).toBe(true);
  });

  it('distinguish an existing name from a failed precondition, both 409', async () => {
    await using b = await broken();
    const created = await b.client.create(ConfigMap, configMap('default', 'existing'));
    const again: unknown = await b.client.create(ConfigMap, configMap('default', 'existing')).catch((e: unknown) => e);
    expect([isAlreadyExists(again), isConflict(again)]).toEqual([true, false]);
    const ref = { namespace: 'default', name: 'existing' };
    const other: unknown = await b.client.delete(ConfigMap, ref, { uid: 'of-another-object' }).catch((e: unknown) => e);
    expect([isAlreadyExists(other), isConflict(other)]).toEqual([false, true]);
    await b.client.delete(ConfigMap, ref, { uid: created.metadata.uid ?? '' });
    await expect(b.client.get(ConfigMap, ref)).rejects.toThrow('not found');
  });

  it('of a proxy in between quote its response', async () => {
    await using b = await broken();
    b.proxy.inject(configMaps, { kind: 'respond', status: 502, message: 'bad gateway' });
    await expect(b.client.list(ConfigMap)).rejects.toThrow('GET /api/v1/configmaps: bad gateway (502)');
  });

  it('of a refused connection are marked as not sent', async () => {
    const b = await broken();
    await b.proxy.stop();
    const error: unknown = await b.client.create(ConfigMap, configMap('default', 'x')).catch((e: unknown) => e);
    expect(error).toMatchObject({ failure: 'network', notSent: true });
    expect(String(error)).toContain('ECONNREFUSED');
    await b.transport.close();
  });

  it('of a deadline are thrown after it, without a retry', async () => {
    const clock = new FakeClock();
    await using b = await broken({ clock });
    b.proxy.inject(configMaps, { kind: 'silence' });
    const response = b.client.list(ConfigMap, { deadlineMs: 5000 }).catch((e: unknown) => e);
    await waitFor('the request has arrived', () => b.proxy.requests(configMaps).length === 1);
    await clock.advance(5000);
    expect(String(await response)).toBe('TransportError: GET /api/v1/configmaps: no response within 5000 ms');
    expect(b.proxy.requests(configMaps)).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('of a caller that cancels are thrown at once, and free the connection', async () => {
    await using b = await broken();
    b.proxy.inject(configMaps, { kind: 'silence' });
    const caller = new AbortController();
    const response = b.client.list(ConfigMap, { signal: caller.signal }).catch((e: unknown) => e);
    await waitFor('the request has arrived', () => b.proxy.requests(configMaps).length === 1);
    caller.abort();
    expect(await response).toMatchObject({ failure: 'aborted' });
    await waitFor('the connection is closed', () => b.proxy.openConnections === 0);
  });
});

describe('retries', () => {
  it('wait for the Retry-After of a 429, also for writes, which were not executed', async () => {
    const clock = new FakeClock();
    await using b = await broken({ clock });
    b.proxy.inject(configMaps, { kind: 'respond', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 3 });
    const created = b.client.create(ConfigMap, configMap('default', 'throttled'));
    await waitFor('the response has arrived', () => clock.nextTimerIn === 3000);
    await clock.advance(2999);
    expect(b.proxy.requests(configMaps)).toHaveLength(1);
    await clock.advance(1);
    expect((await created).metadata.name).toBe('throttled');
    expect(b.proxy.requests(configMaps)).toHaveLength(2);
  });

  it('leave a long Retry-After to the caller', async () => {
    await using b = await broken();
    b.proxy.inject(configMaps, { kind: 'respond', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 30 });
    await expect(b.client.list(ConfigMap)).rejects.toMatchObject({ code: 429, retryAfterMs: 30_000 });
    expect(b.proxy.requests(configMaps)).toHaveLength(1);
  });

  it('end: a server that always answers 429 gets five requests', async () => {
    await using b = await broken();
    const later = { kind: 'respond', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 0 } as const;
    b.proxy.inject(configMaps, later, { times: 100 });
    await expect(b.client.list(ConfigMap)).rejects.toMatchObject({ code: 429 });
    expect(b.proxy.requests(configMaps)).toHaveLength(5);
  });

  it.each([
    ['a read', 2, true],
    ['an apply', 2, true],
    ['a create', 1, false],
  ] as const)('of %s after a 503 with Retry-After: %d requests', async (what, requests, succeeds) => {
    await using b = await broken();
    b.proxy.inject(configMaps, { kind: 'respond', status: 503, reason: 'ServiceUnavailable', retryAfterSeconds: 0 });
    const object = configMap('default', `busy-${requests}`);
    const call = {
      'a read': () => b.client.list(ConfigMap),
      'an apply': () => b.client.apply(ConfigMap, object, { fieldManager: 'test' }),
      'a create': () => b.client.create(ConfigMap, object),
    }[what];
    const outcome = await call().then(
      () => true,
      () => false,
    );
    expect(outcome).toBe(succeeds);
    expect(b.proxy.requests(configMaps)).toHaveLength(requests);
  });

  it('send an apply again whose response was lost, and there is one object', async () => {
    await using b = await broken();
    b.proxy.inject({ verb: 'patch' }, { kind: 'loseResponse' });
    const object = configMap('default', 'lost-apply', { a: '1' });
    const applied = await b.client.apply<ConfigMap>(ConfigMap, object, { fieldManager: 'test' });
    expect(b.proxy.requests({ verb: 'patch' })).toHaveLength(2);
    const live = await b.client.get(ConfigMap, { namespace: 'default', name: 'lost-apply' });
    expect(live.metadata.resourceVersion).toBe(applied.metadata.resourceVersion);
  });

  it('never send a create again whose response was lost: the caller gets the error', async () => {
    await using b = await broken();
    b.proxy.inject({ verb: 'create' }, { kind: 'loseResponse' });
    const error: unknown = await b.client
      .create(ConfigMap, configMap('default', 'lost-create'))
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ failure: 'network', notSent: false });
    expect(b.proxy.requests({ verb: 'create' })).toHaveLength(1);
    const live = await b.client.get(ConfigMap, { namespace: 'default', name: 'lost-create' });
    expect(live.metadata.uid).toBeTruthy();
  });

  it('send a read again whose connection was reset', async () => {
    await using b = await broken();
    b.proxy.inject(configMaps, { kind: 'reset' }, { times: 2 });
    await b.client.list(ConfigMap);
    expect(b.proxy.requests(configMaps)).toHaveLength(3);
  });

  it('call the write gate before each attempt, and a closed gate stops the second one', async () => {
    const clock = new FakeClock();
    let leader = true;
    const writeGate = (): void => {
      if (!leader) throw new Error('not the leader');
    };
    await using b = await broken({ clock, writeGate });
    b.proxy.inject(configMaps, { kind: 'respond', status: 429, reason: 'TooManyRequests', retryAfterSeconds: 1 });
    const created = b.client.create(ConfigMap, configMap('default', 'gated')).catch((e: unknown) => e);
    await waitFor('the response has arrived', () => clock.nextTimerIn === 1000);
    leader = false;
    await clock.advance(1000);
    expect(String(await created)).toBe('Error: not the leader');
    await b.client.list(ConfigMap); // reading stays free
    expect(b.proxy.requests({ verb: 'create' })).toHaveLength(1);
  });
});

describe('a write that waits for a connection', () => {
  it('calls the write gate again when it has one, and is not sent if the lease is lost by then', async () => {
    let leader = true;
    const writeGate = (): void => {
      if (!leader) throw new Error('not the leader');
    };
    await using b = await broken({ writeGate, connections: 1 });
    const held = Promise.withResolvers<void>();
    b.proxy.inject({ resource: 'namespaces' }, { kind: 'first', do: () => held.promise });
    const reading = b.client.list(Namespace);
    await waitFor('the only connection is in use', () => b.proxy.requests({ resource: 'namespaces' }).length === 1);
    const created = b.client.create(ConfigMap, configMap('default', 'late')).catch((e: unknown) => e);
    await settle();
    leader = false;
    held.resolve();
    await reading;
    expect(String(await created)).toBe('Error: not the leader');
    await b.client.list(ConfigMap);
    expect(b.proxy.requests({ verb: 'create' })).toEqual([]);
    expect(b.proxy.connectionsOpened).toBe(1);
  });
});

describe('a get', () => {
  it('has the managed fields of the object, unless it is read without', async () => {
    await using b = await broken();
    const ref = { namespace: 'default', name: 'with-managed-fields' };
    const object = { ...configMap(ref.namespace, ref.name), data: { word: 'x' } };
    await b.client.create(ConfigMap, object, { fieldManager: 'test' });
    const whole = await b.client.get(ConfigMap, ref);
    expect(whole.metadata.managedFields).toMatchObject([{ manager: 'test' }]);
    const { managedFields: _, ...metadata } = whole.metadata;
    expect(await b.client.get(ConfigMap, ref, { managedFields: false })).toEqual({ ...whole, metadata });
  });
});

describe('lists', () => {
  it('are read in pages of 500, and without pages after one has expired', async () => {
    await using b = await broken();
    const names = Array.from({ length: 1001 }, (_, i) => `page-${i}`);
    const namespace = 'pages';
    await b.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const todo = [...names];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let name = todo.pop(); name; name = todo.pop())
          await b.client.create(ConfigMap, configMap(namespace, name));
      }),
    );
    const all = await b.client.listAll(ConfigMap, { namespace });
    expect(new Set(all.items.map((item) => item.metadata.name))).toEqual(new Set(names));
    expect(all.items[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(b.proxy.requests({ verb: 'list', namespace })).toHaveLength(3);

    const expired = (request: { query: URLSearchParams }): boolean => request.query.has('continue');
    b.proxy.inject(expired, { kind: 'respond', status: 410, reason: 'Expired' }, { nth: 2 });
    const again = await b.client.listAll(ConfigMap, { namespace });
    expect(again.items).toHaveLength(1001);
    expect(b.proxy.requests({ verb: 'list', namespace }).at(-1)?.query.has('limit')).toBe(false);
  });
});

describe('the observer', () => {
  it('gets every attempt with its code, and <error> if there was none', async () => {
    const records: RequestRecord[] = [];
    const retries: string[] = [];
    await using b = await broken({
      observer: {
        request: (record) => records.push(record),
        retry: ({ decision }) => retries.push(decision.reason),
      },
    });
    b.proxy.inject(configMaps, { kind: 'reset' });
    b.proxy.inject(configMaps, { kind: 'respond', status: 429, retryAfterSeconds: 0 });
    await b.client.list(ConfigMap, { namespace: 'default' });
    const { host } = new URL(b.proxy.url);
    const path = '/api/v1/namespaces/default/configmaps';
    expect(records).toEqual(
      ['<error>', '429', '200'].map((code) => ({
        method: 'GET',
        path,
        host,
        code,
        durationMs: expect.any(Number),
        stream: false,
      })),
    );
    expect(retries).toEqual(['ConnectionLost', 'Throttled']);
  });
});
