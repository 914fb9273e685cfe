import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { decide } from '../../../../src/tenant/plan.ts';
import { emptyWorld, healthyServer, modelSecret, OPERATOR, sampleTenant } from '../../../support/tenants.ts';
import type { World } from '../../../../src/tenant/model.ts';

const FILE = join(import.meta.dirname, 'pod-template.golden.yaml');

const WHAT_TO_DO = `The pod template differs from test/unit/tenant/builders/pod-template.golden.yaml: an upgrade to this \
operator restarts every server, and running turns are lost (docs/adr/0006-upgrade-restarts-no-tenant.md). If that is \
meant, say so in the release notes and renew the file:

  RENEW_GOLDEN=1 npm run -s jest -- test/unit/tenant/builders/pod-template.test.ts
`;

// Planned as in a reconcile: a change of the builder's input restarts servers as much as one of the builder.
function templateOf(spec: CopilotTenantSpecInput, found: Partial<World> = {}): unknown {
  const { servers } = decide({
    world: emptyWorld(sampleTenant(spec), found),
    facts: OPERATOR,
    observed: new Map([[0, healthyServer(0)]]),
    volumes: new Map(),
    wouldWrite: () => true,
    now: 0,
    randomBytes: (size) => Buffer.alloc(size),
  });
  return servers[0]?.deployment?.spec?.template;
}

const templates: Record<string, unknown> = {
  'an empty spec': templateOf({}),
  'every option': templateOf(
    {
      model: { github: { tokenSecretRef: { name: 'model', key: 'token' } } },
      server: {
        image: 'example.com/own-copilot-cli:2',
        binary: 'runtime',
        idleUnload: '1h',
        workspace: { size: '10Gi' },
        resources: { requests: { cpu: 2, memory: '1Gi' }, limits: { memory: '8Gi' } },
        nodeSelector: { pool: 'agents' },
        tolerations: [{ key: 'agents', operator: 'Exists', effect: 'NoSchedule' }],
        runtimeClassName: 'gvisor',
        priorityClassName: 'low',
        imagePullSecrets: [{ name: 'registry' }],
      },
    },
    { modelSecret: modelSecret('token', 'github-token') },
  ),
};

if (process.env['RENEW_GOLDEN'])
  writeFileSync(FILE, stringify(templates, { lineWidth: 0, aliasDuplicateObjects: false }));

describe('an operator upgrade restarts no server', () => {
  const golden = parse(readFileSync(FILE, 'utf8')) as typeof templates;

  it.each(Object.keys(templates))('the pod of a tenant with %s is that of the last release', (name) => {
    try {
      expect(templates[name]).toEqual(golden[name]);
    } catch (error) {
      throw new Error(`${WHAT_TO_DO}\n${String(error)}`, { cause: error });
    }
  });
});
