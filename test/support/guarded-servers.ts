/** Servers of a RelayWorld that share a volume, each behind a guard that decides as the real one does. */
import { generateKeyPairSync } from 'node:crypto';
import { MemoryStore } from '../../src/gateway/locks/memory-store.ts';
import { CoordinationUnavailableError, type CoordinationStore } from '../../src/gateway/locks/store.ts';
import type { PodFate } from '../../src/gateway/model.ts';
import type { FenceMeans } from '../../src/gateway/relay/fence/fence.ts';
import {
  decideCall,
  decideGrant,
  type CallKind,
  type Fence,
  type HeldGrant,
  type Stamp,
} from '../../src/guard/fence.ts';
import { EPOCHS_METHOD, GRANT_METHOD, GUARD_ERROR, type GuardErrorData } from '../../src/resources/guard-protocol.ts';
import {
  grantKeyPem,
  grantSigner,
  InvalidGrantError,
  type GrantSigner,
  grantVerifiers,
  readGrant,
  type SessionGrant,
} from '../../src/resources/session-grant.ts';
import type { Frame, JournalEvent, RelayWorld, ServerEnd } from './relay-world.ts';
import { SessionDisks } from './session-disks.ts';
import { TENANT } from './static-fleet.ts';

const PEM = grantKeyPem(generateKeyPairSync('ed25519'));
const VERIFIERS = grantVerifiers(PEM.publicKey);

/** What a guard looks at; all other calls about a session need a grant. */
const KINDS: Readonly<Record<string, CallKind>> = {
  'session.create': 'Load',
  'session.resume': 'Load',
  'sessions.close': 'Close',
  'session.delete': 'Delete',
};
const READS = new Set(['sessions.getMetadata', 'session.list', 'sessions.list', 'session.metadata.activity', 'ping']);

interface Pod {
  readonly server: string;
  readonly pod: string;
}

class SharedDisk extends SessionDisks {
  override of(): ReturnType<SessionDisks['of']> {
    return super.of('shared');
  }
}

export class GuardedServers {
  /** Whether the coordination store answers. */
  isStoreAway = false;
  /** The one thing that it does not do; undefined: it does all. */
  failing: keyof CoordinationStore | undefined;
  readonly memory: MemoryStore;
  readonly means: FenceMeans;
  /** Of pods that are not as the fleet has them. */
  readonly fates = new Map<string, PodFate>();
  /** Sessions that were loaded at two pods at once, which never happens. */
  readonly violations: string[] = [];
  /** What was granted, in this order. */
  readonly grants: SessionGrant[] = [];
  /** Keys that sign first, and that no guard knows yet. */
  newKeys: GrantSigner[] = [];
  /** Durable events, by session. */
  readonly journals = new Map<string, JournalEvent[]>();
  readonly #stamps = new Map<string, Stamp[]>();
  /** By the UID of the pod, and the session. */
  readonly #fences = new Map<string, Fence>();
  readonly #held = new WeakMap<ServerEnd, Map<string, HeldGrant>>();
  readonly #pods = new WeakMap<ServerEnd, Pod>();
  /** By session: UIDs of the pods that have it in memory. */
  readonly #loaded = new Map<string, Set<string>>();
  #fleet: RelayWorld['fleet'] | undefined;
  disk: SessionDisks | undefined;

  constructor() {
    this.memory = new MemoryStore();
    const signers = [grantSigner(PEM.privateKey)];
    const fateOf = (_namespace: string, podUID: string): Promise<PodFate> => Promise.resolve(this.#fateOf(podUID));
    this.means = {
      store: this.#store(),
      fates: { fateOf },
      signers: () => this.newKeys.concat(signers),
      holder: 'this-home',
    };
  }

  /** The tenant has as many servers with one volume, all of them behind guards. */
  play(world: RelayWorld, replicas: number): void {
    const { answers } = world;
    this.serve(world, replicas);
    this.disk = new SharedDisk(world);
    answers.set('sessions.close', (end, { id, params }) => {
      // One of the two programs says so, and it is for nobody.
      end.event(String(params?.['sessionId']), 'session.shutdown');
      end.answer(id, {});
    });
    answers.set('session.send', (end, { id, params }) =>
      end.answer(id, { messageId: `of ${String(params?.['prompt'])}`, at: end.host }),
    );
    answers.set('session.sendMessages', (end, { id }) => end.answer(id, { messageIds: [] }));
    // Of each session its own.
    world.journalAnswer = () => undefined;
    answers.set('session.eventLog.read', (end, { id, params }) => {
      const events = this.journals.get(String(params?.['sessionId'])) ?? [];
      end.answer(id, { events, hasMore: false, cursor: 'c', cursorStatus: 'ok' });
    });
    this.guard(world);
  }

  /** The tenant has as many servers with one volume. */
  serve({ fleet }: RelayWorld, replicas: number): void {
    this.#fleet = fleet;
    fleet.scale(replicas);
    fleet.change({
      topology: 'SharedStorage',
      pods: Array.from({ length: replicas }, (_, index) => `pod-of-${index}`),
    });
  }

  /** Puts guards in front of all that answers until now. */
  guard({ answers }: RelayWorld): void {
    for (const [method, answer] of answers) {
      answers.set(method, (end, frame) => {
        if (this.#passes(end, frame)) answer(end, frame);
      });
    }
    answers.set(GRANT_METHOD, (end, frame) => this.#grant(end, frame));
    answers.set(EPOCHS_METHOD, (end, { id, params }) => {
      const grant = this.#read(params?.['grant']);
      if (grant === undefined) return this.#refuse(end, id, { rule: 'BadGrant' });
      const stamps = this.#stamps.get(grant.session) ?? [];
      end.answer(id, { stamps: stamps.map(({ holder, ...stamp }) => ({ ...holder, ...stamp })) });
    });
  }

  /** The process of a server has ended, and its pod goes on. */
  died(podUID: string): void {
    for (const loaded of this.#loaded.values()) loaded.delete(podUID);
  }

  /** The pod is gone, and its server with it. */
  kill(index: number, world: RelayWorld): void {
    const { servers = [], pods = [] } = world.fleet.find(TENANT) ?? {};
    const pod = `pod-of-${index}`;
    for (const loaded of this.#loaded.values()) loaded.delete(pod);
    world.fleet.change({
      servers: servers.filter(({ podUID }) => podUID !== pod),
      pods: pods.filter((each) => each !== pod),
    });
  }

  /** Where the session is in memory. */
  loadedAt(session: string): string[] {
    return [...(this.#loaded.get(session) ?? [])];
  }

  /** That a pod has the session under an epoch, as the volume has it. */
  stamp(session: string, index: number, epoch: number): void {
    const holder = { server: `team/acme-${index}`, pod: `pod-of-${index}` };
    this.#stamps.set(session, [...(this.#stamps.get(session) ?? []), { epoch, holder }]);
    this.#fences.set(`${holder.pod} ${session}`, { epoch, state: 'Open' });
    this.#load(session, holder.pod);
  }

  #store(): CoordinationStore {
    return new Proxy<CoordinationStore>(this.memory, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown =>
          this.isStoreAway || this.failing === name
            ? Promise.reject(new CoordinationUnavailableError('Unreachable', 'Redis at redis-0:6379 is away'))
            : Reflect.apply(value, target, args);
      },
    });
  }

  #fateOf(podUID: string): PodFate {
    const known = this.fates.get(podUID);
    if (known !== undefined) return known;
    const isThere = this.#fleet?.find(TENANT)?.pods?.includes(podUID) === true;
    if (isThere) return { reason: 'NotReported', isGone: false, message: `pod ${podUID} on node n may still run` };
    return { reason: 'Deleted', isGone: true, message: 'gone' };
  }

  #podOf(end: ServerEnd): Pod {
    const known = this.#pods.get(end);
    if (known !== undefined) return known;
    const { servers = [] } = this.#fleet?.find(TENANT) ?? {};
    const server = servers.find(({ host }) => host === end.host);
    const pod = { server: server?.key ?? '', pod: server?.podUID ?? '' };
    this.#pods.set(end, pod);
    return pod;
  }

  #heldBy(end: ServerEnd): Map<string, HeldGrant> {
    const held = this.#held.get(end) ?? new Map<string, HeldGrant>();
    this.#held.set(end, held);
    return held;
  }

  #grant(end: ServerEnd, { id, params }: Frame): void {
    const grant = this.#read(params?.['grant']);
    if (grant === undefined) return this.#refuse(end, id, { rule: 'BadGrant' });
    const { server, pod } = this.#podOf(end);
    const { session, epoch, intent } = grant;
    if (grant.pod !== pod || grant.server !== server) return this.#refuse(end, id, { rule: 'BadGrant' });
    const key = `${pod} ${session}`;
    const stamps = (this.#stamps.get(session) ?? []).toSorted((a, b) => b.epoch - a.epoch);
    const held = this.#heldBy(end).get(session);
    const verdict = decideGrant(grant, pod, { fence: this.#fences.get(key), stamps, held });
    if (verdict.outcome === 'Refused') {
      const { reason: rule, epoch: highest, holder } = verdict;
      return this.#refuse(end, id, { rule, epoch: highest, holder });
    }
    this.grants.push(grant);
    if (verdict.claim) this.#stamps.set(session, [{ epoch, holder: { server, pod } }]);
    this.#fences.set(key, verdict.fence);
    this.#heldBy(end).set(session, { epoch, intent });
    end.answer(id, { epoch });
  }

  #read(text: unknown): SessionGrant | undefined {
    try {
      return readGrant(text, VERIFIERS);
    } catch (error) {
      if (!(error instanceof InvalidGrantError)) throw error;
      return undefined;
    }
  }

  #passes(end: ServerEnd, { id, method = '', params }: Frame): boolean {
    const session = params?.['sessionId'];
    if (typeof session !== 'string' || READS.has(method)) return true;
    const { pod } = this.#podOf(end);
    const kind = KINDS[method] ?? 'Other';
    const held = this.#heldBy(end).get(session);
    const rule = decideCall(kind, held, this.#fences.get(`${pod} ${session}`));
    if (rule !== undefined) {
      this.#refuse(end, id, { rule });
      return false;
    }
    if (kind === 'Load') this.#load(session, pod);
    if (kind === 'Close' || kind === 'Delete') this.#loaded.get(session)?.delete(pod);
    if (kind === 'Close' && held?.intent === 'close') this.#close(session, pod, held.epoch);
    return true;
  }

  #load(session: string, pod: string): void {
    const loaded = this.#loaded.get(session) ?? new Set<string>();
    this.#loaded.set(session, loaded.add(pod));
    if (loaded.size > 1) this.violations.push(`${session} is loaded at ${[...loaded].join(' and ')}`);
  }

  #close(session: string, pod: string, closedUnder: number): void {
    const stamps = this.#stamps.get(session) ?? [];
    this.#stamps.set(
      session,
      stamps.map((stamp) => (stamp.holder.pod === pod ? { ...stamp, closedUnder } : stamp)),
    );
  }

  #refuse(end: ServerEnd, id: Frame['id'], data: GuardErrorData): void {
    const error = { code: GUARD_ERROR, message: `refused: ${data.rule}`, data };
    end.send(JSON.stringify({ jsonrpc: '2.0', id, error }));
  }
}
