// What the chart makes of gateway.coordination.
import { describe, expect, it } from '@jest/globals';
import { parseGatewayOptions } from '../../../src/commands/gateway/options.ts';
import { CHART, helmFailure, objectsOf, render, REQUIRED_VALUES } from '../../support/chart.ts';
import { yamlUnder } from '../../support/docs-examples.ts';

interface Deployment {
  readonly strategy: { readonly type?: string };
  readonly template: {
    readonly spec: {
      readonly containers: readonly { readonly args: string[]; readonly volumeMounts: readonly { name: string }[] }[];
      readonly volumes: readonly { readonly name: string }[];
    };
  };
}

async function gatewayWith(gateway: object) {
  const objects = objectsOf(await render({ gateway }));
  const found = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'copilot-gateway');
  if (found === undefined) throw new Error('the chart has no gateway');
  const { strategy, template } = found.spec as unknown as Deployment;
  const [container] = template.spec.containers;
  return {
    strategy: strategy.type ?? 'RollingUpdate',
    options: parseGatewayOptions(container?.args.slice(1) ?? []),
    volumes: template.spec.volumes.map(({ name }) => name),
    mounts: container?.volumeMounts.map(({ name }) => name),
  };
}

describe('the coordination store in the chart', () => {
  it('is Kubernetes by default, for which nothing is mounted', async () => {
    const { strategy, options, volumes } = await gatewayWith({});
    expect([strategy, options.coordination, options.peerPort]).toEqual(['RollingUpdate', { type: 'kubernetes' }, 4324]);
    expect(volumes).toEqual(['operator-token']);
  });

  it('is Redis as the example of the documentation has it', async () => {
    const { gateway } = yamlUnder('gateway.md', '## Coordination store')[0] as { gateway: object };
    const { options, volumes, mounts } = await gatewayWith(gateway);
    expect(options.coordination).toMatchObject({
      type: 'redis',
      redis: {
        address: { kind: 'Sentinel', isTLS: true, master: 'main' },
        username: 'copilot-gateway',
        passwordFile: '/etc/copilot-gateway/redis/password',
        sentinelPasswordFile: undefined,
        caFile: '/etc/copilot-gateway/redis-ca/ca.crt',
      },
    });
    expect(volumes).toEqual(['operator-token', 'redis', 'redis-ca']);
    expect(mounts).toEqual(volumes);
  });

  it('is Redis without a password or TLS, and with that of Sentinels', async () => {
    const type = 'redis';
    const plain = await gatewayWith({ coordination: { type, redis: { url: 'redis://redis:6379' } } });
    expect(plain.options.coordination).toMatchObject({ redis: { passwordFile: undefined, caFile: undefined } });
    expect(plain.volumes).toEqual(['operator-token']);
    const redis = { url: 'redis+sentinel://s:26379/main', secretName: 'redis', sentinelPassword: true };
    const { options } = await gatewayWith({ coordination: { type, redis } });
    const sentinelPasswordFile = '/etc/copilot-gateway/redis/sentinel-password';
    expect(options.coordination).toMatchObject({ redis: { sentinelPasswordFile } });
  });

  it('is memory for one replica, which is stopped before the next one starts', async () => {
    const { strategy, options } = await gatewayWith({ replicas: 1, coordination: { type: 'memory' } });
    expect([strategy, options.coordination, options.peerPort]).toEqual(['Recreate', { type: 'memory' }, undefined]);
  });

  const memory = { type: 'memory' };
  const redis = (more: object) => ({ coordination: { type: 'redis', redis: more } });
  it.each<[string, object, string]>([
    ['memory for two replicas', { coordination: memory }, 'memory is for a gateway with one replica'],
    [
      'memory with an autoscaler',
      { replicas: 1, coordination: memory, autoscaling: { enabled: true } },
      'memory is for a gateway with one replica',
    ],
    ['another store', { coordination: { type: 'etcd' } }, '/gateway/coordination/type'],
    ['Redis without an address', redis({}), 'requires gateway.coordination.redis.url'],
    ['a password in the address', redis({ url: 'redis://u:p@redis' }), '/gateway/coordination/redis/url'],
    ['a user without a password', redis({ url: 'redis://a', username: 'b' }), 'redis.username requires'],
    [
      'a Sentinel without its password',
      redis({ url: 'redis://a', sentinelPassword: true }),
      'sentinelPassword requires',
    ],
  ])('refuses %s', async (_case, gateway, message) => {
    const args = ['template', 'copilot-operator', CHART];
    expect(await helmFailure(args, { ...REQUIRED_VALUES, gateway })).toContain(message);
  });
});
