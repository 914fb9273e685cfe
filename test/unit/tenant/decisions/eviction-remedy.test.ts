import { describe, expect, it } from '@jest/globals';
import { evictionRemedy } from '../../../../src/tenant/decisions/eviction-remedy.ts';

const limits = 'Raise spec.server.resources.limits.ephemeral-storage.';

// As kubelets of Kubernetes 1.36 write them.
describe('what prevents the next eviction', () => {
  it.each([
    ['Usage of EmptyDir volume "tmp" exceeds the limit "5Gi". ', 'Raise spec.server.tmp.size.'],
    ['Usage of EmptyDir volume "home" exceeds the limit "5Gi". ', 'Raise spec.server.home.size.'],
    ['Usage of EmptyDir volume "copilot-home" exceeds the limit "2Gi". ', 'Raise spec.server.home.size.'],
    ['Usage of EmptyDir volume "workspace" exceeds the limit "10Gi". ', 'Raise spec.server.workspace.size.'],
    ['Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ', limits],
    ['Container server exceeded its local ephemeral storage limit "1Gi". ', limits],
    [
      'The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. Container server was using 2Gi, request is 0',
      'Set spec.server.resources.requests.ephemeral-storage to what the server needs, so that it gets a node with enough of it.',
    ],
    [
      'The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. ',
      'Set spec.server.resources.requests.memory to what the server needs, so that it gets a node with enough of it.',
    ],
    ['The node was low on resource: inodes. ', undefined],
    ['Usage of EmptyDir volume "injected" exceeds the limit "1Mi". ', undefined],
    ['Pod was rejected: Node has no memory', undefined],
    [undefined, undefined],
  ])('%s: %s', (message, remedy) => {
    expect(evictionRemedy(message)).toBe(remedy);
  });
});
