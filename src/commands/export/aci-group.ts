/** The container group of Azure Container Instances for one server of a tenant: a pure function of tenant and image. */
import { SERVER_PORT } from '../../api/names.ts';
import { parseQuantity } from '../../kube/types/quantity.ts';
import { serverName } from '../../resources/names.ts';
import type { Container } from '../../resources/pod.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { serverContainer } from '../../tenant/builders/pod-template/container.ts';
import { CURRENT_REVISION } from '../../tenant/builders/pod-template/revisions.ts';
import { ACI_API_VERSION, type AciContainer, type AciVolume, type ContainerGroup } from './aci-model.ts';
import { aciEnvironment } from './aci-environment.ts';
import { aciProbes } from './aci-probes.ts';
import { printKey, References, refuseTaken, type Reference } from './references.ts';

/** Azure allocates no less to a group. */
const LEAST = { cpu: 1, memoryInGB: 1 };

/** Which server of a tenant, and what runs it. */
export interface ExportedServer {
  readonly tenant: CopilotTenant;
  readonly index: number;
  readonly image: string;
}

/** A group with its open values. */
export interface ExportedGroup {
  readonly group: ContainerGroup;
  readonly references: readonly Reference[];
}

/** @throws NotExportedError */
export function aciGroup(server: ExportedServer): ExportedGroup {
  const references = new References();
  const group = groupOf(server, references);
  const all = references.all();
  refuseTaken(groupOf(server, new References(() => '')), all);
  return { group, references: all };
}

/** The container is the one of the pod template, put into the words of Azure's API. */
function groupOf({ tenant, index, image }: ExportedServer, references: References): ContainerGroup {
  const container = serverContainer(tenant, { image, ipFamily: 'IPv4' }, CURRENT_REVISION);
  const ports = [{ port: SERVER_PORT, protocol: 'TCP' }] as const;
  const credentials = registryCredentials(tenant, image, references);
  return {
    apiVersion: ACI_API_VERSION,
    name: serverName(tenant.metadata.name, index),
    location: references.add({ name: 'ACI_LOCATION', what: 'region of the subnet, such as westeurope' }),
    properties: {
      osType: 'Linux',
      restartPolicy: 'Always',
      // The protocol is plain TCP: a public address would carry the token and all prompts over the internet.
      ipAddress: { type: 'Private', ports },
      subnetIds: [
        {
          id: references.add({
            name: 'ACI_SUBNET_ID',
            what: 'resource id of a subnet that is delegated to Microsoft.ContainerInstance/containerGroups',
          }),
        },
      ],
      containers: [aciContainer(tenant, container, ports, references)],
      volumes: aciVolumes(tenant, index, references),
      ...(credentials && { imageRegistryCredentials: [credentials] }),
    },
  };
}

function aciContainer(
  tenant: CopilotTenant,
  { name, image = '', command = [], args = [], env = [], resources, volumeMounts = [] }: Container,
  ports: AciContainer['properties']['ports'],
  references: References,
): AciContainer {
  return {
    name,
    properties: {
      image,
      // The entry point as well: the image's own may be another program.
      command: [...command, ...args],
      ports,
      environmentVariables: aciEnvironment(env, tenant.metadata.namespace ?? '', references),
      resources: { requests: aciResources(resources) },
      // The rest is on the container's own file system, which can be written and is as short-lived as a pod's emptyDir.
      volumeMounts: volumeMounts
        .filter((mount) => mount.name === 'sessions' || mount.name === 'ca-bundle')
        .map(({ name, mountPath, readOnly }) => ({ name, mountPath, ...(readOnly === true && { readOnly }) })),
      ...aciProbes(tenant),
      // Azure mounts a share for root only.
      securityContext: { runAsUser: 0, runAsGroup: 0, allowPrivilegeEscalation: false },
    },
  };
}

/** What the container may use at most: in a group of one, Azure gives it what it requests, and no more. */
function aciResources(resources: Container['resources']): { cpu: number; memoryInGB: number } {
  const most = (name: 'cpu' | 'memory') => resources?.limits?.[name] ?? resources?.requests?.[name] ?? '0';
  return {
    cpu: Math.max(LEAST.cpu, upToTenths(most('cpu'), 1n)),
    memoryInGB: Math.max(LEAST.memoryInGB, upToTenths(most('memory'), 1_000_000_000n)),
  };
}

/** A quantity in units, rounded up to one digit behind the point, which is what Azure takes. */
function upToTenths(quantity: string, unit: bigint): number {
  const tenth = (unit * 1_000_000_000n) / 10n;
  return Number(((parseQuantity(quantity) ?? 0n) + tenth - 1n) / tenth) / 10;
}

function aciVolumes(tenant: CopilotTenant, index: number, references: References): AciVolume[] {
  const { name, namespace = '' } = tenant.metadata;
  const sessions: AciVolume = {
    name: 'sessions',
    azureFile: {
      shareName: serverName(name, index),
      storageAccountName: references.add({
        name: 'ACI_STORAGE_ACCOUNT',
        what: `storage account with a file share ${serverName(name, index)}, for this server alone`,
      }),
      storageAccountKey: references.add({
        name: 'ACI_STORAGE_KEY',
        what: 'key of the storage account',
        command: 'az storage account keys list --account-name "$ACI_STORAGE_ACCOUNT" --query "[0].value" -o tsv',
      }),
    },
  };
  const bundle = tenant.spec.network.caBundle?.configMapKeyRef;
  if (bundle === undefined) return [sessions];
  const content = references.add({
    name: 'ACI_CA_BUNDLE',
    what: `key ${bundle.key} of ConfigMap ${bundle.name}, in base64`,
    command: `${printKey({ kind: 'ConfigMap', namespace, ...bundle })} | base64 -w0`,
  });
  return [sessions, { name: 'ca-bundle', secret: { 'ca.crt': content } }];
}

/** Azure pulls the image with one login, not with the Secrets that the kubelet tries in turn. */
function registryCredentials({ spec: { server } }: CopilotTenant, image: string, references: References) {
  const [secret] = server.imagePullSecrets ?? [];
  if (secret === undefined) return undefined;
  const what = `of Secret ${secret.name}, for the registry of ${image}`;
  const [host = ''] = image.split('/');
  const isHost = image.includes('/') && /[.:]/.test(host);
  return {
    server: isHost ? host : references.add({ name: 'ACI_REGISTRY_SERVER', what: `registry of ${image}` }),
    username: references.add({ name: 'ACI_REGISTRY_USERNAME', what: `user name ${what}` }),
    password: references.add({ name: 'ACI_REGISTRY_PASSWORD', what: `password ${what}` }),
  };
}
