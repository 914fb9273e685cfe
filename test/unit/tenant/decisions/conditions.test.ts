import { describe, expect, it } from '@jest/globals';
import {
  healthyVerdict,
  readyVerdict,
  reconcilingVerdict,
  stalledVerdict,
  type Findings,
} from '../../../../src/tenant/decisions/conditions.ts';
import { healthyServer, sampleTenant } from '../../../support/tenants.ts';
import { pod, unhealthy } from '../fixtures.ts';

/** The findings of acme when its servers are healthy and nothing is to be done, with overrides. */
function found(other: Partial<Findings> = {}): Findings {
  return {
    tenant: sampleTenant(),
    servers: [healthyServer(0), healthyServer(1)],
    cause: undefined,
    servingCause: other.cause,
    waits: [],
    rolling: false,
    paused: false,
    pendingRollout: undefined,
    restarting: [],
    draining: [],
    healthMessages: new Map(),
    surplus: [],
    resizing: [],
    error: undefined,
    ...other,
  };
}

const deleted = sampleTenant({}, { deletionTimestamp: '2026-01-02T03:00:00Z' });
const suspended = sampleTenant({ suspend: true });
const stopped = healthyServer(0, { state: 'Stopped', ready: false });
const starting = healthyServer(1, { state: 'Starting', ready: false, health: { state: 'Unknown' } });
const silent = (index: number) => healthyServer(index, { state: 'Unhealthy', ready: false, health: unhealthy() });
const cause = { reason: 'QuotaExceeded', message: 'The quota small is full.' } as const;
const going = { reason: 'NamespaceTerminating', message: 'The namespace is being deleted.' } as const;
const wait = { reason: 'WaitingForDeletion', message: 'Service acme-0 is terminating.' } as const;
const healthMessages = new Map([['acme-1', 'it hangs. The next restart is due at noon.']]);

describe('Ready', () => {
  it.each<[string, Partial<Findings>, string, string, string]>([
    ['all servers are ready', {}, 'True', 'ServersReady', '2 of 2 servers are ready.'],
    ['it is being deleted', { tenant: deleted, cause }, 'False', 'Deleting', 'The tenant is being deleted.'],
    ['user action is required', { cause, servers: [starting] }, 'False', 'QuotaExceeded', 'The quota small is full.'],
    [
      'only what is beside the servers requires user action',
      { cause, servingCause: undefined },
      'True',
      'ServersReady',
      '2 of 2 servers are ready. Not as specified: The quota small is full.',
    ],
    [
      'a server starts while something beside it requires user action',
      { cause, servingCause: undefined, servers: [starting] },
      'False',
      'ServersStarting',
      'acme-1',
    ],
    [
      'a server has gone with its namespace, where something beside it was refused',
      { cause: going, servingCause: undefined, servers: [starting] },
      'False',
      'NamespaceTerminating',
      'The namespace is being deleted.',
    ],
    ['it is suspended', { tenant: suspended, servers: [stopped] }, 'False', 'Suspended', 'spec.suspend is true'],
    [
      'it is suspended, and servers drain',
      { tenant: suspended, waits: [{ reason: 'Draining', message: 'Server acme-0 drains.' }] },
      'False',
      'Suspended',
      'servers stop when their running turns have ended',
    ],
    ['no server is desired', { servers: [] }, 'False', 'ScaledToZero', 'spec.replicas is 0'],
    [
      'one does not respond',
      { servers: [healthyServer(0), silent(1)], healthMessages },
      'False',
      'ServersUnhealthy',
      'Server acme-1: it hangs. The next restart is due at noon.',
    ],
    [
      'two do not respond',
      { servers: [silent(0), silent(1)] },
      'False',
      'ServersUnhealthy',
      'Server acme-0: no response. Also unhealthy: acme-1.',
    ],
    [
      'one is restarted',
      { servers: [healthyServer(0), starting], restarting: ['acme-1'] },
      'False',
      'ServersUnhealthy',
      'Restarting unresponsive servers: acme-1.',
    ],
    [
      'one starts',
      { servers: [healthyServer(0), starting] },
      'False',
      'ServersStarting',
      'Waiting for 1 of 2 servers to start and respond: acme-1.',
    ],
    [
      'one cannot start yet',
      { servers: [starting], waits: [wait] },
      'False',
      'ServersStarting',
      'Service acme-0 is terminating.',
    ],
    [
      'one is being replaced',
      { servers: [healthyServer(0), starting], rolling: true },
      'False',
      'ServersUpdating',
      'Replacing 1 of 2 servers: acme-1.',
    ],
    [
      'all serve, and wait to be replaced',
      { rolling: true },
      'True',
      'ServersReady',
      'servers are ready. They are about to be replaced, one at a time.',
    ],
    [
      'one drains that still has the token of before, and so refuses the operator',
      { servers: [healthyServer(0), silent(1)], rolling: true, draining: ['acme-1'] },
      'True',
      'ServersReady',
      '2 of 2 servers are ready.',
    ],
    [
      'all serve, and drain before they are replaced',
      { rolling: true, waits: [{ reason: 'Draining', message: 'Server acme-0 drains.' }] },
      'True',
      'ServersReady',
      'about to be replaced',
    ],
  ])('when %s', (_, other, status, reason, message) => {
    const verdict = readyVerdict(found(other));
    expect(verdict).toMatchObject({ status, reason });
    expect(verdict.message).toContain(message);
  });

  it('names five servers and counts the others', () => {
    const servers = Array.from({ length: 9 }, (_, index) => healthyServer(index, { state: 'Starting', ready: false }));
    expect(readyVerdict(found({ servers })).message).toBe(
      'Waiting for 9 of 9 servers to start and respond: acme-0, acme-1, acme-2, acme-3, acme-4, 4 more.',
    );
  });
});

describe('Reconciling', () => {
  it.each<[string, Partial<Findings>, string, string, string]>([
    ['everything matches the spec', {}, 'False', 'UpToDate', 'All resources match the spec.'],
    ['it is being deleted', { tenant: deleted, error: 'x' }, 'True', 'Deleting', "Deleting the tenant's resources."],
    ['a request failed', { error: 'PUT /x: no answer', cause }, 'True', 'RetryingAfterError', 'PUT /x: no answer'],
    ['user action is required', { cause, waits: [wait] }, 'False', 'Blocked', 'see the condition Stalled'],
    ['something is waited for', { waits: [wait] }, 'True', 'WaitingForDeletion', 'Service acme-0 is terminating.'],
    [
      'the tenant is scaled down',
      { surplus: ['acme-4', 'acme-3'] },
      'True',
      'ScalingDown',
      'Scaling down: stopping acme-4, acme-3.',
    ],
    [
      'servers are being suspended',
      { tenant: suspended, servers: [{ ...stopped, stopping: [pod()] }] },
      'True',
      'Suspending',
      'Stopping all servers.',
    ],
    ['it is suspended', { tenant: suspended, servers: [stopped] }, 'False', 'UpToDate', 'All servers are stopped.'],
    [
      'one is restarted',
      { restarting: ['acme-1'], rolling: true },
      'True',
      'ServersRestarting',
      'Restarting unresponsive servers: acme-1.',
    ],
    ['others wait to be replaced', { rolling: true }, 'True', 'ServersUpdating', 'one at a time'],
    [
      'one starts',
      { servers: [starting] },
      'True',
      'ServersStarting',
      'Waiting for 1 of 1 servers to start and respond: acme-1.',
    ],
    ['one does not respond and is not restarted', { servers: [silent(0)] }, 'False', 'UpToDate', ''],
    [
      'a volume is being expanded',
      { resizing: ['acme-0'] },
      'True',
      'VolumeResizing',
      'Expanding the volumes of servers: acme-0.',
    ],
  ])('when %s', (_, other, status, reason, message) => {
    const verdict = reconcilingVerdict(found(other));
    expect(verdict).toMatchObject({ status, reason });
    expect(verdict.message).toContain(message);
  });
});

describe('Stalled', () => {
  it('is True with the cause, and has the message of Ready', () => {
    expect(stalledVerdict(found({ cause }))).toEqual({ status: 'True', ...cause });
    expect(readyVerdict(found({ cause }))).toEqual({ status: 'False', ...cause });
  });

  it('is False while no user action is required', () => {
    expect(stalledVerdict(found({ error: 'x', waits: [wait] }))).toMatchObject({
      status: 'False',
      reason: 'NotStalled',
    });
  });
});

describe('Healthy', () => {
  it.each(['Unreachable', 'AuthFailed', 'Timeout', 'ProtocolError'] as const)(
    'is False with the reason %s',
    (reason) => {
      const servers = [
        healthyServer(0),
        healthyServer(1, { state: 'Unhealthy', ready: false, health: unhealthy(reason) }),
      ];
      expect(healthyVerdict(found({ servers, healthMessages }))).toEqual({
        status: 'False',
        reason,
        message: 'Server acme-1: it hangs. The next restart is due at noon.',
      });
    },
  );

  it.each<[string, Partial<Findings>, string, string, string]>([
    ['all respond to pings', {}, 'True', 'Healthy', '2 of 2 servers respond to pings.'],
    [
      'all respond to pings, and one can do less',
      {
        servers: [
          healthyServer(0),
          healthyServer(1, {
            health: {
              state: 'Healthy',
              version: undefined,
              since: 0,
              lacks: ['sessions.close', 'sessions.list', 'status.get'],
            },
          }),
        ],
      },
      'True',
      'Healthy',
      "2 of 2 servers respond to pings. The version of server acme-1 lacks sessions.close, sessions.list (its sessions can't be listed), status.get (its version is unknown).",
    ],
    [
      'one was not pinged yet',
      { servers: [healthyServer(0), starting] },
      'Unknown',
      'AwaitingPing',
      'Waiting for the first ping response from 1 of 2 servers: acme-1.',
    ],
    [
      'it is suspended',
      { tenant: suspended, servers: [stopped] },
      'Unknown',
      'NoServers',
      'No servers are expected to run: the tenant is suspended or scaled to zero.',
    ],
    [
      'no server is desired',
      { servers: [] },
      'Unknown',
      'NoServers',
      'No servers are expected to run: the tenant is suspended or scaled to zero.',
    ],
  ])('when %s', (_, other, status, reason, message) => {
    expect(healthyVerdict(found(other))).toEqual({ status, reason, message });
  });

  it('has no verdict while a new process only has the last status of servers', () => {
    const servers = [healthyServer(0), healthyServer(1, { remembered: true, health: { state: 'Unknown' } })];
    expect(healthyVerdict(found({ servers }))).toBeUndefined();
  });
});

describe('a paused tenant', () => {
  const paused = { paused: true };

  it('is not Reconciling, whatever is to be done, and says how to continue', () => {
    for (const other of [{}, { rolling: true }, { waits: [wait] }, { cause }, { surplus: ['acme-2'] }]) {
      const verdict = reconcilingVerdict(found({ ...paused, ...other }));
      expect(verdict).toMatchObject({ status: 'False', reason: 'Paused' });
      expect(verdict.message).toContain('kubectl annotate ct/acme copilot-operator.dev/paused-');
    }
    expect(reconcilingVerdict(found({ ...paused, tenant: deleted })).reason).toBe('Deleting');
  });

  it('is Ready as its servers are, and the message says that it is paused', () => {
    expect(readyVerdict(found(paused))).toMatchObject({
      status: 'True',
      message: '2 of 2 servers are ready. The tenant is paused.',
    });
    expect(readyVerdict(found({ ...paused, servers: [silent(0)] }))).toMatchObject({ reason: 'ServersUnhealthy' });
  });
});
