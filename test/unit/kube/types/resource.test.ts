import { describe, expect, it } from '@jest/globals';
import { Deployment, Namespace, type NetworkPolicy, Pod } from '../../../../src/kube/types/builtins.ts';
import { apiVersionOf, pathOf } from '../../../../src/kube/types/resource.ts';
import { fromKey, keyOf } from '../../../../src/kube/types/types.ts';

describe('paths', () => {
  it.each([
    [pathOf(Pod), '/api/v1/pods'],
    [pathOf(Pod, { namespace: 'a' }), '/api/v1/namespaces/a/pods'],
    [pathOf(Pod, { namespace: 'a', name: 'b' }), '/api/v1/namespaces/a/pods/b'],
    [
      pathOf(Deployment, { namespace: 'a', name: 'b', subresource: 'status' }),
      '/apis/apps/v1/namespaces/a/deployments/b/status',
    ],
    [pathOf(Namespace, { namespace: '', name: 'a' }), '/api/v1/namespaces/a'],
    [pathOf(Namespace, { namespace: 'ignored', name: 'a' }), '/api/v1/namespaces/a'],
    // Roles may be called so: the case stays, and nothing leaves its segment.
    [pathOf(Pod, { namespace: 'a', name: 'system:Admin/../x' }), '/api/v1/namespaces/a/pods/system%3AAdmin%2F..%2Fx'],
  ])('%s', (path, expected) => {
    expect(path).toBe(expected);
  });

  it('of a namespaced object without its namespace are refused: they would mean another object', () => {
    expect(() => pathOf(Pod, { namespace: '', name: 'b' })).toThrow(
      'Pod "b" has no namespace, and the type is namespaced',
    );
  });

  it('apiVersion has no slash in the core group', () => {
    expect([apiVersionOf(Pod), apiVersionOf(Deployment)]).toEqual(['v1', 'apps/v1']);
  });
});

describe('keys', () => {
  it('go both ways, for cluster-scoped objects too', () => {
    for (const name of [
      { namespace: 'a', name: 'b' },
      { namespace: '', name: 'b' },
    ]) {
      expect(fromKey(keyOf(name))).toEqual(name);
    }
  });
});

describe('types of built-in objects', () => {
  it('have the keys and dates of the wire, so that a manifest typed by them is sent as written', () => {
    const policy: NetworkPolicy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'a', namespace: 'b', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
    };
    // @ts-expect-error `_from` is client-node's name for it; sent like this, the rule would allow everything
    const wrong: NetworkPolicy = { ...policy, spec: { podSelector: {}, ingress: [{ _from: [] }] } };
    expect(JSON.stringify(policy)).toContain('"ingress":[{"from":[');
    expect(wrong).toBeDefined();
  });
});
