/**
 * The audit log: one line for each client that is admitted or denied, when an admitted one is gone, and when the process stops. No token, and nothing
 * of what it says. The relay writes those of drained servers, of sessions that it takes over, and of prompts in sessions whose users share the turns.
 */
import type { Logger } from 'pino';
import type { Denial } from '../admission/admission.ts';
import { CloseCause, type ClientInfo } from '../client/model.ts';
import { AUDITED, type CloseReason, type TenantRef } from '../model.ts';
import type { TenantAction } from '../../resources/gateway-internal.ts';
import { keyOf } from '../../kube/types/types.ts';

/** How clients end that have not failed at anything. */
const USUAL: readonly string[] = [CloseCause.ClientClosed, CloseCause.Drained];

/** Writes the lines. */
export class Audit {
  readonly #log: Pick<Logger, 'info' | 'warn'>;

  constructor(log: Logger) {
    this.#log = log.child(AUDITED);
  }

  admitted(client: ClientInfo): void {
    this.#log.info(factsOf(client), 'client admitted');
  }

  denied({ id, address }: ClientInfo, { denied, message, tenant }: Denial): void {
    const named = tenant === undefined ? {} : { tenant: keyOf(tenant) };
    this.#log.warn({ client: id, address, ...named, reason: denied, message }, 'client denied');
  }

  /** Somebody has paused or resumed a tenant on the internal port, or closed its clients. */
  acted(action: TenantAction, tenant: TenantRef, user: string, closed: number): void {
    this.#log.warn({ action, tenant: keyOf(tenant), user, closed }, 'tenant changed on the internal port');
  }

  /** This process takes no further clients. */
  stopping(clients: number, leaveMs: number): void {
    this.#log.info(
      { clients, leaveMs },
      'no further clients are accepted; waiting until those that are connected have left',
    );
  }

  /** Of connections that were never admitted the metrics count enough: anybody can make any number of them. */
  closed(client: ClientInfo, { reason, message }: CloseReason): void {
    if (client.identity === undefined) return;
    const line = { ...factsOf(client), reason, message };
    if (USUAL.includes(reason)) this.#log.info(line, 'client gone');
    else this.#log.warn(line, 'client gone');
  }
}

function factsOf({ id, address, identity }: ClientInfo): object {
  if (identity === undefined) return { client: id, address };
  const { tenant, user, credential } = identity;
  return { client: id, address, tenant: keyOf(tenant), user, credential };
}
