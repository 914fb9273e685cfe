/** What a home is made of, and asks of those around it. */
import type { Dial } from '../../../copilot/index.ts';
import type { Clock } from '../../../kube/clock/clock.ts';
import type { ForcedParams, GatewayServer, StatedDrain, TenantLimits, TenantModel } from '../../model.ts';
import type { SessionRecord } from '../../ownership/decide.ts';
import type { Owners } from '../listing/owners.ts';
import type { RelayLimits, RelayLog, SessionClient } from '../model.ts';
import type { RelayObserver } from '../observer.ts';
import type { SharedVolume } from './moves.ts';

export interface HomeOptions<Home> {
  /** `namespace/server`. */
  readonly key: string;
  readonly clock: Clock;
  readonly limits: RelayLimits;
  readonly dial: Dial | undefined;
  readonly log: RelayLog;
  readonly observer: RelayObserver;
  /** An id for what the gateway makes itself. */
  readonly newId: () => string;
  /** Where the server is now; undefined: nowhere. */
  readonly locate: () => GatewayServer | undefined;
  /** Whether it serves there, as far as the kubelet says; else it may be about to. */
  readonly isReady: () => boolean;
  /** Whether its tenant is there no more, so that it will not come back. */
  readonly isGone: () => boolean;
  /** What is stated of it; undefined: it does not drain. */
  readonly drain: () => StatedDrain | undefined;
  /** What sessions get from their tenant; undefined: clients bring their login. */
  readonly model: () => TenantModel | undefined;
  /** What the CopilotSession that holds the id says; undefined: there is none. */
  readonly record: (sessionId: string) => SessionRecord | undefined;
  /** Whether so many bytes more may be kept of the tenant. */
  readonly mayKeep: (bytes: number) => boolean;
  /** What the tenant limits now. */
  readonly tenantLimits: () => TenantLimits;
  /** Another replica may have been the home, and may still have a connection to the server. */
  readonly mayFollow?: boolean | undefined;
  /** Those of its tenant, who are told of sessions that come and go. */
  readonly clients: () => Iterable<SessionClient>;
  /** A turn has ended, so that its tenant is idle only from now on. */
  readonly onIdle: () => void;
  /** The server says that a session is there, or was deleted. */
  readonly heard: (sessionId: string, isDeletion: boolean) => void;
  /** What every session has; undefined: nothing. */
  readonly forced: ForcedParams | undefined;
  /** Undefined: all clients are one trust domain. */
  readonly owners: Owners | undefined;
  /** Undefined: the server has a volume of its own, and its sessions stay there. */
  readonly shared?: SharedVolume<Home> | undefined;
}
