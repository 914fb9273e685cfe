// What a process of the bundle spends its CPU on: V8's profile, by the part of the program that each sample was in.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A profile that a process writes when it ends. */
export class Profile implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), 'profile-'));

  /** Flags of node for the process. */
  get flags(): string[] {
    return ['--cpu-prof', `--cpu-prof-dir=${this.#dir}`, '--cpu-prof-interval=500'];
  }

  /** Parts of the time in which the process worked, the largest first. */
  shares(): [part: string, share: number][] {
    const [file] = readdirSync(this.#dir);
    if (file === undefined) throw new Error('the process wrote no profile');
    const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(this.#dir, file), 'utf8')) as CpuProfile;
    const maps = new Map<string, SourceMap | undefined>();
    const parts = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame, maps)]));
    const times = new Map<string, number>();
    samples.forEach((id, index) => {
      const part = parts.get(id);
      if (part !== undefined) times.set(part, (times.get(part) ?? 0) + (timeDeltas[index] ?? 0));
    });
    const sum = [...times.values()].reduce((a, b) => a + b, 0);
    return [...times].map(([part, time]): [string, number] => [part, time / sum]).toSorted((a, b) => b[1] - a[1]);
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true });
  }
}

const WRITES = /^(write|writev|shutdown)/;

/** Undefined: it did nothing. */
function partOf(
  { functionName, url, lineNumber, columnNumber }: CallFrame,
  maps: Map<string, SourceMap | undefined>,
): string | undefined {
  if (functionName === '(idle)' || functionName === '(root)') return undefined;
  if (functionName === '(garbage collector)') return 'garbage collection';
  // What is called of C++ has no place; (program) is what calls JavaScript, and reads of sockets.
  if (url === '') return WRITES.test(functionName) ? 'writes, the kernel included' : 'node in C++, reads included';
  if (url.startsWith('node:')) return 'node in JavaScript: streams, sockets';
  const entry = mapOf(url, maps)?.findEntry(lineNumber, columnNumber) ?? {};
  const source = 'originalSource' in entry ? String(entry.originalSource) : '';
  const part = /src\/(?:(gateway\/\w+)|(\w+))/.exec(source);
  return part === null ? 'packages' : (part[1] ?? part[2] ?? 'packages');
}

function mapOf(url: string, maps: Map<string, SourceMap | undefined>): SourceMap | undefined {
  if (maps.has(url)) return maps.get(url);
  const file = `${new URL(url).pathname}.map`;
  // Packages have none.
  const map = existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload) : undefined;
  maps.set(url, map);
  return map;
}
