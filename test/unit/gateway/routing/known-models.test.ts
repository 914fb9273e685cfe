import { describe, expect, it } from '@jest/globals';
import type { TenantModel } from '../../../../src/gateway/model.ts';
import { slimTenant } from '../../../../src/gateway/routing/slim.ts';
import type { CopilotTenantSpecInput, SecretKeyRef } from '../../../../src/api/tenant.ts';
import { modelSecretRef } from '../../../../src/tenant/decisions/model-credential.ts';
import { modelSecret, sampleTenant } from '../../../support/tenants.ts';
import { ACME, FleetWorld, unavailable } from './world.ts';

type Model = NonNullable<CopilotTenantSpecInput['model']>;
const address = { baseUrl: 'https://models.example.com/v1', model: 'large' };
const PROVIDER: Model = { provider: { ...address, headers: { 'x-team': 'a' }, apiKeySecretRef: { name: 'model' } } };
const GITHUB: Model = { github: { tokenSecretRef: { name: 'model' } } };

/** The fleet with tenant acme, which has this model, and a Secret with these entries. */
function worldWith(model: Model | undefined, injection: 'Gateway' | 'ServerEnv' = 'Gateway'): FleetWorld {
  const world = new FleetWorld();
  say(world, model, injection);
  world.put(modelSecret('api-key', 'sk-1'));
  world.sync();
  return world;
}
let version = 0;
/** The operator lets the gateway read what the tenant refers to, unless `allowed` says otherwise. */
function say(
  world: FleetWorld,
  model: Model | undefined,
  modelInjection: 'Gateway' | 'ServerEnv' = 'Gateway',
  allowed?: SecretKeyRef | 'nothing',
): void {
  version += 1;
  const tenant = sampleTenant(model ? { model } : {}, { resourceVersion: `m${version}` });
  const secret = allowed === 'nothing' ? undefined : (allowed ?? modelSecretRef(tenant));
  const status = { access: 'Gateway', modelInjection, ...(secret && { modelSecret: secret }) } as const;
  world.tenants.set(slimTenant({ ...tenant, status }));
}
function modelOf({ fleet }: FleetWorld): TenantModel {
  const model = fleet.find(ACME)?.model;
  if (model === undefined) throw new Error('the tenant has no login');
  return model;
}

describe('the login that sessions of a tenant get', () => {
  it.each<[string, Model, string, object]>([
    [
      'its provider as a whole',
      PROVIDER,
      'api-key',
      {
        login: {
          provider: {
            type: 'openai',
            wireApi: 'completions',
            baseUrl: address.baseUrl,
            apiKey: 'sk-1',
            headers: { 'x-team': 'a' },
          },
        },
        defaultModel: 'large',
      },
    ],
    [
      'its provider without the field that its type does not have',
      { provider: { ...address, type: 'anthropic', apiKeySecretRef: { name: 'model' } } },
      'api-key',
      { login: { provider: { type: 'anthropic', baseUrl: address.baseUrl, apiKey: 'sk-1' } }, defaultModel: 'large' },
    ],
    ['its GitHub token', GITHUB, 'token', { login: { gitHubToken: 'sk-1' } }],
  ])('is %s', async (_, model, key, expected) => {
    const world = worldWith(model);
    world.put(modelSecret(key, 'sk-1'));
    expect(await modelOf(world).read(0)).toEqual(expected);
  });

  it('needs no Secret where the provider has no key', async () => {
    const world = worldWith({ provider: address });
    const { login } = await modelOf(world).read(0);
    expect(login).toEqual({ provider: { type: 'openai', wireApi: 'completions', baseUrl: address.baseUrl } });
    expect(world.reads).toEqual([]);
  });

  it.each<[string, Model | undefined, 'Gateway' | 'ServerEnv']>([
    ['has none', undefined, 'Gateway'],
    ['only says that the gateway gives it', { injection: 'Gateway' }, 'Gateway'],
    ['leaves it to servers and clients', PROVIDER, 'ServerEnv'],
  ])('is not there if the tenant %s', (_, model, injection) => {
    expect(worldWith(model, injection).fleet.find(ACME)?.model).toBeUndefined();
  });

  it('is read once for all who wait, and again when it is older than asked for', async () => {
    const world = worldWith(PROVIDER);
    const model = modelOf(world);
    await Promise.all([model.read(1000), model.read(1000), model.read(0)]);
    await world.clock.advance(1000);
    await model.read(1000);
    expect(world.reads).toEqual(['Secret model']);
    world.put(modelSecret('api-key', 'sk-2'));
    await world.clock.advance(1);
    expect((await model.read(1000)).login).toMatchObject({ provider: { apiKey: 'sk-2' } });
  });

  it('is another one when the tenant says something else of its model, and only then', () => {
    const world = worldWith(PROVIDER);
    const before = modelOf(world);
    say(world, PROVIDER);
    expect(modelOf(world)).toBe(before);
    say(world, { provider: { ...address, headers: { 'x-team': 'b' } } });
    expect(modelOf(world)).not.toBe(before);
    say(world, undefined);
    expect(world.fleet.find(ACME)?.model).toBeUndefined();
  });

  it.each<[string, Record<string, string> | undefined]>([
    ['there is no Secret', undefined],
    ['it has no such key', { other: 'sk-1' }],
    ['its value is empty', { 'api-key': '' }],
    ['its value has a line break', { 'api-key': 'sk-1\n' }],
  ])('is refused with the condition to look at, and without the value, if %s', async (_, entries) => {
    const world = new FleetWorld();
    say(world, PROVIDER);
    for (const [key, value] of Object.entries(entries ?? {})) world.put(modelSecret(key, value));
    world.sync();
    const error = await modelOf(world)
      .read(0)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining('ModelConfigured of CopilotTenant team/acme') });
    expect(String(error)).not.toContain('sk-1');
  });

  it.each<[string, SecretKeyRef | 'nothing']>([
    ['nothing', 'nothing'],
    ['another Secret', { name: 'other', key: 'api-key' }],
    ['another key', { name: 'model', key: 'other' }],
  ])('is not read if the operator lets the gateway read %s for this tenant, whatever RBAC says', async (_, allowed) => {
    const world = new FleetWorld();
    say(world, PROVIDER, 'Gateway', allowed);
    world.put(modelSecret('api-key', 'sk-1'));
    world.sync();
    await expect(modelOf(world).read(0)).rejects.toThrow('ModelConfigured of CopilotTenant team/acme');
    expect(world.reads).toEqual([]);
  });

  it('is read again two seconds after it could not be, and not before', async () => {
    const world = new FleetWorld();
    say(world, PROVIDER);
    world.sync();
    const model = modelOf(world);
    for (let n = 0; n < 3; n += 1) await expect(model.read(0)).rejects.toThrow('ModelConfigured');
    expect(world.reads).toHaveLength(1);
    world.put(modelSecret('api-key', 'sk-1'));
    await world.clock.advance(2001);
    expect((await model.read(0)).login).toMatchObject({ provider: { apiKey: 'sk-1' } });
  });

  it('is the last one that was read while the API server does not answer, or none', async () => {
    const world = worldWith(PROVIDER);
    world.failure = unavailable();
    await expect(modelOf(world).read(0)).rejects.toThrow('the API server does not answer the gateway; try again');
    await world.clock.advance(2001);
    const before = await modelOf(world).read(0);
    await world.clock.advance(1);
    world.failure = unavailable();
    expect(await modelOf(world).read(0)).toBe(before);
    expect(world.reads).toHaveLength(3);
  });
});
