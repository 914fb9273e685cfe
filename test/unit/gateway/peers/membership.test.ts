// What replicas tell each other of the dead, and what they do at their own end.
import { describe, expect, it } from '@jest/globals';
import { Core } from '../../../../src/gateway/peers/core.ts';
import type { MemberInfo } from '../../../../src/gateway/peers/messages.ts';
import { initialState, TIMES, type Effect, type SeenLease } from '../../../../src/gateway/peers/state.ts';

const infoOf = (name: string): MemberInfo => ({ id: `${name}.1`, lease: name, address: name });

function leaseOf(name: string, sign: string): SeenLease {
  return { ...infoOf(name), isDraining: false, sign, uid: name, resourceVersion: sign };
}

/** Replicas that have joined, all of which reach each other and the API server. */
class Joined {
  readonly cores: ReadonlyMap<string, Core>;
  now = 0;

  constructor(...names: readonly string[]) {
    this.cores = new Map(names.map((name) => [infoOf(name).id, new Core(initialState(infoOf(name), 0))]));
    this.#renew();
  }

  get all(): readonly Core[] {
    return [...this.cores.values()];
  }

  /** What `effects` of one of them has sent arrives, and the answers to it. */
  deliver(from: Core, effects: readonly Effect[]): void {
    for (const effect of effects) {
      const to = effect.kind === 'Send' ? this.cores.get(effect.to) : undefined;
      if (effect.kind === 'Send' && to !== undefined)
        this.deliver(to, to.received(from.state.self, effect.message, this.now));
    }
  }

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now += TIMES.heartbeat;
      this.#renew();
      for (const core of this.all) this.deliver(core, core.tick(this.now));
    }
  }

  #renew(): void {
    const leases = this.all.map(({ state }) => leaseOf(state.self.lease, String(this.now)));
    for (const core of this.all) this.deliver(core, core.renewed(this.now, this.now));
    for (const core of this.all) this.deliver(core, core.leases(leases, this.now));
  }
}

/** The dead that the next heartbeats tell of. */
function told(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) =>
    effect.kind === 'Send' && effect.message.type === 'Heartbeat' ? effect.message.gossip.dead : [],
  );
}

describe('a replica that has died', () => {
  it('is told of for some minutes, and not for ever, by those who have heard of it', () => {
    const world = new Joined('a', 'b');
    const [a, b] = world.all as [Core, Core];
    world.deliver(a, a.succeeds('x.1', world.now));
    world.pass(TIMES.heartbeat);
    const toldByBoth = () => [a, b].map((core) => told(core.tick(world.now + TIMES.heartbeat)));
    expect(toldByBoth()).toEqual([['x.1'], ['x.1']]);
    world.pass(3 * TIMES.tellOfDeath);
    expect(toldByBoth()).toEqual([[], []]);
    expect([a, b].map(({ state }) => state.dead.has('x.1'))).toEqual([true, true]);
  });
});

describe('a replica that ends', () => {
  it('is not fenced: it holds nothing by then', () => {
    const world = new Joined('a', 'b');
    const [a] = world.all as [Core, Core];
    expect(a.leave(world.now).map(({ kind }) => kind)).toEqual(['Send']);
    expect(a.mayAct(world.now)).toBe(false);
  });
});
