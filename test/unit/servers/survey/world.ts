/** A survey of a fake server on a fake clock, and what it did. */
import { LeadershipLostError } from '../../../../src/kube/runtime/leader-election.ts';
import { ServerRegistry } from '../../../../src/servers/registry.ts';
import type { ServerTarget } from '../../../../src/servers/server.ts';
import { Survey } from '../../../../src/servers/survey/survey.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeNetwork, type FakeServer } from '../../../support/fake-network.ts';
import { FakeSessions } from '../../../support/fake-session-server.ts';
import { serverTarget } from '../../../support/servers.ts';

export const KEY = 'team/acme-0';

export class World {
  readonly clock = new FakeClock();
  readonly network = new FakeNetwork();
  readonly server: FakeServer = this.network.add('acme-0');
  readonly sessions = new FakeSessions(this.server, this.clock);
  /** What listeners were notified of. */
  changes: [string, readonly string[]][] = [];
  readonly logged: unknown[] = [];
  readonly errors: unknown[] = [];
  readonly observed: number[] = [];
  /** What the guard was asked for, as `delete one`, and the calls that the server had got by then. */
  readonly grants: [what: string, after: readonly (string | undefined)[]][] = [];
  /** The server that has every session, by the word of the guard. */
  heldBy: string | undefined;
  /** The highest epoch of every session that the guard knows. */
  epoch = 4;
  /** Called while the guard grants something. */
  onGrant: () => unknown = () => undefined;
  /** This process does not surely hold the lease. */
  gateClosed = false;
  readonly servers: ServerRegistry;
  readonly survey: Survey;

  constructor() {
    // The same sequence in every run; any will do.
    let seed = 1;
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    this.servers = new ServerRegistry({ clock: this.clock, random, dial: this.network.dial });
    this.survey = new Survey({
      servers: this.servers,
      labelKeys: ['owner'],
      writeGate: () => {
        if (this.gateClosed) throw new LeadershipLostError('write refused');
      },
      log: {
        info: (...args: unknown[]) => this.logged.push(args),
        error: (...args: unknown[]) => this.errors.push(args),
      },
      observePoll: (ms) => this.observed.push(ms),
      guards: {
        epochOf: (_client, _server, sessionId) => {
          this.grants.push([`epoch ${sessionId}`, this.server.received.map(({ method }) => method)]);
          return Promise.resolve(this.epoch);
        },
        grant: async (_client, _server, { sessionId, intent, after }) => {
          const since = after === undefined ? '' : ` after ${after}`;
          this.grants.push([`${intent} ${sessionId}${since}`, this.server.received.map(({ method }) => method)]);
          await this.onGrant();
          const heldBy = this.heldBy === undefined ? undefined : { server: this.heldBy, why: 'its node is off' };
          return { heldBy, isOvertaken: after !== undefined && after !== this.epoch };
        },
      },
    });
    this.survey.onChange((key, ids) => this.changes.push([key, ids]));
  }

  target(changes: Partial<ServerTarget> = {}): ServerTarget {
    return serverTarget({ key: KEY, ...changes });
  }

  facts(id: string) {
    return this.survey.get(KEY)?.sessions.get(id);
  }

  /** Calls by method, since it was last called. */
  calls(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { method = '' } of this.server.received.splice(0)) counts[method] = (counts[method] ?? 0) + 1;
    return counts;
  }

  /** Lets the survey poll the server for the first time; what happened until then is dropped. */
  async firstPoll(changes: Partial<ServerTarget> = {}): Promise<void> {
    this.servers.set(this.target(changes));
    await this.clock.advance(100);
    if (this.survey.get(KEY) === undefined) throw new Error('there is no answer after 100 ms');
    this.calls();
    this.changes = [];
  }
}
