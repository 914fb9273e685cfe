// The methods in the CLI's own schema: of the CLI that the images are built from, and of the one that the SDK brings along.
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cliPackageCache } from './copilot-binary.ts';

const root = resolve(import.meta.dirname, '../..');

/** Who calls the method. */
export type Caller = 'client' | 'server';

/** The sections of the schema: `server` and `session` are called by clients, the others by the server. */
const SECTIONS: Readonly<Record<Caller, readonly string[]>> = {
  client: ['server', 'session'],
  server: ['clientSession', 'clientGlobal'],
};

/** Names of the methods that `caller` calls, in order and without repetition. */
export function methodsOf(schema: string, caller: Caller): string[] {
  const parsed = JSON.parse(readFileSync(schema, 'utf8')) as Record<string, unknown>;
  return [...new Set(SECTIONS[caller].flatMap((section) => namesIn(parsed[section])))].toSorted();
}

/** The schema of the CLI in the images. */
export function cliSchema(): string {
  const cache = cliPackageCache();
  const found = readdirSync(cache, { recursive: true, encoding: 'utf8' }).find((path) =>
    /(^|\/)api\.schema\.json$/.test(path),
  );
  if (found === undefined) throw new Error(`no api.schema.json in ${cache}: remove that directory and try again`);
  return join(cache, found);
}

/** The schema of the runtime that the SDK of this project brings along, which is an older one. */
export function sdkSchema(): string {
  return join(root, 'node_modules/@github/copilot-sdk-linux-x64/schemas/api.schema.json');
}

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('rpcMethod' in value && typeof value.rpcMethod === 'string') return [value.rpcMethod];
  return Object.values(value).flatMap(namesIn);
}
