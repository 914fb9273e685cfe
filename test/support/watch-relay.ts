/** One watch on its way through the fault proxy, line by line, so that an injected line starts at the start of a line. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** What happens to an open watch. `halfLine` ends it regularly, inside a line; `silence` keeps it open and forwards nothing. */
export type WatchFault =
  'reset' | 'end' | 'halfLine' | 'garbage' | 'silence' | { error: { code: number; reason: string } };

export class WatchRelay {
  /** Lines that were passed on. */
  lines = 0;
  /** The newest version that was passed on, or that the client has said it knows. */
  version: number;
  readonly #response: ServerResponse;
  #listing: boolean;
  #broken = false;
  #silent = false;
  /** Lines that are held back; undefined: none is. */
  #held: string[] | undefined;

  constructor(response: ServerResponse, query: URLSearchParams) {
    this.#response = response;
    this.version = Number(query.get('resourceVersion') ?? 0);
    this.#listing = query.get('sendInitialEvents') === 'true';
  }

  /** Whether the client gets what happens at once. */
  get passes(): boolean {
    return !this.#broken && this.#held === undefined;
  }

  /** Whether it stays open and forwards nothing any more. */
  get silent(): boolean {
    return this.#silent;
  }

  /** Whether the client still has to get what there was at first. */
  get listing(): boolean {
    return this.#listing && this.passes;
  }

  /** Relays until the API server ends the watch. `onLine` is called after each line that was passed on. */
  relay(upstream: IncomingMessage, onLine: () => void): void {
    const response = this.#response;
    response.flushHeaders();
    let rest = '';
    upstream.setEncoding('utf8');
    upstream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (this.#broken) return;
        if (this.#held !== undefined) this.#held.push(line);
        else this.send(line, onLine);
      }
    });
    upstream.on('end', () => {
      if (!this.#broken) response.end(rest);
    });
    // The API server died: the client must get a broken connection and no regular end.
    upstream.on('error', () => response.socket?.resetAndDestroy());
  }

  /** Passes one line on. */
  send(line: string, onLine: () => void = () => undefined): void {
    this.#response.write(`${line}\n`);
    this.lines += 1;
    this.version = Math.max(this.version, versionIn(line) ?? 0);
    if (this.#listing && line.includes('k8s.io/initial-events-end')) this.#listing = false;
    onLine();
  }

  /** From now on lines are late: they are kept until `release`. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (!this.#broken) for (const line of held) this.send(line);
  }

  break(how: WatchFault): void {
    const response = this.#response;
    this.#broken = true;
    this.#silent = how === 'silence';
    if (how === 'reset') response.socket?.resetAndDestroy();
    else if (how === 'end') response.end();
    else if (how === 'halfLine') response.end('{"type":"MODIFIED","object":{"kind":"Conf');
    else if (how === 'garbage') response.write('<html>502 Bad Gateway</html>\n');
    else if (how !== 'silence') response.end(`${JSON.stringify({ type: 'ERROR', object: failure(how.error) })}\n`);
  }
}

/** The version of the object that is or begins in this JSON. Inside of its strings quotes are escaped, so none is taken from there. */
export function versionIn(json: string): number | undefined {
  const found = /"resourceVersion":"(\d+)"/.exec(json)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The API server's Status of a failure. */
export function failure(fields: { code: number; reason: string; message?: string }): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'injected by the fault proxy',
    ...fields,
  };
}
