// Checks a container group against the names and types of Azure's own models, which `make azure-models` has read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Field {
  /** `str`, `int`, `float`, `bool`, `object`, the name of a model, `[T]` for a list and `{T}` for a map of any names. */
  type: string;
  required?: boolean;
  /** Azure sets it, and takes none. */
  readOnly?: boolean;
  values?: string[];
}

/** A dot in the name of a field stands for a level: `properties.image`. */
type Model = Record<string, Field>;

export const AZURE = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/azure/container-group.json'), 'utf8'),
) as { package: string; apiVersion: string; root: string; models: Record<string, Model> };

/** Keys of the file that are no part of the model: the Azure CLI makes the address of the request from them. */
const OF_THE_REQUEST = ['name', 'apiVersion'];

/** What Azure's API would not take in this container group, each with its path; empty if it takes all of it. */
export function azureFaults(group: unknown): string[] {
  if (!isObject(group)) return ['the group is no object'];
  const missing = OF_THE_REQUEST.filter((key) => typeof group[key] !== 'string').map((key) => `${key} is missing`);
  const body = Object.fromEntries(Object.entries(group).filter(([key]) => !OF_THE_REQUEST.includes(key)));
  return [...missing, ...modelFaults(body, AZURE.root, '')];
}

function modelFaults(value: unknown, name: string, path: string): string[] {
  if (!isObject(value)) return [`${path} is no ${name}`];
  const fields = AZURE.models[name] ?? {};
  const given = new Map(leaves(value, fields, ''));
  const missing = Object.entries(fields)
    .filter(([key, field]) => field.required === true && !given.has(key))
    .map(([key]) => `${path}${key} is missing`);
  const wrong = [...given].flatMap(([key, inner]) => {
    const field = fields[key];
    const at = `${path}${key}`;
    if (field === undefined) return [`${at} is no field of ${name}`];
    if (field.readOnly === true) return [`${at} is set by Azure`];
    if (field.values && !field.values.includes(String(inner))) return [`${at} is none of ${field.values.join(', ')}`];
    return typeFaults(inner, field.type, at);
  });
  return [...missing, ...wrong];
}

/** The fields of an object by their names in the model: `properties` is followed where the model does. */
function leaves(value: Record<string, unknown>, fields: Model, prefix: string): [string, unknown][] {
  return Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
    const name = `${prefix}${key}`;
    const isLevel = Object.keys(fields).some((field) => field.startsWith(`${name}.`));
    return isLevel && isObject(inner) ? leaves(inner, fields, `${name}.`) : [[name, inner]];
  });
}

function typeFaults(value: unknown, type: string, at: string): string[] {
  const inner = type.slice(1, -1);
  if (type.startsWith('[')) {
    if (!Array.isArray(value)) return [`${at} is no list`];
    return value.flatMap((item: unknown, index) => typeFaults(item, inner, `${at}[${index}]`));
  }
  if (type.startsWith('{')) {
    if (!isObject(value)) return [`${at} is no map`];
    return Object.entries(value).flatMap(([key, item]) => typeFaults(item, inner, `${at}.${key}`));
  }
  if (type in AZURE.models) return modelFaults(value, type, `${at}.`);
  return isOf(value, type) ? [] : [`${at} is no ${type}`];
}

function isOf(value: unknown, type: string): boolean {
  switch (type) {
    case 'str':
      return typeof value === 'string';
    case 'bool':
      return typeof value === 'boolean';
    case 'int':
      return Number.isSafeInteger(value);
    case 'float':
      return typeof value === 'number';
    case 'object':
      return isObject(value);
    default:
      throw new Error(`type ${type} is not known: see test/fixtures/azure/container-group.json`);
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
