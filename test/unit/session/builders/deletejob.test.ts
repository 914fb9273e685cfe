import { describe, expect, it } from '@jest/globals';
import { deleteJob, deleteJobName } from '../../../../src/session/builders/deletejob.ts';
import { restrictedViolations } from '../../../support/pod-security.ts';
import { sampleSession } from '../../../support/sessions.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const session = sampleSession({ sessionId: 'chat_1' });
const job = deleteJob(session, sampleTenant({ replicas: 3 }), 2, 'example.com/operator:1');
const pod = job.spec?.template.spec;
const container = pod?.containers[0];

describe('the Job that removes a session from a volume', () => {
  it('removes this session from this volume', () => {
    expect(container?.image).toBe('example.com/operator:1');
    expect(container?.args).toEqual(
      expect.arrayContaining(['cleanup', '--delete-session=chat_1', '--volume=acme-2=/volumes/acme-2']),
    );
    expect(container?.args?.filter((arg) => /^--(server|volume)=/.test(arg))).toHaveLength(1);
    expect(pod?.volumes).toEqual([{ name: 'acme-2', persistentVolumeClaim: { claimName: 'acme-2' } }]);
  });

  it('removes data of an owner only for the owner of the resource', () => {
    const args = (owner?: string) =>
      deleteJob(sampleSession(owner === undefined ? {} : { owner }), sampleTenant(), 0, 'i').spec?.template.spec
        ?.containers[0]?.args;
    expect(args('bob')).toContain('--owner=bob');
    expect(args()?.join()).not.toContain('--owner');
  });

  it('has no secret, and runs under Pod Security restricted', () => {
    expect(container?.env).toBeUndefined();
    expect(pod && restrictedViolations(pod)).toEqual([]);
  });

  it('is owned by the session, and does not block its foreground deletion', () => {
    expect(job.metadata.ownerReferences).toEqual([
      expect.objectContaining({ kind: 'CopilotSession', uid: 'uid-of-alpha', blockOwnerDeletion: false }),
    ]);
  });

  it('ends before the deadline of the session’s deletion', () => {
    expect(job.spec).toMatchObject({ backoffLimit: 2, activeDeadlineSeconds: 240, ttlSecondsAfterFinished: 600 });
  });

  it('has a name for each resource and volume', () => {
    expect(deleteJobName(session, 2)).toBe('session-uid-of-alpha-2');
    expect(job.metadata.name).toBe(deleteJobName(session, 2));
  });

  it('is labelled with the session’s name, or its UID where the name is too long for a label', () => {
    const label = (name: string) =>
      deleteJob(sampleSession({ sessionId: 'x' }, { name }), sampleTenant(), 0, 'i').metadata.labels;
    expect(label('a'.repeat(63))).toMatchObject({ 'copilot-operator.dev/session': 'a'.repeat(63) });
    expect(label('a'.repeat(64))).toMatchObject({ 'copilot-operator.dev/session': 'uid-of-alpha' });
  });

  it('has none of the labels that a server’s Service selects', () => {
    expect(job.spec?.template.metadata?.labels).not.toHaveProperty(['copilot-operator.dev/server']);
    expect(job.spec?.template.metadata?.labels).toMatchObject({ 'app.kubernetes.io/component': 'cleanup' });
  });
});
