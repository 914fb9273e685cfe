/** Asks one replica of the gateway on its internal port. */
import { addressOf } from '../copilot/index.ts';
import { AnswerError, askInternalPort, type Credentials } from '../kube/runtime/internal-port.ts';
import {
  type DrainAnswer,
  type InternalView,
  parseDrains,
  parseTenants,
  type TenantsAnswer,
} from '../resources/gateway-internal.ts';

/** How replicas are reached. */
export interface InternalPort extends Credentials {
  readonly port: number;
}

/** The tenants that are used at the replica with this address. Rejects if it does not answer as it should. */
export async function askGateway(host: string, at: InternalPort, stop: AbortSignal): Promise<TenantsAnswer> {
  return parseTenants(await ask(host, 'tenants', at, stop));
}

/** How far drains are at this replica. `NoDrains`: it is of a version that has none. `Refused`: nothing listens there. Rejects as above. */
export async function askDrains(host: string, at: InternalPort, stop: AbortSignal): Promise<DrainAnswer> {
  try {
    return parseDrains(await ask(host, 'drains', at, stop));
  } catch (error) {
    if (error instanceof AnswerError && error.status === 404) return 'NoDrains';
    if (isRefused(error)) return 'Refused';
    throw error;
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

function ask(host: string, view: InternalView, { port, ...credentials }: InternalPort, stop: AbortSignal) {
  return askInternalPort(addressOf({ host, port }), credentials, stop, { path: `/${view}` });
}
