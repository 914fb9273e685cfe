import { describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { addFleet, type FleetManager } from '../../../../src/gateway/routing/add-fleet.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { onAbort } from '../../../../src/kube/clock/abort.ts';
import { Manager } from '../../../../src/kube/runtime/manager.ts';
import { Metrics } from '../../../../src/kube/runtime/metrics.ts';
import { Pod } from '../../../../src/kube/types/builtins.ts';
import { settle } from '../../../support/fake-clock.ts';
import { ACME, FleetWorld } from './world.ts';

describe('the fleet of a gateway that stops', () => {
  it('learns of new servers until the clients have left, and ends then', async () => {
    const world = new FleetWorld();
    const { clock } = world;
    const client = world.client as KubeClient;
    const [log, metrics] = [pino({ level: 'silent' }), new Metrics()];
    const manager = new Manager({ client, clock, random: () => 0, log, metrics, gracefulStopMs: 3_600_000 });
    const informer = ((type: unknown) => (type === Pod ? world.pods : world.tenants)) as FleetManager['informer'];
    const addController: FleetManager['addController'] = (...added) => manager.addController(...added);
    const fleet = addFleet({ client, clock, log, metrics, informer, addController });
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const run = (stop: AbortSignal) => new Promise<void>((resolve) => void onAbort(stop, () => resolve(left)));
    manager.addRunnable({ name: 'clients', run });
    const stop = new AbortController();
    let outcome: unknown;
    void manager.run(stop.signal).then((found) => (outcome = found));
    world.setTenant();
    world.sync();
    await settle();
    expect(fleet.find(ACME)?.servers).toEqual([]);

    stop.abort();
    await clock.advance(60_000);
    world.setPod(world.pod());
    await settle();
    expect(fleet.find(ACME)?.servers).toMatchObject([{ key: 'team/acme-0', host: '10.0.0.1' }]);
    expect(outcome).toBeUndefined();

    leave();
    await settle();
    expect(outcome).toEqual({ reason: 'stopped' });
  });
});
