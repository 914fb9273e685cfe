import { describe, expect, it } from '@jest/globals';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { StatusError } from '../../../../src/kube/types/errors.ts';
import { RecentWrites } from '../../../../src/kube/write/recent-writes.ts';
import { defineResource } from '../../../../src/kube/types/resource.ts';
import { writeStatus } from '../../../../src/kube/write/status.ts';
import type { KubeObject } from '../../../../src/kube/types/types.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

interface Thing extends KubeObject {
  status?: { n: number };
}
const Thing = defineResource<Thing>({ group: '', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true });

const thing = (resourceVersion: string, n: number): Thing => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name: 'a', namespace: 'b', uid: 'u', resourceVersion },
  status: { n },
});
const refused = (code: number, reason: string) =>
  new StatusError({ method: 'PUT', path: '/things/a' }, { code, reason });

/** Writes status `n` over the object as read at version 1; the API server responds like this. */
async function write(n: number, respond: () => Promise<Thing>) {
  const recent = new RecentWrites(new FakeClock());
  const sent: Thing[] = [];
  const client = {
    update: (_type: unknown, object: Thing) => {
      sent.push(object);
      return respond();
    },
    get: () => Promise.resolve(thing('5', 50)),
  } as unknown as KubeClient;
  const options = { client, recent, fieldManager: 'test' };
  const read = thing('1', 1);
  const outcome = await writeStatus(options, Thing, read, { n }, new AbortController().signal);
  return { outcome, sent, known: recent.newest(Thing, read, read).object?.status?.n };
}

describe('a status', () => {
  it('that is unchanged is not sent', async () => {
    const { outcome, sent } = await write(1, () => Promise.reject(new Error('it was sent')));
    expect({ outcome, sent }).toEqual({ outcome: 'unchanged', sent: [] });
  });

  it('is sent with the resourceVersion that it was computed from, and known before the cache shows it', async () => {
    const { outcome, sent, known } = await write(2, () => Promise.resolve(thing('2', 2)));
    expect({ outcome, known }).toEqual({ outcome: 'written', known: 2 });
    expect(sent[0]?.metadata.resourceVersion).toBe('1');
  });

  it('of an object that has changed meanwhile is refused: the next reconcile starts from the live object', async () => {
    const { outcome, known } = await write(2, () => Promise.reject(refused(409, 'Conflict')));
    expect({ outcome, known }).toEqual({ outcome: 'conflict', known: 50 });
  });

  it('of a deleted object is no error', async () => {
    const { outcome } = await write(2, () => Promise.reject(refused(404, 'NotFound')));
    expect(outcome).toBe('gone');
  });

  it('that the API server refuses is an error', async () => {
    await expect(write(2, () => Promise.reject(refused(403, 'Forbidden')))).rejects.toMatchObject({ code: 403 });
  });
});
