/** A tenant as the operator reads it, and its objects, without a cluster. */
import { tenantSpec, type CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import { API_VERSION, COPILOT_TENANT } from '../../src/api/names.ts';
import type { Deployment, PersistentVolumeClaim, Pod, Secret } from '../../src/kube/types/builtins.ts';
import type { ObjectMeta } from '../../src/kube/types/types.ts';
import { tokenSecret } from '../../src/tenant/builders/tokensecret.ts';
import type { RolloutBudget } from '../../src/tenant/decisions/rollout-budget.ts';
import { serverLabels } from '../../src/resources/names.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import type { InjectionDecision } from '../../src/tenant/decisions/injection.ts';
import type { GatewayFacts, ServerObservation, OperatorFacts, ServerWorld, World } from '../../src/tenant/model.ts';

/** The configuration of the operator. */
export const OPERATOR: OperatorFacts = {
  serverImage: 'example.com/copilot-cli:1',
  operatorImage: 'example.com/operator:1',
  namespace: 'copilot-operator-system',
  clusterCIDRs: [],
  clusterDNS: [
    { namespace: 'kube-system', label: { key: 'k8s-app', value: 'kube-dns' } },
    { cidr: '169.254.20.10/32' },
  ],
};

/** A gateway as it is installed by the chart. */
export const GATEWAY: GatewayFacts = {
  host: 'copilot-gateway.copilot-operator-system.svc',
  port: 4321,
  serviceAccount: 'copilot-gateway',
};

/** How sessions get their login, as the operator decides for a tenant that existed before, and for a new one. */
export const SERVER_ENV: InjectionDecision = { injection: 'ServerEnv', reason: 'Recorded', message: 'decided' };
export const INJECTED: InjectionDecision = { injection: 'Gateway', reason: 'Recorded', message: 'decided' };

/** A budget that has a place for every server. */
export const UNLIMITED: RolloutBudget = {
  paused: false,
  rollOut: () => ({ allowed: true, reason: 'Allowed', message: 'It is next.' }),
  restart: () => ({ allowed: true, reason: 'Allowed', message: 'It is next.' }),
  hold: () => undefined,
};

/** A valid connection token. */
export const TOKEN = Buffer.alloc(32, 'token').toString('base64url');

/** A valid binding credential. */
export const CREDENTIAL = `cpg_${TOKEN}`;

/** A certificate that is valid for a hundred years; nobody has its key. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUU0Nii+PbMIqPMdbwNNno1ieCtZwwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNjExMjkwMTUyMDFaGA8yMTI2MTEwNTAx
NTIwMVowEjEQMA4GA1UEAwwHZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABHdh6sg0/llsuBieVB28uMe0MThaRt/xAGOWHKCX4UkLT41tC/K3DgbZmPsO
pAGp1nP+o/m4P8NueTUDRgngATKjUzBRMB0GA1UdDgQWBBTNS/HU54KrenzXzn4H
/Rx5jQ/dIzAfBgNVHSMEGDAWgBTNS/HU54KrenzXzn4H/Rx5jQ/dIzAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIHxMfsFEJ/IQpKLyKqoFk6/Af8jg
+FJHb+aGPtMt1HgtAiEAmzOI78efo2aqEACBk3B5tdblTazNeaSReEfTDsAjlD0=
-----END CERTIFICATE-----`;

/** Tenant `acme` in namespace `team`, with every default that the API server sets. */
export function sampleTenant(
  spec: CopilotTenantSpecInput = {},
  metadata: Partial<ObjectMeta> = {},
  status?: CopilotTenant['status'],
): CopilotTenant {
  return {
    apiVersion: API_VERSION,
    kind: COPILOT_TENANT.kind,
    metadata: { name: 'acme', namespace: 'team', uid: 'uid-of-acme', generation: 1, ...metadata },
    spec: tenantSpec.parse(spec),
    ...(status && { status }),
  };
}

/** The spec of a tenant whose servers share a volume. */
export const SHARED_STORAGE = {
  topology: 'SharedStorage',
  storage: { accessMode: 'ReadWriteMany' },
} as const satisfies CopilotTenantSpecInput;

/** Only the tenant and the Secret of its token. */
export function emptyWorld(tenant: CopilotTenant, found: Partial<World> = {}): World {
  return {
    tenant,
    servers: new Map(),
    tokenSecret: tokenSecret(tenant, TOKEN),
    cleanup: { jobs: [], pods: [], sessions: [] },
    bindingSecret: 'NotFound',
    modelSecret: undefined,
    ...found,
  };
}

/** A user's Secret for the tenant's model. */
export function modelSecret(key: string, value: string): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'model', namespace: 'team', uid: 'uid-of-model' },
    data: { [key]: Buffer.from(value).toString('base64') },
  };
}

/** A server whose Deployment and claim were applied, with a complete rollout. */
export function runningServer(
  tenant: CopilotTenant,
  index: number,
  applied: { deployment: Deployment | undefined; claim: PersistentVolumeClaim | undefined },
): ServerWorld {
  const { deployment, claim } = applied;
  if (deployment === undefined || claim === undefined) throw new Error(`server ${index} was not planned to run`);
  return {
    index,
    deployment: {
      ...deployment,
      metadata: { ...deployment.metadata, uid: `uid-of-deployment-${index}`, generation: 1 },
      status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1 },
    },
    claim: { ...claim, metadata: { ...claim.metadata, uid: `uid-of-claim-${index}` }, status: { phase: 'Bound' } },
    pods: [serverPod(tenant, index)],
  };
}

/** The pod of a server, running and ready. */
export function serverPod(tenant: CopilotTenant, index: number, metadata: Partial<ObjectMeta> = {}): Pod {
  const { name, namespace = '' } = tenant.metadata;
  const pod = `${name}-${index}-pod`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod, namespace, uid: `uid-of-${pod}`, labels: serverLabels(name, index), ...metadata },
    status: {
      phase: 'Running',
      podIP: `10.1.0.${index + 1}`,
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [
        { name: 'server', image: 'i', imageID: 'i', ready: true, started: true, restartCount: 0, state: {} },
      ],
    },
  };
}

/** The observation of a healthy server. */
export function healthyServer(index: number, seen: Partial<ServerObservation> = {}): ServerObservation {
  return {
    index,
    name: `acme-${index}`,
    state: 'Healthy',
    ready: true,
    portOpen: true,
    version: '1.0.102',
    health: { state: 'Healthy', version: '1.0.102', since: 0 },
    remembered: false,
    stopping: [],
    ...seen,
  };
}

/** A server that is up and does not answer. */
export function silentServer(index: number, seen: Partial<ServerObservation> = {}): ServerObservation {
  const message = 'No answer within 5 s';
  return healthyServer(index, {
    state: 'Unhealthy',
    ready: false,
    health: { state: 'Unhealthy', reason: 'Timeout', message, since: 0 },
    ...seen,
  });
}
