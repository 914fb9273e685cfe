/** What the gateway knows of tenants, as the test says. */
import type { Fleet, GatewayTenant, TenantRef } from '../../src/gateway/model.ts';

export const TENANT: TenantRef = { namespace: 'team', name: 'acme' };

interface Address {
  readonly host: string;
  readonly port: number;
}

const NO_TOKEN = { token: async () => '', tokenRefused: () => undefined };

/** Address of server `index`, after {@link StaticFleet.scale}. */
export function hostOf(index: number): string {
  return `10.0.0.${index + 1}`;
}

/** A fleet of one tenant, which the test changes. */
export class StaticFleet implements Fleet {
  readonly isSynced = true;
  readonly #listeners = new Set<(tenant: TenantRef) => void>();
  #tenant: GatewayTenant;
  #isDeleted = false;

  constructor(server: Address, token: string) {
    this.#tenant = {
      ...TENANT,
      uid: 'uid-of-acme',
      access: 'Gateway',
      isolation: 'Dedicated',
      credentials: [],
      servers: [{ ...serverOf(server), podUID: 'pod-1', token: async () => token, tokenRefused: () => undefined }],
    };
  }

  find({ namespace, name }: TenantRef): GatewayTenant | undefined {
    const isIt = namespace === TENANT.namespace && name === TENANT.name;
    return isIt && !this.#isDeleted ? this.#tenant : undefined;
  }

  draining(): readonly TenantRef[] {
    return this.#tenant.drains === undefined || this.#isDeleted ? [] : [TENANT];
  }

  onChange(listener: (tenant: TenantRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Has the tenant run `replicas` servers at addresses of their own, all with a volume, but for those that are `away`. */
  scale(replicas: number, away: readonly number[] = []): void {
    const addresses = Array.from({ length: replicas }, (_, index) => ({ host: hostOf(index), port: 4321 }));
    this.serve(addresses.map((address, index) => (away.includes(index) ? undefined : address)));
  }

  /** Has the tenant run servers with a volume at these addresses; undefined: it is away. */
  serve(addresses: readonly (Address | undefined)[]): void {
    const [{ token, tokenRefused } = NO_TOKEN] = this.#tenant.servers;
    const keyOf = (index: number): string => `team/acme-${index}`;
    this.change({
      servers: addresses.flatMap((address, index) =>
        address === undefined
          ? []
          : [{ ...address, key: keyOf(index), podUID: `pod-of-${index}`, token, tokenRefused }],
      ),
      volumes: addresses.map((_, index) => keyOf(index)),
    });
  }

  change(changes: Partial<GatewayTenant>): void {
    this.#tenant = { ...this.#tenant, ...changes };
    this.#announce();
  }

  /** The tenant is gone. */
  delete(): void {
    this.#isDeleted = true;
    this.#announce();
  }

  #announce(): void {
    for (const listener of this.#listeners) listener(TENANT);
  }
}

function serverOf({ host, port }: Address) {
  return { key: 'team/acme-0', host, port };
}
