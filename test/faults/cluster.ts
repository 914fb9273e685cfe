/**
 * Plays the rest of a cluster beside a real API server, one small step at a time, from what that shows its watches: the Deployment
 * controller with its ReplicaSets, the kubelet, the volume binder, the Job controller and the garbage collector. It finds pods that must
 * not be on a volume together.
 */
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Client } from '../../src/kube/client/client.ts';
import { Deployment, Job, PersistentVolumeClaim, Pod, ReplicaSet, Secret } from '../../src/kube/types/builtins.ts';
import { isConflict } from '../../src/kube/types/errors.ts';
import { ignoreNotFound } from '../../src/kube/types/not-found.ts';
import { controllerRef, isControlledBy } from '../../src/kube/types/owner.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { timestamp } from '../../src/kube/types/time.ts';
import { nameOf, type KubeObject } from '../../src/kube/types/types.ts';
import { digest } from '../../src/kube/write/hash.ts';
import { Label } from '../../src/api/names.ts';
import { deletesOnVolume } from '../../src/resources/cleanup-pod.ts';
import { formatCleanupResult } from '../../src/resources/cleanup-result.ts';
import { jobEnd } from '../../src/resources/job.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { endedJob } from '../support/jobs.ts';
import type { Campaign } from './campaign.ts';
import { collectGarbage } from './garbage.ts';
import type { Mirror } from './mirror.ts';
import type { Volumes } from './volumes.ts';

const MERGE = 'application/merge-patch+json';
/** The types of whose objects something else than garbage comes. */
const PLAYED = [Deployment, ReplicaSet, Pod, PersistentVolumeClaim, Job] as ResourceType[];
const PVC_PROTECTION = 'kubernetes.io/pvc-protection';
const HASH_LABEL = 'pod-template-hash';

const isTerminating = ({ metadata }: KubeObject): boolean => metadata.deletionTimestamp !== undefined;
const hasEnded = ({ status }: Pod): boolean => status?.phase === 'Failed' || status?.phase === 'Succeeded';
const claimsOf = ({ spec }: Pod): string[] =>
  (spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);

export class FakeCluster {
  /** What must never happen, and did. */
  readonly violations: string[] = [];
  readonly #client: Client;
  readonly #mirror: Mirror;
  readonly #namespace: string;
  readonly #clock: FakeClock;
  readonly #volumes: Volumes;
  /** Pods that have been told to stop: they are gone a step later. */
  readonly #stopping = new Set<string>();
  #wrote = false;
  #pods = 0;

  constructor({ client, mirror }: Campaign, namespace: string, clock: FakeClock, volumes: Volumes) {
    this.#client = client;
    this.#mirror = mirror;
    this.#namespace = namespace;
    this.#clock = clock;
    this.#volumes = volumes;
  }

  /** One step of everything. False: there was nothing to do. */
  async step(): Promise<boolean> {
    this.#wrote = false;
    const everything = this.#mirror.objects(this.#namespace);
    const all = <T extends KubeObject>(type: ResourceType<T>): T[] =>
      everything.filter(([{ kind }]) => kind === type.kind).map(([, object]) => object as T);
    const [sets, pods, claims] = [all(ReplicaSet), all(Pod), all(PersistentVolumeClaim)];
    this.#checkVolumes(pods);
    for (const claim of claims) await this.#stepClaim(claim, pods);
    for (const pod of pods) await this.#stepPod(pod, claims);
    for (const deployment of all(Deployment)) {
      if (isTerminating(deployment)) continue;
      const own = sets.filter((set) => isControlledBy(set, deployment));
      await this.#stepDeployment(deployment, own, pods);
    }
    for (const job of all(Job)) await this.#stepJob(job, pods, claims);
    if (await collectGarbage(this.#client, everything)) this.#wrote = true;
    return this.#wrote;
  }

  /** Never two servers on a volume, and no cleanup that deletes beside a server. */
  #checkVolumes(pods: readonly Pod[]): void {
    const alive = pods.filter((pod) => !hasEnded(pod));
    for (const claim of new Set(alive.flatMap(claimsOf))) {
      const writers = alive.filter(
        (pod) =>
          claimsOf(pod).includes(claim) &&
          (pod.metadata.labels?.[Label.server] === claim || deletesOnVolume(pod, claim)),
      );
      if (writers.length < 2) continue;
      const names = writers.map(({ metadata }) => metadata.name.replace(/-[^-]*$/, ''));
      this.violations.push(`${writers.length} pods write to volume ${claim}: ${names.join(', ')}`);
    }
  }

  async #stepClaim(claim: PersistentVolumeClaim, pods: readonly Pod[]): Promise<void> {
    const { name, finalizers = [] } = claim.metadata;
    if (isTerminating(claim)) {
      const used = pods.some((pod) => !hasEnded(pod) && claimsOf(pod).includes(name));
      const kept = finalizers.filter((finalizer) => finalizer !== PVC_PROTECTION);
      if (!used && kept.length < finalizers.length) await this.#patch(claim, { metadata: { finalizers: kept } });
      return;
    }
    if (claim.status?.phase === 'Bound') return;
    const capacity = claim.spec?.resources?.requests;
    await this.#patch(claim, { status: { phase: 'Bound', accessModes: claim.spec?.accessModes, capacity } }, 'status');
  }

  async #stepPod(pod: Pod, claims: readonly PersistentVolumeClaim[]): Promise<void> {
    const { uid = '', labels } = pod.metadata;
    const server = labels?.[Label.server];
    if (isTerminating(pod)) {
      const stopped = this.#stopping.has(uid);
      this.#stopping.add(uid);
      this.#wrote = true;
      if (!stopped) return;
      this.#volumes.stop(pod.status?.podIP ?? '');
      await this.#delete(Pod, pod, 0);
      return;
    }
    const claim = claims.find(({ metadata }) => metadata.name === server);
    if (server === undefined || pod.status?.phase !== 'Pending' || claim?.status?.phase !== 'Bound') return;
    const tenant = labels?.[Label.tenant] ?? '';
    const secret = this.#mirror.get(Secret, { namespace: this.#namespace, name: `${tenant}-token` });
    if (secret === undefined) return;
    const token = Buffer.from(secret.data?.['token'] ?? '', 'base64').toString();
    this.#pods += 1;
    const podIP = `10.1.${this.#pods >> 8}.${this.#pods & 255}`;
    this.#volumes.start(podIP, claim, token);
    const running = { running: { startedAt: timestamp(this.#clock.now()) } };
    const container = {
      name: 'server',
      image: 'i',
      imageID: 'i',
      ready: true,
      started: true,
      restartCount: 0,
      state: running,
    };
    const status = {
      phase: 'Running',
      podIP,
      podIPs: [{ ip: podIP }],
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [container],
    };
    await this.#patch(pod, { status }, 'status');
  }

  async #stepDeployment(deployment: Deployment, sets: readonly ReplicaSet[], pods: readonly Pod[]): Promise<void> {
    const { replicas = 1, template } = deployment.spec ?? {};
    const hash = digest(template).slice(0, 10);
    const current = sets.find(({ metadata }) => metadata.labels?.[HASH_LABEL] === hash);
    const podsOf = (set: ReplicaSet): Pod[] => pods.filter((pod) => isControlledBy(pod, set));
    const others = sets.filter((set) => set !== current);
    for (const set of others) await this.#scale(set, 0, podsOf(set));
    // Recreate: the pods of other templates have stopped before one of this template is created.
    const waits = others.some((set) => podsOf(set).some((pod) => !hasEnded(pod)));
    if (current !== undefined)
      await this.#scale(current, waits ? (current.spec?.replicas ?? 1) : replicas, podsOf(current));
    else if (replicas > 0 && !waits) await this.#createSet(deployment, hash);
    const active = (set: ReplicaSet): number =>
      podsOf(set).filter((pod) => !isTerminating(pod) && !hasEnded(pod)).length;
    const updatedReplicas = current === undefined ? 0 : active(current);
    const total = sets.reduce((sum, set) => sum + active(set), 0);
    const status = { observedGeneration: deployment.metadata.generation, replicas: total, updatedReplicas };
    const { observedGeneration, replicas: had = 0, updatedReplicas: updated = 0 } = deployment.status ?? {};
    if (isDeepStrictEqual(status, { observedGeneration, replicas: had, updatedReplicas: updated })) return;
    await this.#patch(deployment, { status }, 'status');
  }

  async #createSet(deployment: Deployment, hash: string): Promise<void> {
    const { template } = deployment.spec ?? {};
    const labels = { ...template?.metadata?.labels, [HASH_LABEL]: hash };
    await this.#create(ReplicaSet, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${deployment.metadata.name}-${hash}`,
        namespace: this.#namespace,
        labels,
        ownerReferences: [controllerRef(deployment)],
      },
      spec: {
        replicas: deployment.spec?.replicas ?? 1,
        selector: { matchLabels: labels },
        template: { ...template, metadata: { ...template?.metadata, labels } },
      },
    });
  }

  async #scale(set: ReplicaSet, replicas: number, pods: readonly Pod[]): Promise<void> {
    if (set.spec?.replicas !== replicas) await this.#patch(set, { spec: { replicas } });
    const active = pods.filter((pod) => !isTerminating(pod) && !hasEnded(pod));
    for (const pod of active.slice(replicas)) await this.#delete(Pod, pod);
    const { metadata, spec } = (set.spec?.template ?? {}) as Partial<Pod>;
    for (let missing = replicas - active.length; missing > 0; missing--)
      await this.#createPod(set, metadata ?? {}, spec);
  }

  /** On a node, because a pod without one is deleted at once. */
  #createPod(owner: KubeObject, metadata: Partial<Pod['metadata']>, spec: Pod['spec']): Promise<void> {
    const name = `${owner.metadata.name}-${randomBytes(3).toString('hex')}`;
    return this.#create(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name, namespace: this.#namespace, ownerReferences: [controllerRef(owner)] },
      spec: { ...spec, containers: spec?.containers ?? [], nodeName: 'node' },
    });
  }

  /** Its pod runs in one step and has ended in the next one. */
  async #stepJob(job: Job, pods: readonly Pod[], claims: readonly PersistentVolumeClaim[]): Promise<void> {
    if (isTerminating(job) || jobEnd(job) !== undefined || job.spec?.suspend === true) return;
    const uid = job.metadata.uid ?? '';
    const pod = pods.find((each) => isControlledBy(each, job));
    if (pod === undefined) {
      const { metadata, spec } = job.spec?.template ?? {};
      const labels = { ...metadata?.labels, 'batch.kubernetes.io/controller-uid': uid };
      await this.#createPod(job, { ...(metadata?.annotations && { annotations: metadata.annotations }), labels }, spec);
      return;
    }
    if (!hasEnded(pod)) {
      const result = this.#volumes.clean(pod, claims);
      const terminated = {
        exitCode: 0,
        finishedAt: timestamp(this.#clock.now()),
        message: formatCleanupResult(result),
      };
      const container = {
        name: 'cleanup',
        image: 'i',
        imageID: 'i',
        ready: false,
        restartCount: 0,
        state: { terminated },
      };
      await this.#patch(pod, { status: { phase: 'Succeeded', containerStatuses: [container] } }, 'status');
      return;
    }
    await this.#patch(job, { status: endedJob('Complete', '', this.#clock.now()) }, 'status');
  }

  async #create<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<void> {
    this.#wrote = true;
    await this.#client.create(type, object);
  }

  async #patch(object: KubeObject, patch: object, subresource?: string): Promise<void> {
    this.#wrote = true;
    const type = PLAYED.find(({ kind }) => kind === object.kind);
    if (type === undefined) throw new Error(`${object.kind} is not played`);
    await ignoreNotFound(this.#client.patch(type, nameOf(object), patch, { contentType: MERGE, subresource }));
  }

  async #delete<T extends KubeObject>(type: ResourceType<T>, object: T, gracePeriodSeconds?: number): Promise<void> {
    this.#wrote = true;
    const { uid = '' } = object.metadata;
    try {
      await ignoreNotFound(this.#client.delete(type, nameOf(object), { uid, gracePeriodSeconds }));
    } catch (error) {
      // It was deleted meanwhile, and another one has its name.
      if (!isConflict(error)) throw error;
    }
  }
}
