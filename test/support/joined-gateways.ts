/** Two or three replicas of the gateway in this process, joined by real connections. Which one is the home is as the test says. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { PeerUnreachableError, type Peer } from '../../src/gateway/peers/model.ts';
import { GatewayInProcess, type GatewayInProcessOptions } from './gateway.ts';
import { RawPeer } from './raw-peer.ts';
import { ScriptedHomes, type Directory } from './routed-world.ts';

interface Joined {
  readonly homes: ScriptedHomes;
  readonly gateway: GatewayInProcess;
  /** Where each other replica connects to it. */
  readonly doors: Map<string, RawPeer>;
}

export class JoinedGateways implements AsyncDisposable {
  /** The home is the first one in `next` that is asked for. */
  readonly directory: Directory;
  readonly #replicas = new Map<string, Joined>();

  private constructor(directory: Directory) {
    this.directory = directory;
  }

  /** Replicas of these names, of which `home` is the home of the tenant. */
  static async start(
    names: readonly string[],
    home: string,
    options: GatewayInProcessOptions = {},
  ): Promise<JoinedGateways> {
    const joined = new JoinedGateways({ home, next: home });
    for (const name of names) {
      const homes = new ScriptedHomes(name, joined.directory, (to) => joined.#peer(name, to));
      joined.#replicas.set(name, {
        homes,
        gateway: await GatewayInProcess.start({ ...options, homes }),
        doors: new Map(),
      });
    }
    for (const [name, { gateway, doors }] of joined.#replicas) {
      for (const from of names) {
        if (from === name) continue;
        doors.set(from, await RawPeer.listen((socket) => gateway.accept(socket.setNoDelay(true), from)));
      }
    }
    return joined;
  }

  gateway(name: string): GatewayInProcess {
    return this.#of(name).gateway;
  }

  homes(name: string): ScriptedHomes {
    return this.#of(name).homes;
  }

  /** The replica dies, as far as the others and the servers see it; `next` becomes the home. */
  async kill(name: string, next: string): Promise<void> {
    const { doors, gateway } = this.#of(name);
    this.directory.next = next;
    if (this.directory.home === name) this.directory.home = undefined;
    // First, so that nothing is said any more of what follows.
    await Promise.all(Array.from(doors.values(), (door) => door[Symbol.asyncDispose]()));
    doors.clear();
    gateway.dropServers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { gateway } of this.#replicas.values()) await gateway[Symbol.asyncDispose]();
    for (const { doors } of this.#replicas.values()) {
      for (const door of doors.values()) await door[Symbol.asyncDispose]();
    }
  }

  #of(name: string): Joined {
    const found = this.#replicas.get(name);
    if (found === undefined) throw new Error(`there is no replica ${name}`);
    return found;
  }

  #peer(from: string, to: string): Peer {
    return {
      id: to,
      connect: async () => {
        const door = this.#of(to).doors.get(from);
        if (door === undefined) throw new PeerUnreachableError(`${to} is gone`);
        const socket = connect({ host: door.host, port: door.port, noDelay: true });
        try {
          await once(socket, 'connect');
        } catch (error) {
          throw new PeerUnreachableError(`${to} is gone`, { cause: error });
        }
        return socket;
      },
    };
  }
}
