/**
 * Argo CD's health checks of config/argocd, run as Argo CD runs them: by Lua 5.1, with the libraries `base`, `table`
 * and two functions of `os` and nothing else.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { KubeObject } from '../../src/kube/types/types.ts';
import { PROJECT } from './tenant-api.ts';
import { output } from './tools.ts';

export interface ArgoHealth {
  status: string;
  message: string;
}

const { data: SETTINGS } = parse(readFileSync(join(PROJECT, 'config/argocd/argocd-cm.yaml'), 'utf8')) as {
  data: Record<string, string>;
};

/** What Argo CD with the settings of config/argocd makes of an object. */
export async function argoHealth(object: KubeObject): Promise<ArgoHealth> {
  const [group] = (object.apiVersion ?? '').split('/');
  const script = SETTINGS[`resource.customizations.health.${group}_${object.kind}`];
  if (script === undefined) throw new Error(`config/argocd has no health check for ${group}_${object.kind}`);
  const program = `
    local write, load = io.write, loadstring
    os = { time = os.time, date = os.date }
    getmetatable("").__index = nil
    for _, library in ipairs({ "string", "io", "math", "debug", "coroutine" }) do
      _G[library], package.loaded[library] = nil, nil
    end
    obj = ${luaLiteral(object)}
    local health = assert(load(${luaLiteral(script)}))()
    write(health.status, "\\n", health.message)`;
  const [status = '', ...message] = (await output('lua5.1', ['-'], { input: program })).split('\n');
  return { status, message: message.join('\n') };
}

/** A value of JSON as a Lua expression; nulls are absent, as in Argo CD. */
function luaLiteral(value: unknown): string {
  if (value === null || value === undefined) return 'nil';
  if (typeof value === 'string') {
    return `"${[...Buffer.from(value)].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('')}"`;
  }
  if (Array.isArray(value)) return `{${value.map(luaLiteral).join(',')}}`;
  if (typeof value === 'object') {
    const entries = Object.entries(value).map(([key, item]) => `[${luaLiteral(key)}]=${luaLiteral(item)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value);
}
