import { describe, expect, it } from '@jest/globals';
import { parseCleanupOptions } from '../../../../src/commands/cleanup/options.ts';
import { removalJob, removedBy } from '../../../../src/session/builders/removaljob.ts';
import { slimJob } from '../../../../src/tenant/transforms.ts';
import { restrictedViolations } from '../../../support/pod-security.ts';
import { sampleSession } from '../../../support/sessions.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const session = sampleSession({ sessionId: 'chat_1' });
const tenant = sampleTenant({ replicas: 3 });
const job = removalJob(tenant, 2, { image: 'example.com/operator:1', sessions: [session] });
const pod = job.spec?.template.spec;
const container = pod?.containers[0];
const requests = (args: readonly string[] = []) =>
  args.filter((arg) => arg.startsWith('--delete-session=')).map((arg) => arg.slice('--delete-session='.length));
const of = (count: number, owner?: string) =>
  Array.from({ length: count }, (_, i) =>
    sampleSession({ sessionId: `s-${i}`, ...(owner && { owner }) }, { uid: `uid-${i}` }),
  );

describe('the Job that removes sessions from a volume', () => {
  it('removes these sessions from this volume, and reads its own arguments', () => {
    const { task, targets } = parseCleanupOptions(container?.args?.slice(1) ?? [], {});
    expect(task).toEqual({ sessions: [{ sessionId: 'chat_1' }], maxMs: 120_000 });
    expect(targets).toEqual([{ name: 'acme-2', volume: '/volumes/acme-2' }]);
    expect(pod?.volumes).toEqual([{ name: 'acme-2', persistentVolumeClaim: { claimName: 'acme-2' } }]);
    expect(container?.image).toBe('example.com/operator:1');
  });

  it('removes data of an owner only for the owner of the resource, whatever Kubernetes makes of the name', () => {
    const argsFor = (owner?: string) =>
      requests(removalJob(tenant, 0, { image: 'i', sessions: of(1, owner) }).spec?.template.spec?.containers[0]?.args);
    expect(argsFor('bob')).toEqual(['s-0=bob']);
    expect(argsFor()).toEqual(['s-0']);
    // `$$` stands for `$`, and `$$(HOME)` for `$(HOME)`.
    expect(argsFor('a$b$(HOME)$$')).toEqual(['s-0=a$$b$$(HOME)$$$$']);
  });

  it('takes hundreds, and leaves what does not fit to the next one', () => {
    const many = removalJob(tenant, 0, { image: 'i', sessions: of(1500) });
    expect(removedBy(many)).toHaveLength(1000);
    expect(requests(many.spec?.template.spec?.containers[0]?.args)).toHaveLength(1000);
    const long = removalJob(tenant, 0, { image: 'i', sessions: of(1500, 'u'.repeat(256)) });
    const args = requests(long.spec?.template.spec?.containers[0]?.args);
    expect(args.length).toBe(removedBy(long).length);
    expect(args.length).toBeGreaterThan(900);
    expect(Buffer.byteLength(JSON.stringify(long))).toBeLessThan(400_000);
  });

  it('says in the cache whose sessions it removes, without their ids', () => {
    const slim = slimJob(removalJob(tenant, 0, { image: 'i', sessions: of(3) }));
    expect(removedBy(slim)).toEqual(['uid-0', 'uid-1', 'uid-2']);
    expect(requests(slim.spec?.template.spec?.containers[0]?.args)).toEqual([]);
    expect(removedBy({ ...slim, metadata: { name: 'other' } })).toEqual([]);
  });

  it('has no secret, and runs under Pod Security restricted', () => {
    expect(container?.env).toBeUndefined();
    expect(pod && restrictedViolations(pod)).toEqual([]);
  });

  it('is owned by the tenant, and does not block its foreground deletion', () => {
    expect(job.metadata.ownerReferences).toEqual([
      expect.objectContaining({ kind: 'CopilotTenant', uid: tenant.metadata.uid, blockOwnerDeletion: false }),
    ]);
  });

  it('ends before the deadline of the sessions’ deletion', () => {
    expect(job.spec).toMatchObject({ backoffLimit: 2, activeDeadlineSeconds: 240, ttlSecondsAfterFinished: 600 });
  });

  it('has one name for each volume', () => {
    expect(job.metadata.name).toBe('acme-remove2');
  });

  it('has none of the labels that a server’s Service selects', () => {
    expect(job.spec?.template.metadata?.labels).not.toHaveProperty(['copilot-operator.dev/server']);
    expect(job.spec?.template.metadata?.labels).toMatchObject({ 'app.kubernetes.io/component': 'cleanup' });
  });
});
