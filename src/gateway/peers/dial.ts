/** Connects to another replica. */
import type { TLSSocket } from 'node:tls';
import { onAbort } from '../../kube/clock/abort.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { connectByKeys, splitAddress } from '../../kube/runtime/keyed-tls.ts';
import { toError } from '../../kube/types/errors.ts';
import type { Keys } from '../../kube/types/keys.ts';
import { greet, type Purpose } from './greeting.ts';
import type { MemberInfo } from './messages.ts';
import { PeerUnreachableError } from './model.ts';

/** For the connection, its handshake and the greeting, ms. */
export const DIAL_MS = 5_000;

export interface DialOptions {
  readonly keys: Keys;
  readonly clock: Clock;
  readonly self: () => MemberInfo;
}

/**
 * A stream that the member has accepted, with nothing sent on it.
 * @throws PeerUnreachableError
 */
export async function dial(member: MemberInfo, purpose: Purpose, options: DialOptions): Promise<TLSSocket> {
  const late = new AbortController();
  const timer = options.clock.setTimer(DIAL_MS, () => late.abort(new Error(`no answer within ${DIAL_MS} ms`)));
  let socket: TLSSocket | undefined;
  try {
    const reading = purpose === 'forward' ? 'Lends' : 'Keeps';
    socket = await connectByKeys(splitAddress(member.address), options.keys, late.signal, reading);
    using _late = onAbort(late.signal, (reason) => socket?.destroy(toError(reason)));
    await greet(socket, { from: options.self(), to: member.id, purpose });
    return socket;
  } catch (error) {
    socket?.destroy();
    throw new PeerUnreachableError(`${member.id} at ${member.address}: ${toError(error).message.trim()}`);
  } finally {
    timer.cancel();
  }
}
