// Two replicas of the operator, and what becomes of the leader. The API server's audit log knows which pod wrote.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { PodDisruptionBudget, type Pod } from '../../../src/kube/types/builtins.ts';
import { auditMark, isWrite, type AuditMark, type AuditRecord } from '../../support/audit.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { containerPid } from '../../support/node-process.ts';
import { Release } from '../../support/release.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

/** The operator's lease, in ms: how long it lasts, and after what time without renewal its holder writes no more. */
const LEASE = { duration: 15_000, renewDeadline: 10_000 };
/** From a leader's last sign of life to the repair by the next: the lease, two tries to take it, and a busy machine. */
const TAKEOVER_MS = LEASE.duration + 2 * 4_400 + 6_000;

let namespace: TestNamespace;
let release: Release;
let servers: unknown;
/** Before the first request of a replica, and at the beginning of each test. */
let installed: AuditMark;
let mark: AuditMark;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  installed = auditMark();
  release = await Release.install(namespace);
  await namespace.createTenant('acme', { server: { binary: 'runtime' } });
  await namespace.waitForReady('acme');
  servers = await runningServers();
});
afterAll(async () => {
  await release.uninstall();
  await namespace.close();
});

/** What no change of the leader may touch. */
async function runningServers() {
  const [pod] = await namespace.pods('acme');
  return { uid: pod?.metadata.uid, restarts: pod?.status?.containerStatuses?.[0]?.restartCount };
}

async function replica(name: string): Promise<Pod> {
  const pod = (await release.pods()).find(({ metadata }) => metadata.name === name);
  if (pod === undefined) throw new Error(`there is no replica ${name}`);
  return pod;
}

const restartsOf = async (name: string) => (await replica(name)).status?.containerStatuses?.[0]?.restartCount ?? 0;

/** Deletes a child, so that the leader has something to write. */
const drift = () => namespace.kubectl.ok(['delete', 'pdb', 'acme-servers', '-n', namespace.name]);
const repaired = (withinMs: number) =>
  waitFor('the PodDisruptionBudget is there again', () => namespace.get(PodDisruptionBudget, 'acme-servers'), {
    withinMs,
    everyMs: 50,
  });

const isLeaseWrite = (record: AuditRecord) => isWrite(record) && record.resource === 'leases' && record.code < 300;
const isOtherWrite = (record: AuditRecord) => isWrite(record) && record.resource !== 'leases';

/**
 * Writes by a pod that was not the last one to write the lease, or had not done so for the renew deadline. The API
 * server stamps requests as they arrive; `slack` is what lies between the operator's reading of the clock and that, in ms.
 */
function trespasses(slack = 1_000): string[] {
  const found: string[] = [];
  let holder: AuditRecord | undefined;
  for (const request of release.requestsSince(installed).toSorted((a, b) => a.at - b.at)) {
    if (isLeaseWrite(request)) holder = request;
    if (!isOtherWrite(request)) continue;
    const isHolders = request.pod === holder?.pod;
    const isInTime = request.at - (holder?.at ?? 0) < LEASE.renewDeadline + slack;
    if (!isHolders || !isInTime) found.push(`${request.pod} ${request.verb} ${request.resource} ${request.name}`);
  }
  return found;
}

const writersOf = (requests: readonly AuditRecord[]) => [
  ...new Set(requests.filter(isOtherWrite).map(({ pod }) => pod)),
];

beforeEach(async () => {
  await waitFor('both replicas are ready', async () => (await readyReplicas()) === 2, {
    withinMs: READY_MS,
    everyMs: 200,
  });
  mark = auditMark();
  // The leader that is about to go shows first that it works.
  await drift();
  await repaired(10_000);
});

async function readyReplicas(): Promise<number> {
  const { status } = await namespace.deployment(release.fullname);
  return status?.updatedReplicas === status?.replicas ? (status?.readyReplicas ?? 0) : 0;
}

afterEach(async () => {
  expect(await runningServers()).toEqual(servers);
  expect(conditionOf(await namespace.tenant('acme'), 'Ready').status).toBe('True');
});

describe('when the leader', () => {
  it('is stopped gracefully, the other replica takes over at once', async () => {
    const leader = await release.leader();
    await namespace.kubectl.ok(['delete', 'pod', leader, '-n', namespace.name, '--wait=false']);
    const successor = await waitFor(
      'another replica leads',
      async () => (await release.leader()) !== leader && release.leader(),
    );
    await drift();
    await repaired(10_000);
    const requests = release.requestsSince(mark);
    expect(trespasses()).toEqual([]);
    expect(writersOf(requests)).toEqual([leader, successor]);
    // It gave the lease back as the last thing it wrote.
    expect(requests.findLast((request) => request.pod === leader && isWrite(request))).toMatchObject({
      resource: 'leases',
    });
  });

  it('is killed, another process takes over when the lease has run out', async () => {
    const [leader, dead] = [await release.leader(), await release.holder()];
    const killedAt = Date.now();
    process.kill(containerPid(await replica(leader)), 'SIGKILL');
    await drift();
    await repaired(TAKEOVER_MS);
    // The other replica or the same pod with a new process: whichever saw the last renewal first.
    expect(await release.holder()).not.toBe(dead);
    const [first] = release.requestsSince(mark).filter((request) => request.at > killedAt && isWrite(request));
    expect(first).toMatchObject({ resource: 'leases' });
    expect(trespasses()).toEqual([]);
  });

  it('is paused for longer than its lease, it writes nothing when it resumes', async () => {
    const leader = await release.leader();
    const [pid, restarts] = [containerPid(await replica(leader)), await restartsOf(leader)];
    process.kill(pid, 'SIGSTOP');
    const stoppedAt = Date.now();
    try {
      await drift();
      await repaired(TAKEOVER_MS);
      // What the leader of old saw last was a child that is missing; now again there is something to repair.
      await waitFor('20 s have passed', () => Date.now() - stoppedAt > 20_000, { withinMs: 21_000, everyMs: 100 });
      await drift();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const wokenAt = Date.now();
    await repaired(10_000);
    // The process that lost the lease exits, and is restarted as a standby.
    await waitFor('it was started again', async () => (await restartsOf(leader)) > restarts, {
      withinMs: READY_MS,
      everyMs: 200,
    });
    const lastWords = await namespace.kubectl.ok(['logs', leader, '-n', namespace.name, '--previous', '--tail=20']);
    expect(lastWords).toContain('"msg":"lost the lease"');
    const requests = release.requestsSince(mark);
    expect(trespasses()).toEqual([]);
    expect(
      requests.filter((request) => request.pod === leader && request.at > stoppedAt && isOtherWrite(request)),
    ).toEqual([]);
    expect(requests.some((request) => request.pod === leader && request.at > wokenAt)).toBe(true);
    expect(writersOf(requests)).toEqual([leader, await release.leader()]);
  });
});
