import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { CURRENT_REVISION } from '../../../../src/tenant/builders/pod-template/revisions.ts';
import { POD_TEMPLATES } from '../../../../src/tenant/builders/pod-template/template.ts';
import { decide } from '../../../../src/tenant/plan.ts';
import {
  CERTIFICATE,
  emptyWorld,
  healthyServer,
  modelSecret,
  OPERATOR,
  sampleTenant,
  UNLIMITED,
} from '../../../support/tenants.ts';
import type { PodInputRead, World } from '../../../../src/tenant/model.ts';

/** The file with the templates of a revision. */
const fileOf = (revision: number): string =>
  join(import.meta.dirname, revision === 1 ? 'pod-template.golden.yaml' : `pod-template.${revision}.golden.yaml`);

/** SHA-256 of the files of released revisions: servers run with them, so they never change. */
const RELEASED: Record<number, string> = {
  1: '624a2cd75743d4eb1cab5adb8d08866de7e763d038b8fe8a3b51a8547d476b94',
};
const REVISIONS = Array.from({ length: CURRENT_REVISION }, (_, index) => index + 1);

const whatToDo = (revision: number): string =>
  revision in RELEASED
    ? `Revision ${revision} of the pod template was released, and running servers have it: an upgrade to this operator would \
restart them, and running turns would be lost (docs/adr/0006-upgrade-restarts-no-tenant.md). Make the change from a later revision on \
(src/tenant/builders/pod-template/revisions.ts).
`
    : `The pod template differs from ${fileOf(revision)}. The roll-out replaces every server for it: say so in the release notes, and \
renew the file:

  RENEW_GOLDEN=1 npm run -s jest -- test/unit/tenant/builders/pod-template.test.ts --selectProjects unit
`;

interface Case {
  readonly spec?: CopilotTenantSpecInput;
  readonly found?: Partial<World>;
}

// Planned as in a reconcile: a change of the builder's input restarts servers as much as one of the builder.
function templateOf(revision: number, { spec = {}, found = {} }: Case): unknown {
  const { servers } = decide({
    world: emptyWorld(sampleTenant(spec), found),
    facts: OPERATOR,
    observed: new Map([[0, healthyServer(0)]]),
    volumes: new Map(),
    wouldWrite: () => true,
    wasApplied: () => false,
    budget: UNLIMITED,
    templates: { ...POD_TEMPLATES, current: revision },
    now: 0,
    randomBytes: (size) => Buffer.alloc(size),
  });
  return servers[0]?.deployment?.spec?.template;
}

/** A case with fields that a released file does not have gets a name of its own. */
const CASES: Record<string, Case> = {
  'an empty spec': {},
  'every option': {
    spec: {
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
    found: { modelSecret: modelSecret('token', 'github-token') },
  },
  'what clusters require': {
    spec: {
      pods: {
        labels: { 'example.com/team': 'agents' },
        annotations: { 'example.com/owner': 'platform' },
        securityContext: 'FromCluster',
      },
      server: {
        githubHost: 'example.ghe.com',
        env: [
          { name: 'LOG_LEVEL', value: 'debug' },
          { name: 'PROXY_LOGIN', valueFrom: { secretKeyRef: { name: 'model', key: 'token' } } },
        ],
      },
      network: {
        proxy: { httpsProxy: 'http://$(PROXY_LOGIN)@proxy.example.com:3128', noProxy: ['10.0.0.0/8'] },
        caBundle: { configMapKeyRef: { name: 'ca' } },
      },
    },
    found: {
      podInputs: new Map<string, PodInputRead>([
        ['Secret/model', modelSecret('token', 'user:password')],
        [
          'ConfigMap/ca',
          { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca' }, data: { 'ca.crt': CERTIFICATE } },
        ],
      ]),
    },
  },
};

if (process.env['RENEW_GOLDEN']) {
  for (const revision of REVISIONS.filter((each) => !(each in RELEASED))) {
    const templates = Object.entries(CASES).map(([name, given]) => [name, templateOf(revision, given)] as const);
    const text = stringify(Object.fromEntries(templates), { lineWidth: 0, aliasDuplicateObjects: false });
    writeFileSync(fileOf(revision), text);
  }
}

describe.each(REVISIONS)('revision %i of the pod template', (revision) => {
  const text = readFileSync(fileOf(revision), 'utf8');
  const golden = parse(text) as Record<string, unknown>;

  it.each(Object.keys(golden))('the pod of a tenant with %s is as before', (name) => {
    try {
      expect(templateOf(revision, CASES[name] ?? {})).toEqual(golden[name]);
    } catch (error) {
      throw new Error(`${whatToDo(revision)}\n${String(error)}`, { cause: error });
    }
  });

  it('has a file for every case that it can have', () => {
    const expected = revision in RELEASED ? Object.keys(golden) : Object.keys(CASES);
    expect(Object.keys(golden)).toEqual(expected);
    expect(Object.keys(CASES)).toEqual(expect.arrayContaining(expected));
  });

  it('is not changed after its release', () => {
    const hash = createHash('sha256').update(text).digest('hex');
    expect(RELEASED[revision] ?? hash).toBe(hash);
  });
});
