import { describe, expect, it } from '@jest/globals';
import type { Deployment } from '../../../../src/kube/types/builtins.ts';
import { deploymentPaused } from '../../../../src/tenant/decisions/deployment-paused.ts';
import { blocksServing } from '../../../../src/tenant/decisions/serving-impact.ts';
import { rolledOutDeployment } from '../fixtures.ts';

const complete = rolledOutDeployment();
const incomplete = { ...complete, status: { ...complete.status, updatedReplicas: 0 } };
const paused = ({ spec, ...rest }: Deployment) => ({ ...rest, spec: { ...spec, paused: true } }) as Deployment;

describe('a paused Deployment', () => {
  it('is reported while a rollout waits for it', () => {
    const cause = deploymentPaused(paused(incomplete), false);
    expect(cause).toMatchObject({ reason: 'DeploymentPaused' });
    expect(cause && blocksServing(cause)).toBe(true);
    expect(cause?.message).toContain('kubectl rollout resume deploy/acme-0');
  });

  it('does not make the tenant unready while the pod of before serves', () => {
    const cause = deploymentPaused(paused(incomplete), true);
    expect(cause && blocksServing(cause)).toBe(false);
  });

  it.each([
    ['nothing is to be rolled out', paused(complete)],
    ['it is not paused', incomplete],
    ['there is none', undefined],
  ])('is not when %s', (_, deployment) => {
    expect(deploymentPaused(deployment, true)).toBeUndefined();
  });
});
