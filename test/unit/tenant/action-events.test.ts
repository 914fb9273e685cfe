import { describe, expect, it } from '@jest/globals';
import { actionEvents } from '../../../src/tenant/action-events.ts';
import { untouched, type Outcome } from '../../../src/tenant/apply.ts';
import type { Plan } from '../../../src/tenant/plan.ts';
import { emptyWorld, healthyServer, sampleTenant, serverPod } from '../../support/tenants.ts';
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
});
