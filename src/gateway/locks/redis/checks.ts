/** Decides by what a Redis says of itself whether it can be used. */
import type { UnavailableReason } from '../store.ts';

/** The oldest that can be used: what is asked of it exists in all later ones, and in Valkey. */
export const MIN_REDIS = '6.2';

/** `problem`: it cannot be used. `warning`: it can, and something about it will go wrong. */
export interface InfoVerdict {
  readonly problem?: { readonly reason: UnavailableReason; readonly what: string; readonly remedy: string };
  readonly warning?: string;
}

/** `info` is the answer to INFO; `isCluster`: the address is of a cluster. */
export function judgeInfo(info: string, isCluster: boolean): InfoVerdict {
  const fields = new Map(
    info.split(/\r?\n/).flatMap((line) => {
      const at = line.indexOf(':');
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
  const version = fields.get('redis_version') ?? '';
  if (!isAtLeast(version, MIN_REDIS)) {
    const what = `it is version ${version || 'unknown'}, which is too old`;
    return { problem: { reason: 'TooOld', what, remedy: `upgrade it to ${MIN_REDIS} or later` } };
  }
  if (fields.get('redis_mode') === 'sentinel') {
    const remedy = '--redis-url must begin with redis+sentinel:// and end with the name of the server';
    return { problem: { reason: 'NotServing', what: 'it is a Sentinel', remedy } };
  }
  if (!isCluster && fields.get('cluster_enabled') === '1') {
    const remedy = '--redis-url must begin with redis+cluster://';
    return { problem: { reason: 'NotServing', what: 'it is a node of a cluster', remedy } };
  }
  if (fields.get('loading') === '1')
    return { problem: { reason: 'NotServing', what: 'it loads its data', remedy: 'wait' } };
  if (fields.get('role') === 'slave') {
    const remedy = '--redis-url must name the server that takes writes, or Sentinels that know it';
    return { problem: { reason: 'ReadOnly', what: 'it is a replica', remedy } };
  }
  const policy = fields.get('maxmemory_policy');
  if (policy === undefined || policy === 'noeviction') return {};
  return {
    warning: `its maxmemory-policy is ${policy}: it may delete records that are in use; set it to noeviction`,
  };
}

function isAtLeast(version: string, least: string): boolean {
  const [major = NaN, minor = 0] = version.split('.').map(Number);
  const [leastMajor = 0, leastMinor = 0] = least.split('.').map(Number);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
