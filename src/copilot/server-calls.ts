/** The methods about the server itself; session-calls.ts has those about sessions. */
import { call, integerOf, stringOf, timeOf } from './answer.ts';
import type { CallOptions, Requester } from './client.ts';

/** The answer to `ping`, without the server's clock, which `getServerTime` reads. */
export interface Pong {
  readonly protocolVersion: number;
}

/** The answer to `status.get`. */
export interface ServerStatus {
  /** The CLI's version, such as `1.0.102`. */
  readonly version: string;
  readonly protocolVersion: number;
}

const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$/;
const NO_PARAMS = {};

/** `ping`: whether the server answers. It loads nothing and keeps no session loaded. */
export async function ping(server: Requester, options: CallOptions): Promise<Pong> {
  const { protocolVersion } = await call(server, 'ping', NO_PARAMS, options);
  return { protocolVersion: integerOf(server, 'ping', 'protocolVersion', protocolVersion) };
}

/** `status.get`: the version that the server runs. */
export async function getStatus(server: Requester, options: CallOptions): Promise<ServerStatus> {
  const { version, protocolVersion } = await call(server, 'status.get', NO_PARAMS, options);
  return {
    version: stringOf(server, 'status.get', 'version', version, VERSION),
    protocolVersion: integerOf(server, 'status.get', 'protocolVersion', protocolVersion),
  };
}

/** `ping`: the time by the server's clock, in ms since the epoch. The times of its sessions are by the same clock. */
export async function getServerTime(server: Requester, options: CallOptions): Promise<number> {
  const { timestamp } = await call(server, 'ping', NO_PARAMS, options);
  return Date.parse(timeOf(server, 'ping', 'timestamp', timestamp));
}
