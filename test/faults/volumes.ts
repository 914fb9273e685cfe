/** The volumes with their sessions, and the servers that run on them: a server finds the sessions that the one before it has left. */
import type { Dial } from '../../src/copilot/index.ts';
import type { Pod, PersistentVolumeClaim } from '../../src/kube/types/builtins.ts';
import type { CleanupResult, DeletionOutcome } from '../../src/resources/cleanup-result.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { FakeServer, FakeWire } from '../support/fake-network.ts';
import { FakeSessions } from '../support/fake-session-server.ts';

interface Volume {
  readonly claim: string;
  readonly server: FakeServer;
  readonly sessions: FakeSessions;
}

export class Volumes {
  readonly #clock: FakeClock;
  /** By UID of the claim: they are kept when it is deleted, as what was on them must be known. */
  readonly #volumes = new Map<string, Volume>();
  /** By address of the pod. */
  readonly #running = new Map<string, Volume>();

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /** Connects to the server of a pod. */
  readonly dial: Dial = ({ host }, events) => {
    const server = this.#running.get(host)?.server;
    if (server !== undefined) return new FakeWire(server, events);
    const wire = new FakeWire(Object.assign(new FakeServer(), { behaviour: 'blackhole' }), events);
    wire.end('EHOSTUNREACH');
    return wire;
  };

  start(podIP: string, { metadata }: PersistentVolumeClaim, token: string): void {
    const { uid = '', name } = metadata;
    const volume = this.#volumes.get(uid) ?? this.#create(name);
    this.#volumes.set(uid, volume);
    volume.server.token = token;
    this.#running.set(podIP, volume);
  }

  stop(podIP: string): void {
    const volume = this.#running.get(podIP);
    this.#running.delete(podIP);
    if (volume === undefined) return;
    volume.server.cut();
    for (const id of idsOf(volume)) volume.sessions.unload(id);
  }

  /** Closes every connection: the process at the other end has died. */
  cut(): void {
    for (const { server } of this.#volumes.values()) server.cut();
  }

  /** The sessions of the server that runs on this claim. */
  sessionsOf(claim: string): FakeSessions {
    const found = [...this.#running.values()].find((volume) => volume.claim === claim);
    if (found === undefined) throw new Error(`no server runs on ${claim}`);
    return found.sessions;
  }

  /** The ids of the sessions on each volume of these claims. */
  sessions(claims: readonly PersistentVolumeClaim[]): Record<string, string[]> {
    const found = claims.map(({ metadata: { uid = '', name } }): [string, string[]] => {
      const volume = this.#volumes.get(uid);
      return [name, volume === undefined ? [] : idsOf(volume)];
    });
    return Object.fromEntries(found);
  }

  /** What the pod of a cleanup does on the volumes that it mounts. */
  clean({ spec }: Pod, claims: readonly PersistentVolumeClaim[]): CleanupResult {
    const args = spec?.containers[0]?.args ?? [];
    const mounted = (spec?.volumes ?? []).flatMap(
      ({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [],
    );
    const requested = valuesOf(args, '--delete-session=').map((arg) => arg.split('=')[0] ?? '');
    const found = claims
      .filter(({ metadata: { name } }) => mounted.includes(name))
      .flatMap(({ metadata: { uid = '' } }) => this.#volumes.get(uid) ?? []);
    const outcomes = requested.map((id): DeletionOutcome => {
      const holders = found.filter((volume) => idsOf(volume).includes(id));
      for (const { sessions } of holders) sessions.lose(id);
      return holders.length > 0 ? 'Deleted' : 'NotFound';
    });
    const deleted = outcomes.filter((outcome) => outcome === 'Deleted');
    const volumes = mounted.map((name) => ({ name, space: 10, size: 2 ** 30 }));
    const counts = { dryRun: false, kept: 0, deleted: deleted.length, freedBytes: 0, sweptFiles: 0, errors: 0 };
    return { result: 'Succeeded', ...counts, volumes, ...(requested.length > 0 && { outcomes }) };
  }

  #create(claim: string): Volume {
    const server = new FakeServer();
    return { claim, server, sessions: new FakeSessions(server, this.#clock) };
  }
}

function idsOf({ server }: Volume): string[] {
  const answer = server.answers['sessions.list']?.({}) as { result: { sessions: { sessionId: string }[] } };
  return answer.result.sessions.map(({ sessionId }) => sessionId).toSorted();
}

function valuesOf(args: readonly string[], flag: string): string[] {
  return args.filter((arg) => arg.startsWith(flag)).map((arg) => arg.slice(flag.length));
}
