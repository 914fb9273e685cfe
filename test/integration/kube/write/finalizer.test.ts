import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { addFinalizer, hasFinalizer, removeFinalizer } from '../../../../src/kube/write/finalizer.ts';
import { nameOf } from '../../../../src/kube/types/types.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { FaultProxy } from '../../../support/fault-proxy.ts';
import { configMap, connect } from '../../../support/kube.ts';

const OURS = 'example.com/ours';
const THEIRS = 'example.com/theirs';

let apiServer: ApiServer;
let proxy: FaultProxy;
let ours: ReturnType<typeof connect>;
let users: ReturnType<typeof connect>;

beforeAll(async () => {
  apiServer = await startApiServer();
  proxy = await FaultProxy.start(apiServer);
  ours = connect(apiServer.kubeconfig({ server: proxy.url }));
  users = connect(apiServer.kubeconfig());
}, 90_000);
afterAll(async () => {
  await Promise.all([ours.transport.close(), users.transport.close()]);
  await proxy.stop();
  await apiServer.stop();
});

let objects = 0;
function newObject(...finalizers: string[]): Promise<ConfigMap> {
  const object = configMap('default', `object-${objects++}`);
  return users.client.create(ConfigMap, { ...object, metadata: { ...object.metadata, finalizers } });
}
const live = async (object: ConfigMap) => (await users.client.get(ConfigMap, nameOf(object))).metadata.finalizers;
const remove = (object: ConfigMap) =>
  users.client.delete(ConfigMap, nameOf(object), { uid: object.metadata.uid ?? '' });

describe('a finalizer', () => {
  it('is added once, beside those of others', async () => {
    const object = await newObject(THEIRS);
    const added = await addFinalizer(ours.client, ConfigMap, object, OURS);
    expect(await live(object)).toEqual([THEIRS, OURS]);
    const before = proxy.journal.length;
    expect(added && (await addFinalizer(ours.client, ConfigMap, added, OURS))).toBe(added);
    expect(proxy.journal.length).toBe(before);
  });

  it.each([
    ['added', [THEIRS], [THEIRS, 'example.com/meanwhile', OURS], addFinalizer],
    ['removed', [OURS, THEIRS], [THEIRS, 'example.com/meanwhile'], removeFinalizer],
  ] as const)('is %s without the loss of one that another client adds concurrently', async (_, start, end, change) => {
    const object = await newObject(...start);
    const meanwhile = () => addFinalizer(users.client, ConfigMap, object, 'example.com/meanwhile');
    proxy.inject({ verb: 'patch' }, { kind: 'first', do: meanwhile });
    const changed = await change(ours.client, ConfigMap, object, OURS);
    expect((await live(object))?.toSorted((a, b) => a.localeCompare(b))).toEqual(
      end.toSorted((a, b) => a.localeCompare(b)),
    );
    expect(changed && hasFinalizer(changed, OURS)).toBe(change === addFinalizer);
  });

  it('that was the last one lets the object be deleted when removed', async () => {
    const object = await newObject(OURS);
    await remove(object);
    const terminating = await users.client.get(ConfigMap, nameOf(object));
    expect(terminating.metadata.deletionTimestamp).toBeDefined();
    await removeFinalizer(ours.client, ConfigMap, terminating, OURS);
    await expect(live(object)).rejects.toMatchObject({ code: 404 });
  });

  it('of a deleted object can neither be removed nor added', async () => {
    const object = await newObject();
    await remove(object);
    const stale = { ...object, metadata: { ...object.metadata, finalizers: [OURS] } };
    expect(await removeFinalizer(ours.client, ConfigMap, stale, OURS)).toBeUndefined();
    expect(await addFinalizer(ours.client, ConfigMap, object, OURS)).toBeUndefined();
  });

  it('stays on a new object of the name', async () => {
    const old = await newObject(OURS);
    await remove(old);
    await removeFinalizer(users.client, ConfigMap, old, OURS);
    const fresh = configMap('default', old.metadata.name);
    await users.client.create(ConfigMap, { ...fresh, metadata: { ...fresh.metadata, finalizers: [OURS] } });
    expect(await removeFinalizer(ours.client, ConfigMap, old, OURS)).toBeUndefined();
    expect(await live(old)).toEqual([OURS]);
  });
});
