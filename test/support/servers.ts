/** Servers as the registry is given them. */
import type { ServerRegistry } from '../../src/servers/registry.ts';
import type { HealthSettings, ServerTarget } from '../../src/servers/server.ts';

/** Server acme-0 of namespace `team`, which has been running since the day before, but for what is stated. */
export function serverTarget(changes: Partial<ServerTarget> = {}): ServerTarget {
  return {
    key: 'team/acme-0',
    host: 'acme-0',
    port: 4321,
    token: 'sesame',
    podUID: 'uid-of-the-pod',
    startedAt: Date.UTC(2025, 11, 31),
    health: healthSettings(),
    ...changes,
  };
}

/** The default of `spec.health`, but for what is stated. */
export function healthSettings(changes: Partial<HealthSettings> = {}): HealthSettings {
  return { intervalMs: 10_000, timeoutMs: 5000, failureThreshold: 3, ...changes };
}

/** A registry that only remembers what was set. */
export class RecordedServers implements Pick<ServerRegistry, 'set' | 'remove'> {
  readonly targets = new Map<string, ServerTarget>();
  readonly #onRemove: (key: string) => void;

  constructor(onRemove: (key: string) => void = () => undefined) {
    this.#onRemove = onRemove;
  }

  set(target: ServerTarget): void {
    this.targets.set(target.key, target);
  }

  remove(key: string): void {
    this.targets.delete(key);
    this.#onRemove(key);
  }
}
