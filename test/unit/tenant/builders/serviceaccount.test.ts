import { describe, expect, it } from '@jest/globals';
import { deployment } from '../../../../src/tenant/builders/deployment.ts';
import { serviceAccount } from '../../../../src/tenant/builders/serviceaccount.ts';
import { sampleTenant } from '../../../support/tenants.ts';

describe('service account of the servers', () => {
  const tenant = sampleTenant();
  const account = serviceAccount(tenant);

  it('gives no pod a token to the API server', () => {
    expect(account.automountServiceAccountToken).toBe(false);
  });

  it('is the one that the pods run as', () => {
    const facts = { image: { image: 'i', isDefault: true }, running: true, credentialsHash: '' };
    expect(deployment(tenant, 0, facts).spec?.template.spec?.serviceAccountName).toBe(account.metadata.name);
  });
});
