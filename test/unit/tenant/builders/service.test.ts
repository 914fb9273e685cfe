import { describe, expect, it } from '@jest/globals';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { service } from '../../../../src/tenant/builders/service.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const tenant = sampleTenant({ replicas: 2 });
const templateOf = (index: number) =>
  deployment(tenant, index, { image: { image: 'i', isDefault: true }, running: true, credentialsHash: '' }).spec
    ?.template;

describe('service of a server', () => {
  it('selects the pod of its server', () => {
    expect(templateOf(1)?.metadata?.labels).toMatchObject(service(tenant, 1).spec?.selector ?? { none: '' });
  });

  it('does not select the pod of another server: a session stays on its server', () => {
    expect(templateOf(0)?.metadata?.labels).not.toMatchObject(service(tenant, 1).spec?.selector ?? {});
  });

  it('leads from port 4321 to the port of the server', () => {
    const [port] = service(tenant, 0).spec?.ports ?? [];
    expect(port).toMatchObject({ port: 4321, protocol: 'TCP' });
    expect(templateOf(0)?.spec?.containers[0]?.ports).toEqual([
      { name: port?.targetPort, containerPort: 4321, protocol: 'TCP' },
    ]);
  });

  it('is not reachable from outside the cluster', () => {
    expect(service(tenant, 0).spec?.type).toBe('ClusterIP');
  });
});
