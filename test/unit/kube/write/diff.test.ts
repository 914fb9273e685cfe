import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { differences } from '../../../../src/kube/write/diff.ts';
import type { KubeObject } from '../../../../src/kube/types/types.ts';

type Manifest = KubeObject & Record<string, unknown>;

function object(kind: string, fields: Record<string, unknown>, metadata: object = {}): Manifest {
  return { apiVersion: 'v1', kind, metadata: { name: 'x', ...metadata }, ...fields };
}
function pod(container: object, spec: object = {}): Manifest {
  return object('Pod', { spec: { ...spec, containers: [{ name: 'main', ...container }] } });
}
const paths = (desired: KubeObject, live: KubeObject): string[] => differences(desired, live).map(({ path }) => path);

describe('what a live object lacks of the desired one', () => {
  it.each<[string, Manifest, Manifest]>([
    [
      'defaults of the server',
      pod({ image: 'a' }),
      pod({ image: 'a', imagePullPolicy: 'Always' }, { dnsPolicy: 'ClusterFirst' }),
    ],
    [
      'items of others in a list by key',
      pod({ env: [{ name: 'A', value: '1' }] }),
      pod({ env: [{ name: 'B' }, { name: 'A', value: '1' }] }),
    ],
    [
      'a quantity in another notation',
      pod({ resources: { limits: { cpu: '1000m', memory: '1Gi' } } }),
      pod({ resources: { limits: { cpu: '1', memory: '1024Mi' } } }),
    ],
    [
      'a key field that has its default',
      pod({ ports: [{ containerPort: 1 }] }),
      pod({ ports: [{ containerPort: 1, protocol: 'TCP' }] }),
    ],
    ['an empty environment value', pod({ env: [{ name: 'A', value: '' }] }), pod({ env: [{ name: 'A' }] })],
    ['an empty list', pod({ args: [] }), pod({})],
    ['an empty map of labels', object('Pod', {}, { labels: {} }), object('Pod', {})],
    ['false where absent means false', pod({ stdin: false }), pod({})],
    ['what is not wanted (null)', pod({ command: null }), pod({})],
    ['a status: it is not for apply', object('Pod', { status: { phase: 'Running' } }), object('Pod', {})],
    ['more labels', object('Pod', {}, { labels: { a: '1' } }), object('Pod', {}, { labels: { a: '1', b: '2' } })],
  ])('is not %s', (_, desired, live) => {
    expect(paths(desired, live)).toEqual([]);
  });

  it.each<[string, string[], Manifest, Manifest]>([
    ['a changed value', ['spec.containers[name=main].image'], pod({ image: 'a' }), pod({ image: 'b' })],
    [
      'an item that was removed',
      ['spec.containers[name=main].env[name=A]'],
      pod({ env: [{ name: 'A', value: '1' }] }),
      pod({ env: [{ name: 'B' }] }),
    ],
    [
      'another quantity',
      ['spec.containers[name=main].resources.limits.cpu'],
      pod({ resources: { limits: { cpu: '1' } } }),
      pod({ resources: { limits: { cpu: '2' } } }),
    ],
    [
      'equal as a quantity where it is text',
      ['metadata.labels.size'],
      object('Pod', {}, { labels: { size: '1000m' } }),
      object('Pod', {}, { labels: { size: '1' } }),
    ],
    [
      'an empty label value that was removed',
      ['metadata.labels'],
      object('Pod', {}, { labels: { a: '' } }),
      object('Pod', {}),
    ],
    [
      'no storage class, where absent means the default one',
      ['spec.storageClassName'],
      object('PersistentVolumeClaim', { spec: { storageClassName: '' } }),
      object('PersistentVolumeClaim', { spec: {} }),
    ],
    [
      'false where absent means true',
      ['spec.automountServiceAccountToken'],
      pod({}, { automountServiceAccountToken: false }),
      pod({}),
    ],
    [
      'zero where absent means one',
      ['spec.replicas'],
      object('Deployment', { spec: { replicas: 0 } }),
      object('Deployment', { spec: {} }),
    ],
    [
      'one volume source instead of another',
      ['spec.volumes[name=v].emptyDir'],
      pod({}, { volumes: [{ name: 'v', emptyDir: {} }] }),
      pod({}, { volumes: [{ name: 'v', hostPath: { path: '/' } }] }),
    ],
    [
      'a longer atomic list',
      ['spec.containers[name=main].command'],
      pod({ command: ['a'] }),
      pod({ command: ['a', 'b'] }),
    ],
    [
      'an atomic list in another order',
      ['spec.containers[name=main].command[0]', 'spec.containers[name=main].command[1]'],
      pod({ command: ['a', 'b'] }),
      pod({ command: ['b', 'a'] }),
    ],
    [
      'an owner that was removed',
      ['metadata.ownerReferences[uid=1]'],
      object('Pod', {}, { ownerReferences: [{ uid: '1' }] }),
      object('Pod', {}, { ownerReferences: [{ uid: '2' }] }),
    ],
    [
      'a finalizer that was removed',
      ['metadata.finalizers[a]'],
      object('Pod', {}, { finalizers: ['a'] }),
      object('Pod', {}, { finalizers: ['b'] }),
    ],
    [
      'UDP instead of TCP',
      ['spec.ports[port=1,protocol=TCP]'],
      object('Service', { spec: { ports: [{ port: 1 }] } }),
      object('Service', { spec: { ports: [{ port: 1, protocol: 'UDP' }] } }),
    ],
    [
      'a rule more in a policy',
      ['spec.ingress'],
      object('NetworkPolicy', { spec: { ingress: [{ from: [] }] } }),
      object('NetworkPolicy', { spec: { ingress: [{ from: [] }, {}] } }),
    ],
    ['another shape', ['spec.containers'], pod({}), object('Pod', { spec: { containers: 'none' } })],
  ])('is %s', (_, expected, desired, live) => {
    expect(paths(desired, live)).toEqual(expected);
  });
});

/** JSON without undefined, as a manifest has it. */
const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<unknown>;
const spec = fc.dictionary(fc.string({ maxLength: 8 }), json, { maxKeys: 5 });

describe('any object', () => {
  it('lacks nothing of itself', () => {
    fc.assert(
      fc.property(spec, (fields) => {
        const manifest = object('ConfigMap', { spec: fields });
        expect(paths(manifest, structuredClone(manifest))).toEqual([]);
      }),
    );
  });

  it('lacks nothing that was added to it', () => {
    fc.assert(
      fc.property(spec, spec, (fields, added) => {
        const live = object('ConfigMap', { spec: { ...added, ...fields }, more: added });
        expect(paths(object('ConfigMap', { spec: fields }), live)).toEqual([]);
      }),
    );
  });

  it('reports the path of a value that was changed', () => {
    fc.assert(
      fc.property(spec, fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (fields, before, after) => {
        fc.pre(before !== after);
        const desired = object('ConfigMap', { spec: { ...fields, key: before } });
        const live = object('ConfigMap', { spec: { ...fields, key: after } });
        expect(paths(desired, live)).toEqual(['spec.key']);
      }),
    );
  });
});
