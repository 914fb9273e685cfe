import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { aciGroup } from '../../../../src/commands/export/aci-group.ts';
import { ACI_API_VERSION, type ContainerGroup } from '../../../../src/commands/export/aci-model.ts';
import { aciText } from '../../../../src/commands/export/aci-text.ts';
import { AZURE, azureFaults } from '../../../support/azure-models.ts';
import { CERTIFICATE, sampleTenant } from '../../../support/tenants.ts';

const IMAGE = 'registry.example.com/team/copilot-cli:1';

const exported = (spec: CopilotTenantSpecInput = {}, index = 0) =>
  aciGroup({ tenant: sampleTenant(spec), index, image: IMAGE });

function containerOf(spec: CopilotTenantSpecInput = {}) {
  const [container] = exported(spec).group.properties.containers;
  if (container === undefined) throw new Error('the group has no container');
  return container.properties;
}

const variable = (spec: CopilotTenantSpecInput, name: string) =>
  containerOf(spec).environmentVariables.find((found) => found.name === name);

/** Sets every field of the spec that an export takes over. */
const FULL: CopilotTenantSpecInput = {
  replicas: 3,
  model: { github: { tokenSecretRef: { name: 'github', key: 'gh' } } },
  server: {
    binary: 'runtime',
    resources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '2', memory: '4Gi' } },
    imagePullSecrets: [{ name: 'registry' }],
    githubHost: 'example.ghe.com',
    idleUnload: '10m',
    env: [
      { name: 'LOGIN', valueFrom: { secretKeyRef: { name: 'proxy', key: 'login' } } },
      { name: 'TEAM', valueFrom: { configMapKeyRef: { name: 'teams', key: 'name' } } },
      { name: 'GREETING', value: 'hello $(TEAM), $$(TEAM), $(NOBODY) and $5' },
    ],
  },
  network: {
    proxy: { httpsProxy: 'http://$(LOGIN)@proxy.example.com:3128' },
    caBundle: { configMapKeyRef: { name: 'authority', key: 'root.pem' } },
  },
  health: { interval: '20s', timeout: '3s', failureThreshold: 4 },
};

describe("Azure's models", () => {
  it('are of the version that is exported', () => {
    expect(AZURE.apiVersion).toBe(ACI_API_VERSION);
  });

  it.each([
    ['an empty spec', {}],
    ['every field', FULL],
  ])('have all that is exported of a tenant with %s', (_, spec) => {
    expect(azureFaults(parse(aciText(exported(spec), 'team/acme')))).toEqual([]);
  });

  it("have not what the scaling guide's example has, and what that lacks", () => {
    const example = {
      containers: [
        { name: 'copilot-cli', image: 'example.com/copilot-cli', command: ['copilot', '--headless', '--port', '4321'] },
      ],
      volumes: [{ name: 'session-storage', azureFile: { shareName: 'sessions', storageAccountName: 'account' } }],
    };
    expect(azureFaults(example)).toEqual([
      'name is missing',
      'apiVersion is missing',
      'properties.containers is missing',
      'properties.osType is missing',
      'containers is no field of ContainerGroup',
      'volumes is no field of ContainerGroup',
    ]);
    const [container] = example.containers;
    const nested = { name: 'a', apiVersion: 'b', properties: { osType: 'Linux', containers: [container] } };
    expect(azureFaults(nested)).toEqual([
      'properties.containers[0].properties.image is missing',
      'properties.containers[0].properties.resources is missing',
      'properties.containers[0].image is no field of Container',
      'properties.containers[0].command is no field of Container',
    ]);
  });

  it.each([
    ['a port as text', { ipAddress: { type: 'Private', ports: [{ port: '4321' }] } }, 'ports[0].port is no int'],
    ['another type of address', { ipAddress: { type: 'None', ports: [] } }, 'type is none of Public, Private'],
    ['what Azure sets', { provisioningState: 'Succeeded' }, 'provisioningState is set by Azure'],
  ])('do not take %s', (_, wrong, fault) => {
    const { group } = exported();
    const faults = azureFaults({ ...group, properties: { ...group.properties, ...wrong } });
    expect(faults).toEqual([expect.stringContaining(fault)]);
  });
});

describe('the container group', () => {
  it('runs the platform binary, at an address that others reach', () => {
    expect(containerOf().command).toEqual([
      'copilot',
      '--headless',
      '--host',
      '0.0.0.0',
      '--port',
      '4321',
      '--no-auto-update',
      '--session-idle-timeout',
      '1800',
    ]);
    expect(containerOf(FULL).command.slice(0, 2)).toEqual(['copilot-runtime', '--headless']);
  });

  it('is reached in its virtual network only', () => {
    const { ipAddress, subnetIds } = exported().group.properties;
    expect(ipAddress).toEqual({ type: 'Private', ports: [{ port: 4321, protocol: 'TCP' }] });
    expect(subnetIds).toEqual([{ id: '${ACI_SUBNET_ID}' }]);
  });

  it('keeps the sessions of each server on a share of its own', () => {
    const { group } = exported({ replicas: 3 }, 2);
    expect(group.name).toBe('acme-2');
    expect(group.properties.volumes).toEqual([
      {
        name: 'sessions',
        azureFile: {
          shareName: 'acme-2',
          storageAccountName: '${ACI_STORAGE_ACCOUNT}',
          storageAccountKey: '${ACI_STORAGE_KEY}',
        },
      },
    ]);
    expect(containerOf().volumeMounts).toEqual([
      { name: 'sessions', mountPath: '/home/copilot/.copilot/session-state' },
    ]);
  });

  it('has the certificates of spec.network.caBundle as a file', () => {
    const { group, references } = exported(FULL);
    expect(group.properties.volumes).toContainEqual({
      name: 'ca-bundle',
      secret: { 'ca.crt': '${ACI_CA_BUNDLE}' },
    });
    expect(containerOf(FULL).volumeMounts).toContainEqual(expect.objectContaining({ name: 'ca-bundle' }));
    const reference = references.find(({ name }) => name === 'ACI_CA_BUNDLE');
    expect(reference?.command).toBe(
      `kubectl get configmap authority -n team -o go-template='{{ index .data "root.pem" }}' | base64 -w0`,
    );
  });

  it.each<[string, CopilotTenantSpecInput, object]>([
    ['the limits', FULL, { cpu: 2, memoryInGB: 4.3 }],
    ['the default limit of memory, and the least CPU', {}, { cpu: 1, memoryInGB: 4.3 }],
    [
      'the requests where there is no limit',
      { server: { resources: { requests: { cpu: '1500m', memory: '3G' } } } },
      { cpu: 1.5, memoryInGB: 3 },
    ],
    ['the least of a group where it needs less', { server: { resources: {} } }, { cpu: 1, memoryInGB: 1 }],
  ])('requests %s', (_, spec, requests) => {
    expect(containerOf(spec).resources).toEqual({ requests });
  });

  it('is checked as often as spec.health says, and restarted when it does not answer', () => {
    expect(containerOf(FULL).livenessProbe).toMatchObject({
      periodSeconds: 20,
      timeoutSeconds: 4,
      failureThreshold: 4,
    });
  });

  it('has one login for the registry', () => {
    expect(exported().group.properties.imageRegistryCredentials).toBeUndefined();
    expect(exported(FULL).group.properties.imageRegistryCredentials).toEqual([
      {
        server: 'registry.example.com',
        username: '${ACI_REGISTRY_USERNAME}',
        password: '${ACI_REGISTRY_PASSWORD}',
      },
    ]);
  });
});

describe('its environment', () => {
  it('has no value of a Secret, but where it is', () => {
    const { references } = exported(FULL);
    expect(variable(FULL, 'COPILOT_CONNECTION_TOKEN')).toEqual({
      name: 'COPILOT_CONNECTION_TOKEN',
      secureValue: '${SECRET_COPILOT_CONNECTION_TOKEN}',
    });
    expect(references).toContainEqual({
      name: 'SECRET_COPILOT_CONNECTION_TOKEN',
      what: 'key token of Secret acme-token',
      command: `kubectl get secret acme-token -n team -o go-template='{{ index .data "token" | base64decode }}'`,
    });
    expect(variable(FULL, 'COPILOT_GITHUB_TOKEN')).toMatchObject({ secureValue: '${SECRET_COPILOT_GITHUB_TOKEN}' });
  });

  it('is secure where a part of a value is', () => {
    expect(variable(FULL, 'HTTPS_PROXY')).toEqual({
      name: 'HTTPS_PROXY',
      secureValue: 'http://${SECRET_LOGIN}@proxy.example.com:3128',
    });
    expect(variable(FULL, 'TEAM')).toEqual({ name: 'TEAM', value: '${CONFIGMAP_TEAM}' });
  });

  it('has variables put in as the kubelet does', () => {
    expect(variable(FULL, 'GREETING')?.value).toBe('hello ${CONFIGMAP_TEAM}, $(TEAM), $(NOBODY) and $5');
  });
});

describe('a spec that has what is filled in elsewhere', () => {
  const withValue = (value: string): CopilotTenantSpecInput => ({ ...FULL, server: { env: [{ name: 'X', value }] } });

  // Who writes the tenant would be given the keys of who exports it.
  it.each<[string, CopilotTenantSpecInput]>([
    ['in a variable', withValue('a ${ACI_STORAGE_KEY}')],
    ['without braces', withValue('$ACI_STORAGE_KEY-')],
    ['put together as the kubelet does it', withValue('$$$$(ACI_STORAGE_KEY) $${ACI_STORAGE_KEY}')],
    ['in the image', { server: { image: 'registry.example.com/${ACI_STORAGE_KEY}:1' } }],
  ])('is not exported: %s', (_, spec) => {
    const image = spec.server?.image ?? IMAGE;
    expect(() => aciGroup({ tenant: sampleTenant(spec), index: 0, image })).toThrow(
      'the spec has $ACI_STORAGE_KEY, which would be filled in there as well',
    );
  });

  it.each(['$ACI_STORAGE_KEYS', '${HOME} $5 $', '$(ACI_STORAGE_KEY)', 'ACI_STORAGE_KEY'])(
    'is exported where nothing is filled in: %s',
    (value) => {
      expect(variable(withValue(value), 'X')?.value).toBe(value);
    },
  );
});

describe('the text', () => {
  const text = aciText(exported(FULL), 'team/acme');

  it('names each open value once, with the command that prints it', () => {
    const open = new Set([...text.matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => name));
    const [, listed = ''] = /envsubst '([^']*)'/.exec(text) ?? [];
    expect(new Set(listed.split(' ').map((name) => name.slice(1)))).toEqual(open);
    for (const name of open) expect(text.split(`# ${name}: `)).toHaveLength(2);
  });

  it('takes any value as a string', () => {
    const filled = text.replaceAll(/\$\{[A-Z_]+\}/g, 'true');
    const group = parse(filled) as ContainerGroup;
    expect(group.location).toBe('true');
    expect(azureFaults(group)).toEqual([]);
  });

  it('has nothing that the project keeps secret', () => {
    expect(text).not.toContain(CERTIFICATE.split('\n')[1]);
    expect(text).toContain('It was never run on Azure');
  });
});
