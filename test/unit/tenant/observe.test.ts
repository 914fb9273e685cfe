import { describe, expect, it } from '@jest/globals';
import type { ServerStatus } from '../../../src/api/tenant.ts';
import type { Deployment } from '../../../src/kube/types/builtins.ts';
import { observeServer, type ObserveInput } from '../../../src/tenant/observe.ts';
import { hasEnded, pingAddress, servingPod } from '../../../src/tenant/pods.ts';
import { container, healthy, NOW, pod, rolledOutDeployment, unhealthy } from './fixtures.ts';
import { isRolloutComplete } from '../../../src/tenant/deployments.ts';
import type { ServerHealth } from '../../../src/servers/server.ts';
import type { ServerWorld } from '../../../src/tenant/model.ts';

const current: ServerWorld = { index: 0, deployment: rolledOutDeployment(), pods: [pod()] };
const unknown = { state: 'Unknown' } as const;
const cannotWrite: ServerHealth = { state: 'Healthy', version: '1.0.102', since: NOW, writeError: 'EACCES' };
const starting = pod({ conditions: [{ type: 'Ready', status: 'False' }] });
const pulling = pod({
  phase: 'Pending',
  conditions: [],
  containerStatuses: [container({ ready: false, state: { waiting: { reason: 'ContainerCreating' } } })],
});
const unpullable = pod({
  phase: 'Pending',
  conditions: [],
  containerStatuses: [container({ ready: false, state: { waiting: { reason: 'ErrImagePull' } } })],
});
const leaving = pod({}, { name: 'leaving', deletionTimestamp: '2026-01-02T03:00:00Z' });
const ended = pod({ phase: 'Failed' }, { name: 'ended', creationTimestamp: '2026-01-02T03:30:00Z' });
const newer = pod({}, { name: 'newer', creationTimestamp: '2026-01-02T03:10:00Z' });

function withStatus(status: Deployment['status'], failure?: string): Deployment {
  const conditions = [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: failure }];
  return {
    ...rolledOutDeployment(),
    status: { ...status, ...(failure !== undefined && { conditions }) },
  } as Deployment;
}
const outdated = withStatus({ observedGeneration: 0, replicas: 1, updatedReplicas: 1 });
const refused = withStatus(
  { observedGeneration: 1 },
  'pods "acme-0-x" is forbidden: exceeded quota: small, requested: pods=1',
);

const observe = (other: Partial<ObserveInput> = {}) =>
  observeServer({ tenant: 'acme', server: current, running: true, health: healthy(), now: NOW, ...other });
const remembered = (state: ServerStatus['state']): ServerStatus => ({
  name: 'acme-0',
  state,
  version: '1.0.99',
  restarts: 0,
});

describe('the observed state of a server', () => {
  it.each<[string, Partial<ObserveInput>, string, boolean]>([
    ['responds: Healthy', {}, 'Healthy', true],
    ['should not run: Stopped', { running: false }, 'Stopped', false],
    ['has no pod yet: Pending', { server: { ...current, pods: [] } }, 'Pending', false],
    ['waits for its volume and image: Pending', { server: { ...current, pods: [pulling] } }, 'Pending', false],
    ['has an image that cannot be pulled: Failed', { server: { ...current, pods: [unpullable] } }, 'Failed', false],
    ['has a pod that was refused: Failed', { server: { index: 0, deployment: refused, pods: [] } }, 'Failed', false],
    ['was not pinged yet: Starting', { health: unknown }, 'Starting', false],
    [
      'answers before its port counts as open: Starting',
      { server: { ...current, pods: [starting] } },
      'Starting',
      false,
    ],
    [
      'responds with its previous template: Starting',
      { server: { ...current, deployment: outdated } },
      'Starting',
      false,
    ],
    ['does not respond: Unhealthy', { health: unhealthy() }, 'Unhealthy', false],
    ['cannot write to its volume: Failed', { health: cannotWrite }, 'Failed', false],
    ['has only a terminating pod: Pending', { server: { ...current, pods: [leaving] } }, 'Pending', false],
  ])('of one that %s', (_, other, state, ready) => {
    expect(observe(other)).toMatchObject({ name: 'acme-0', state, ready });
  });

  it('has the version that the server reports', () => {
    expect(observe({ health: healthy('1.0.103') }).version).toBe('1.0.103');
    expect(observe({ health: unhealthy() }).version).toBeUndefined();
  });

  it('has the refusal that the Deployment controller received, while there is no pod', () => {
    const { cause } = observe({ server: { index: 0, deployment: refused, pods: [] } });
    expect(cause?.reason).toBe('QuotaExceeded');
    expect(cause?.message).toContain('Pod of server acme-0 exceeds the ResourceQuota small');
  });

  it('has no cause if the server should not run', () => {
    expect(observe({ running: false, server: { ...current, pods: [unpullable] } }).cause).toBeUndefined();
  });

  it('is reported with its lost node, also while its successor waits and after it was suspended', () => {
    const stuck = { ...leaving, spec: { containers: [], nodeName: 'node-1' } };
    const server = { ...current, pods: [stuck, pulling] };
    expect(observe({ server, now: NOW }).cause?.reason).toBe('NodeLost');
    expect(observe({ server, now: NOW, running: false })).toMatchObject({
      state: 'Stopped',
      cause: { reason: 'NodeLost' },
    });
    expect(observe({ server: { ...current, pods: [stuck, pod()] } }).cause).toBeUndefined();
  });

  it('has the pods that are stopping, but not those that have ended', () => {
    const { stopping } = observe({ server: { ...current, pods: [leaving, pod(), ended] } });
    expect(stopping.map(({ metadata }) => metadata.name)).toEqual(['leaving']);
  });

  it('has every pod as stopping once the server should not run, even if it is not terminating yet', () => {
    const { stopping } = observe({ running: false, server: { ...current, pods: [pod(), ended] } });
    expect(stopping).toEqual([pod()]);
  });
});

describe('a server that runs when the operator starts', () => {
  it.each([
    ['Healthy', true],
    ['Unhealthy', false],
  ] as const)('is %s as it was, with its version, until the first ping', (state, ready) => {
    const found = observe({ health: unknown, remembered: remembered(state) });
    expect(found).toMatchObject({ state, ready, version: '1.0.99', remembered: true });
  });

  it.each([
    ['its pod is not ready', { server: { ...current, pods: [starting] } }],
    ['it was only starting', { remembered: remembered('Starting') }],
  ])('is Starting when %s, because nothing is known of it', (_, other) => {
    const found = observe({ health: unknown, remembered: remembered('Healthy'), ...other });
    expect(found).toMatchObject({ state: 'Starting', ready: false, remembered: false });
  });
});

describe('the serving pod', () => {
  it.each([
    ['is the only one', [pod()], 'acme-0-5d8f7-x2v9k'],
    ['is the newest', [newer, pod()], 'newer'],
    ['is never a terminating one', [leaving, pod()], 'acme-0-5d8f7-x2v9k'],
    ['is preferably one that has not ended, however old', [ended, pod()], 'acme-0-5d8f7-x2v9k'],
    ['is one that has ended when there is no other, because its status has the cause', [ended], 'ended'],
    ['is none', [leaving], undefined],
  ])('%s', (_, pods, expected) => {
    expect(servingPod({ pods })?.metadata.name).toBe(expected);
  });

  it.each([
    ['Running', false],
    ['Pending', false],
    ['Unknown', false],
    ['Failed', true],
    ['Succeeded', true],
  ])('in the phase %s has ended: %s', (phase, expected) => {
    expect(hasEnded(pod({ phase }))).toBe(expected);
  });

  it.each([
    ['at its address once its port has opened', pod(), '10.0.0.1'],
    ['nowhere while it starts', pod({ containerStatuses: [container({ started: false })] }), undefined],
    [
      'nowhere while only an injected container runs',
      pod({ containerStatuses: [container({ name: 'a-proxy' }), container({ started: false })] }),
      undefined,
    ],
    ['nowhere while it has no container', pod({ containerStatuses: [] }), undefined],
    ['nowhere without a pod', undefined, undefined],
  ])('is pinged %s', (_, target, expected) => {
    expect(pingAddress(target)).toBe(expected);
  });
});

describe('a Deployment', () => {
  it.each([
    ['is current when its only pod has the latest template', rolledOutDeployment(), true],
    ['is current without a pod when it has zero replicas', rolledOutDeployment({ running: false }), true],
    ['is not current before its controller has observed the change', outdated, false],
    ['is not current while the new pod is missing', withStatus({ observedGeneration: 1, replicas: 0 }), false],
    [
      'is not current while the old pod stands',
      withStatus({ observedGeneration: 1, replicas: 2, updatedReplicas: 1 }),
      false,
    ],
    [
      'is not current before it has a status',
      { ...rolledOutDeployment(), status: undefined } as unknown as Deployment,
      false,
    ],
    ['is not current when there is none', undefined, false],
  ])('%s', (_, deployment, expected) => {
    expect(isRolloutComplete(deployment)).toBe(expected);
  });
});
