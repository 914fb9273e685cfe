import { describe, expect, it } from '@jest/globals';
import { actionEvents } from '../../../src/tenant/action-events.ts';
import { untouched, type Outcome } from '../../../src/tenant/apply.ts';
import type { CredentialDecision } from '../../../src/tenant/decisions/binding-credential.ts';
import type { Plan } from '../../../src/tenant/plan.ts';
import { SERVER_ENV, emptyWorld, healthyServer, sampleTenant, serverPod } from '../../support/tenants.ts';
import { rolledOutDeployment } from './fixtures.ts';

const server = {
  index: 0,
  name: 'acme-0',
  live: { index: 0, pods: [] },
  observed: healthyServer(0),
  replaces: false,
};
const plan = (change: Partial<Plan> = {}): Plan => ({
  model: { ok: true, reason: 'ClientProvided', message: 'none' },
  clients: { access: 'Direct', injection: SERVER_ENV },
  podSecrets: [],
  servers: [server],
  surplus: [],
  endedPods: [],
  sweeps: [],
  causes: [],
  waits: [],
  rolling: false,
  ...change,
});
const events = (planned: Plan, outcome: Partial<Outcome> = {}) =>
  actionEvents(planned, { ...untouched(emptyWorld(sampleTenant()), planned), ...outcome }).map(
    ({ type, reason, message }) => `${type} ${reason}: ${message}`,
  );

describe('the events of what a reconcile did', () => {
  it('are none if it did nothing', () => {
    expect(events(plan())).toEqual([]);
  });

  it('have what was taken over in one event', () => {
    const [event, ...others] = events(plan(), { adopted: ['Service acme-0', 'Deployment acme-0'] });
    expect(event).toMatch(/^Normal ChildrenAdopted: Took over Service acme-0, Deployment acme-0: /);
    expect(others).toEqual([]);
  });

  it('have the rotation of the token once it is written', () => {
    const rotation = { reason: 'SecretDeleted', message: 'rotated' } as const;
    expect(events(plan({ rotation }), { rotated: true })).toEqual(['Normal TokenRotated: rotated']);
    expect(events(plan({ rotation }))).toEqual([]);
  });

  it('have a server that the roll-out replaces, once its Deployment is written', () => {
    const planned = plan({ rolledOut: [server] });
    expect(events(planned)).toEqual([]);
    const deployment = rolledOutDeployment();
    expect(events(planned, { servers: new Map([[0, { index: 0, pods: [], deployment }]]) })).toEqual([
      'Normal ServerRolledOut: Replacing server acme-0: the operator has a newer pod template or default image.',
    ]);
  });

  it('warn of a volume that the operator has not written, and mention one that was retained', () => {
    const using = (reason: 'Retained' | 'Labelled') => ({ ...server, adoptedVolume: { reason, message: 'used' } });
    expect(events(plan({ servers: [using('Retained'), using('Labelled')] }))).toEqual([
      'Normal VolumeAdopted: used',
      'Warning VolumeAdopted: used',
    ]);
  });

  it('warn of an evicted server, with the field', () => {
    const ended = {
      pod: serverPod(sampleTenant(), 0),
      index: 0,
      reason: 'ServerEvicted',
      message: 'Raise it.',
    } as const;
    expect(events(plan(), { endedPods: [ended] })).toEqual(['Warning ServerEvicted: Raise it.']);
  });

  it('warn of restarts, of failed sweeps, and of what a policy no longer changes', () => {
    const restarted = [{ ...server, restart: { reason: 'Timeout', message: 'no answer' } }];
    expect(events(plan(), { restarted, sweepFailures: ['no sweep'], undone: ['undone'] })).toEqual([
      'Warning PolicyUndone: undone',
      'Warning ServerRestarted: Restarting server acme-0: no answer',
      'Warning SweepFailed: no sweep',
    ]);
  });

  it.each<[string, CredentialDecision['reason'], number, boolean, boolean]>([
    ['was replaced', 'Created', 2, true, true],
    ['was replaced by a user', 'Changed', 2, true, true],
    ['was replaced, but its Secret could not be written', 'Created', 2, false, false],
    ['is that of a new tenant', 'Created', 1, true, false],
    ['was kept while the former one is valid', 'Kept', 2, true, false],
  ])('have a rotation of the credential that %s', (_, reason, count, written, reported) => {
    const valid = Array.from({ length: count }, () => ({ sha256: 'a'.repeat(64), since: '2026-01-02T03:04:05Z' }));
    const credential = { reason, message: 'Read it again.', token: 'team/acme:cpg_x', valid };
    const planned = plan({ clients: { access: 'Gateway', injection: SERVER_ENV, credential } });
    const found = events(planned, { credentials: written ? valid : [] });
    expect(found).toEqual(reported ? ['Normal CredentialRotated: Read it again.'] : []);
  });

  it('say that a deadline has cut turns, once the pod is replaced', () => {
    const drain = { epoch: 1, reason: 'Updating', podUID: 'u', since: 's', deadline: 'd' } as const;
    const live = rolledOutDeployment();
    const replaced = { ...server, live: { index: 0, pods: [], deployment: live }, deployment: live };
    const cut = plan({ servers: [replaced], drains: new Map([[0, { drain, end: 'DeadlinePassed' }]]) });
    const written = new Map([[0, { index: 0, pods: [], deployment: { ...live } }]]);
    expect(events(cut, { servers: written })).toEqual([
      'Warning DrainDeadlinePassed: Server acme-0: the gateway has not said within spec.drain.timeout that all turns have ended. Those that still run are cut.',
    ]);
    expect(events(cut, { servers: new Map([[0, replaced.live]]) })).toEqual([]);
    const drained = plan({ servers: [replaced], drains: new Map([[0, { drain, end: 'Drained' }]]) });
    expect(events(drained, { servers: written })).toEqual([]);
  });

  it('say it of a server that is scaled down once it is deleted, and not for each attempt that is refused', () => {
    const drain = { epoch: 1, reason: 'ScalingDown', podUID: 'u', since: 's', deadline: 'd' } as const;
    const surplus = [{ index: 1, pods: [], deployment: rolledOutDeployment() }];
    const cut = plan({ surplus, drains: new Map([[1, { drain, end: 'DeadlinePassed' }]]) });
    expect(events(cut)).toEqual([]);
    expect(events(cut, { removed: [1] })).toEqual([expect.stringMatching(/^Warning DrainDeadlinePassed: /)]);
  });
});
