/** What the gateway knows of tenants, as the test says. */
import type { Fleet, GatewayTenant, TenantRef } from '../../src/gateway/model.ts';

export const TENANT: TenantRef = { namespace: 'team', name: 'acme' };

/** A fleet of one tenant, which the test changes. */
export class StaticFleet implements Fleet {
  readonly isSynced = true;
  readonly #listeners = new Set<(tenant: TenantRef) => void>();
  #tenant: GatewayTenant;

  constructor(server: { readonly host: string; readonly port: number }, token: string) {
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
    return namespace === TENANT.namespace && name === TENANT.name ? this.#tenant : undefined;
  }

  onChange(listener: (tenant: TenantRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(changes: Partial<GatewayTenant>): void {
    this.#tenant = { ...this.#tenant, ...changes };
    for (const listener of this.#listeners) listener(TENANT);
  }
}

function serverOf({ host, port }: { readonly host: string; readonly port: number }) {
  return { key: 'team/acme-0', host, port };
}
