import type {
  ConfigMap,
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../src/kube/types/builtins.ts';
import { controllerRef } from '../../src/kube/types/owner.ts';
import type { KubeObject, ObjectMeta } from '../../src/kube/types/types.ts';

/** Metadata of a child in the owner's namespace. */
export function childMeta(owner: KubeObject, name: string): ObjectMeta {
  const { namespace = '' } = owner.metadata;
  return { namespace, name, labels: { app: name }, ownerReferences: [controllerRef(owner)] };
}

/** One container and hardly a field: what a person would write. */
export function smallDeployment(owner: KubeObject, name = 'small'): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: childMeta(owner, name),
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image: 'example.com/main:1', env: [{ name: 'COLOR', value: 'blue' }] }] },
      },
    },
  };
}

/**
 * Everything that the API server rewrites, defaults or drops in a Deployment: quantities, protocols, zero values, empty
 * lists and maps, empty environment values, lists with and without merge keys.
 */
export function crowdedDeployment(owner: KubeObject, name = 'crowded'): Deployment {
  const deployment = smallDeployment(owner, name);
  deployment.spec = {
    replicas: 0,
    minReadySeconds: 0,
    paused: false,
    selector: { matchLabels: { app: name } },
    strategy: { type: 'Recreate' },
    template: {
      metadata: { labels: { app: name }, annotations: {} },
      spec: {
        automountServiceAccountToken: false,
        hostNetwork: false,
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 0,
        nodeSelector: {},
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
        imagePullSecrets: [{ name: 'pull' }],
        securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: { app: name } },
          },
        ],
        affinity: {
          podAntiAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 1, podAffinityTerm: { topologyKey: 'zone', labelSelector: { matchLabels: { app: name } } } },
            ],
          },
        },
        initContainers: [{ name: 'prepare', image: 'example.com/prepare:1', command: ['true'], args: [] }],
        containers: [
          {
            name: 'main',
            image: 'example.com/main:1',
            stdin: false,
            tty: false,
            env: [
              { name: 'EMPTY', value: '' },
              { name: 'LIMIT', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '0' } } },
              { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
              { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } },
            ],
            envFrom: [{ secretRef: { name: 'more', optional: true } }],
            ports: [{ containerPort: 4321 }, { containerPort: 4321, protocol: 'UDP', name: 'udp' }],
            resources: {
              requests: { cpu: '1000m', memory: '1024Mi', 'example.com/gpu': '1' },
              limits: { cpu: 2, memory: '2Gi', 'example.com/gpu': '1' } as unknown as Record<string, string>,
            },
            volumeMounts: [
              { name: 'data', mountPath: '/data', readOnly: false },
              { name: 'data', mountPath: '/also', subPath: 'also' },
            ],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, privileged: false },
            readinessProbe: { tcpSocket: { port: 4321 }, initialDelaySeconds: 0, periodSeconds: 5 },
            livenessProbe: { httpGet: { path: '/livez', port: 'health' } },
          },
        ],
        volumes: [
          { name: 'data', emptyDir: { sizeLimit: '1024Mi' } },
          { name: 'config', configMap: { name: 'config', items: [{ key: 'a', path: 'a' }] } },
          { name: 'secret', secret: { secretName: 'secret' } },
          { name: 'claim', persistentVolumeClaim: { claimName: 'claim', readOnly: false } },
          { name: 'both', projected: { sources: [{ secret: { name: 'secret' } }, { configMap: { name: 'config' } }] } },
        ],
      },
    },
  };
  return deployment;
}

export function service(owner: KubeObject, name = 'door'): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: childMeta(owner, name),
    spec: {
      selector: { app: name },
      publishNotReadyAddresses: false,
      ports: [
        { name: 'rpc', port: 4321 },
        { name: 'web', port: 80, targetPort: 'http' },
      ],
    },
  };
}

export function claim(owner: KubeObject, name = 'disk'): PersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: childMeta(owner, name),
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: '', resources: { requests: { storage: '1024Mi' } } },
  };
}

export function secret(owner: KubeObject, name = 'token'): Secret {
  const data = { token: Buffer.from('s3cret').toString('base64') };
  return { apiVersion: 'v1', kind: 'Secret', metadata: childMeta(owner, name), type: 'example.com/token', data };
}

export function serviceAccount(owner: KubeObject, name = 'nobody'): ServiceAccount {
  const metadata = childMeta(owner, name);
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false };
}

export function networkPolicy(owner: KubeObject, name = 'wall'): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: childMeta(owner, name),
    spec: {
      podSelector: { matchLabels: { app: name } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { from: [{ podSelector: {} }, { namespaceSelector: { matchLabels: { team: 'a' } } }], ports: [{ port: 4321 }] },
      ],
      egress: [{}, { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }] }],
    },
  };
}

export function disruptionBudget(owner: KubeObject, name = 'budget'): PodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: childMeta(owner, name),
    spec: { maxUnavailable: 0, selector: { matchLabels: { app: name } }, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
  };
}

export function childConfigMap(
  owner: KubeObject,
  name = 'words',
  data: Record<string, string> = { word: 'hello' },
): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: childMeta(owner, name), data };
}
