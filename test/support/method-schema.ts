// The methods and parameters in the CLI's own schema: of the CLI that the images are built from, and of the one that the SDK brings along.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
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

/** Types of events, of the schema beside that of the methods, whose data has the id of a request; in order. */
export function eventsWithRequestId(schema: string): string[] {
  const events = JSON.parse(readFileSync(join(dirname(schema), 'session-events.schema.json'), 'utf8')) as Schema;
  const types = Object.values(events.definitions).flatMap(({ properties }) => {
    const type = properties?.['type']?.const;
    const isAsked = propertiesOf(properties?.['data'], events).includes('requestId');
    return typeof type === 'string' && isAsked ? [type] : [];
  });
  return types.toSorted();
}

/** The schema of the runtime that the SDK of this project brings along, which is an older one. */
export function sdkSchema(): string {
  return join(root, 'node_modules/@github/copilot-sdk-linux-x64/schemas/api.schema.json');
}

/** Names of the parameters of a method, and of the properties of the definitions `also`, in order and without repetition. */
export function paramsOf(schema: string, method: string, also: readonly string[] = []): string[] {
  const parsed = JSON.parse(readFileSync(schema, 'utf8')) as Schema;
  const found = SECTIONS.client.map((section) => entryOf(parsed[section], method)).find((entry) => entry !== undefined);
  const properties = [found?.params, ...also.map((name) => parsed.definitions[name])].map((each) =>
    propertiesOf(each, parsed),
  );
  return [...new Set(properties.flat())].toSorted();
}

/**
 * Reads a schema once for many methods. The function returns the params that a method requires, each with some value of the right type;
 * none for a method that stands in no schema.
 */
export function paramSamples(schema: string): (method: string) => Record<string, unknown> {
  const parsed = JSON.parse(readFileSync(schema, 'utf8')) as Schema;
  return (method) => {
    const found = SECTIONS.client
      .map((section) => entryOf(parsed[section], method))
      .find((entry) => entry !== undefined);
    const sample = sampleOf(found?.params, parsed, 0);
    return typeof sample === 'object' && sample !== null ? { ...sample } : {};
  };
}

/** The SDK that is part of the CLI of the images, as source text. */
export function cliSdkSource(): string {
  return readFileSync(join(dirname(cliSchema()), '../copilot-sdk/index.js'), 'utf8');
}

/** The SDK of this project, as source text. */
export function sdkSource(): string {
  return readFileSync(join(root, 'node_modules/@github/copilot-sdk/dist/client.js'), 'utf8');
}

/** Its generated bindings, one function for each method of the schema that it was made with. */
export function sdkBindings(): string {
  return readFileSync(join(root, 'node_modules/@github/copilot-sdk/dist/generated/rpc.js'), 'utf8');
}

/** Names of the methods that an SDK calls, by its source. */
export function calledMethods(source: string): string[] {
  const names = Array.from(source.matchAll(/sendRequest\(\s*"([\w.]+)"/g), ([, name = '']) => name);
  return [...new Set(names)].toSorted();
}

/** Names of what an SDK takes of a server, by its source: requests that it answers, and notifications. */
export function takenMethods(source: string): string[] {
  const names = Array.from(source.matchAll(/on(?:Request|Notification)\(\s*"([\w.]+)"/g), ([, name = '']) => name);
  return [...new Set(names)].toSorted();
}

/**
 * Names of the params with which an SDK calls a method that stands in no schema, by its source: the fields of the object that it
 * passes to `sendRequest`, conditional ones too.
 */
export function sentParams(source: string, method: string): string[] {
  const start = `sendRequest("${method}", {\n`;
  const from = source.indexOf(start);
  if (from === -1) throw new Error(`the SDK does not call ${method} in the way that is known here`);
  const indent = /^ */.exec(source.slice(from + start.length))?.[0] ?? '';
  const body = source.slice(from + start.length, source.indexOf(`\n${indent.slice(2)}}`, from));
  const ofItsOwn = new RegExp(`^${indent}(\\w+)(?:[:,]|$)`, 'gm');
  const ofConditions = new RegExp(`^${indent}\\.\\.\\.[^\\n]*\\?\\s*\\{\\s*(\\w+)`, 'gm');
  return [...body.matchAll(ofItsOwn), ...body.matchAll(ofConditions)].map(([, name = '']) => name).toSorted();
}

interface Schema {
  readonly definitions: Readonly<Record<string, Shape>>;
  readonly [section: string]: unknown;
}

interface Shape {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly anyOf?: readonly Shape[];
}

/** A schema may contain itself. */
const DEEPEST_SAMPLE = 6;

function sampleOf(shape: Shape | null | undefined, schema: Schema, depth: number): unknown {
  if (shape === null || shape === undefined || depth > DEEPEST_SAMPLE) return null;
  if (shape.$ref !== undefined) {
    return sampleOf(schema.definitions[shape.$ref.replace('#/definitions/', '')] ?? {}, schema, depth + 1);
  }
  if (shape.const !== undefined) return shape.const;
  if (shape.enum !== undefined) return shape.enum[0];
  const [first] = shape.anyOf ?? [];
  if (first !== undefined) return sampleOf(first, schema, depth + 1);
  const type = typeof shape.type === 'string' ? shape.type : shape.type?.[0];
  if (type === 'object') {
    const required = (shape.required ?? []).map((name) => [name, shape.properties?.[name] ?? {}] as const);
    return Object.fromEntries(required.map(([name, each]) => [name, sampleOf(each, schema, depth + 1)]));
  }
  return { array: [], boolean: true, integer: 1, number: 1, string: 'x' }[type ?? ''] ?? null;
}

function propertiesOf(shape: Shape | undefined, schema: Schema): string[] {
  const target = shape?.$ref === undefined ? shape : schema.definitions[shape.$ref.replace('#/definitions/', '')];
  return [
    ...Object.keys(target?.properties ?? {}),
    ...(target?.anyOf ?? []).flatMap((each) => propertiesOf(each, schema)),
  ];
}

function entryOf(value: unknown, method: string): { readonly params?: Shape } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('rpcMethod' in value) return value.rpcMethod === method ? (value as { params?: Shape }) : undefined;
  return Object.values(value)
    .map((each) => entryOf(each, method))
    .find((entry) => entry !== undefined);
}

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('rpcMethod' in value && typeof value.rpcMethod === 'string') return [value.rpcMethod];
  return Object.values(value).flatMap(namesIn);
}
