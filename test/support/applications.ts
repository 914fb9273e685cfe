/** Argo CD's Applications, as a watch tells of them: no state that one is in for a moment is missed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { KubeObject } from '../../src/kube/types/types.ts';
import { waitFor } from './wait.ts';
import { toolPath } from './tools.ts';

export interface ArgoResource {
  group?: string;
  kind: string;
  name: string;
  status?: 'Synced' | 'OutOfSync' | 'Unknown';
  health?: { status: string; message?: string };
}

export interface Application extends KubeObject {
  spec: Record<string, unknown>;
  status?: {
    sync?: { status: 'Synced' | 'OutOfSync' | 'Unknown'; revision?: string };
    health?: { status: string };
    resources?: ArgoResource[];
    operationState?: { phase: string; message?: string };
    conditions?: { type: string; message: string }[];
  };
}

/** Longest time until Argo CD has seen a commit, applied it and the servers answer, in ms. */
const SYNC_MS = 300_000;

const nameOf = ({ kind, name }: ArgoResource) => `${kind}/${name}`;

export class Applications {
  readonly #child: ChildProcess;
  readonly #latest = new Map<string, Application>();
  readonly #expected = new Set<string>();
  readonly #installing = new Set<string>();
  /** Resources that were seen to differ from git, whatever the reason: the watch is not blind. */
  readonly differed = new Set<string>();
  /** Resources that were seen to differ from git when nothing had been changed, neither in git nor by hand. */
  readonly surprises: string[] = [];

  /** Watches those of a namespace until `stop`. */
  constructor(namespace: string) {
    const args = ['get', 'applications.argoproj.io', '--namespace', namespace, '--watch', '--output=json'];
    this.#child = spawn(toolPath('kubectl'), args, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (!this.#child.stdout) throw new Error('kubectl has no output');
    let lines: string[] = [];
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      lines.push(line);
      // Where an object that is printed over many lines ends.
      if (line !== '}') return;
      this.#see(JSON.parse(lines.join('\n')) as Application);
      lines = [];
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }

  /** The application brings its resources for the first time: until it is Synced they may differ. */
  installs(application: string): void {
    this.#installing.add(application);
  }

  /** Meanwhile these resources, given as `Kind/name`, are changed in git or by hand. */
  async changing(resources: readonly string[], change: () => Promise<void>): Promise<void> {
    for (const resource of resources) this.#expected.add(resource);
    await change();
    for (const resource of resources) this.#expected.delete(resource);
  }

  get(application: string): Application {
    const found = this.#latest.get(application);
    if (found === undefined) throw new Error(`no Application ${application} was seen`);
    return found;
  }

  /** A resource of an application, as Argo CD sees it. */
  resource(application: string, resource: string): ArgoResource {
    const resources = this.get(application).status?.resources ?? [];
    const found = resources.find((candidate) => nameOf(candidate) === resource);
    if (found === undefined) throw new Error(`${application} has no ${resource}: ${resources.map(nameOf).join(', ')}`);
    return found;
  }

  /** Waits until it is Synced to the commit, nothing is being applied, and its health is this. */
  async waitFor(application: string, { revision, health }: { revision: string; health: string }): Promise<void> {
    await waitFor(
      `${application} is Synced to ${revision} and ${health}`,
      () => {
        const { sync, health: found, operationState } = this.get(application).status ?? {};
        const isAsWanted =
          sync?.status === 'Synced' &&
          sync.revision === revision &&
          found?.status === health &&
          operationState?.phase !== 'Running';
        if (!isAsWanted) throw new Error(this.describe(application));
        return true;
      },
      { withinMs: SYNC_MS, everyMs: 100 },
    );
  }

  /** In a few lines, for a failure. */
  describe(application: string): string {
    const { sync, health, operationState, resources = [], conditions = [] } = this.get(application).status ?? {};
    const others = resources.filter((found) => found.status !== 'Synced' || (found.health?.status ?? '') !== 'Healthy');
    return [
      `${application} is ${sync?.status} at ${sync?.revision}, ${health?.status}`,
      `last operation ${operationState?.phase}: ${operationState?.message}`,
      ...conditions.map(({ type, message }) => `${type}: ${message}`),
      ...others.map((found) => `${nameOf(found)} ${found.status} ${found.health?.status}: ${found.health?.message}`),
    ].join('\n');
  }

  #see(application: Application): void {
    const { name } = application.metadata;
    this.#latest.set(name, application);
    const { sync, resources = [] } = application.status ?? {};
    if (sync?.status === 'Synced') this.#installing.delete(name);
    if (this.#installing.has(name)) return;
    const differing = resources.filter(({ status }) => status !== 'Synced').map(nameOf);
    for (const resource of differing) this.differed.add(resource);
    const unforeseen = differing.filter((resource) => !this.#expected.has(resource));
    if (unforeseen.length > 0) this.surprises.push(`${name} at ${sync?.revision}: ${unforeseen.join(', ')}`);
    else if (sync?.status !== 'Synced' && this.#expected.size === 0) this.surprises.push(`${name}: ${sync?.status}`);
  }
}
