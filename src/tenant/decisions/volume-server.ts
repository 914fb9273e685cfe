/** Decides through which server the operator works on a volume that several share. */
import type { ServerObservation } from '../model.ts';

/** What is decided from. */
export interface VolumeServerInput {
  /** The desired servers, in the order of their index. */
  readonly servers: readonly Pick<ServerObservation, 'index' | 'name' | 'ready'>[];
  /** Indexes of the servers that drain. */
  readonly draining: ReadonlySet<number>;
  /** Name of the one that was chosen last, from the status. */
  readonly last: string | undefined;
}

/** The choice, which the status has. */
export interface VolumeServer {
  /** Undefined: no server can be used now. */
  readonly server?: Pick<ServerObservation, 'index' | 'name'> | undefined;
  readonly reason: 'Kept' | 'Chosen' | 'NoneReady';
  readonly message: string;
}

/**
 * One, because what each of them did would be done several times to the same sessions. It stays as long as it can be used; then the first
 * that is ready and is not drained takes over.
 */
export function volumeServer({ servers, draining, last }: VolumeServerInput): VolumeServer {
  const usable = servers.filter(({ index, ready }) => ready && !draining.has(index));
  const kept = usable.find(({ name }) => name === last);
  if (kept !== undefined) {
    return { server: pick(kept), reason: 'Kept', message: `Server ${kept.name} works on the volume as before.` };
  }
  const [first] = usable;
  if (first === undefined) {
    return { reason: 'NoneReady', message: 'No server is ready, so nothing is done on the volume.' };
  }
  const instead = last === undefined ? '' : ` in place of ${last}, which is not ready or is drained`;
  return { server: pick(first), reason: 'Chosen', message: `Server ${first.name} works on the volume${instead}.` };
}

function pick({ index, name }: Pick<ServerObservation, 'index' | 'name'>): Pick<ServerObservation, 'index' | 'name'> {
  return { index, name };
}
