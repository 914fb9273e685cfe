import { describe, expect, it } from '@jest/globals';
import { judgeInfo } from '../../../../../src/gateway/locks/redis/checks.ts';

const info = (fields: Record<string, string>) =>
  Object.entries({ redis_version: '7.0.15', role: 'master', maxmemory_policy: 'noeviction', ...fields })
    .map(([name, value]) => `${name}:${value}`)
    .join('\r\n');

describe('what Redis says of itself', () => {
  it.each(['6.2.0', '7.0.15', '8.0.0', '10.0.1'])('is fine: version %s', (version) => {
    expect(judgeInfo(`# Server\r\n${info({ redis_version: version })}`, false)).toEqual({});
  });

  it.each([
    ['an old version', { redis_version: '6.0.20' }, 'TooOld', '6.2'],
    ['a very old one', { redis_version: '2.8.4' }, 'TooOld', '6.2'],
    ['none', { redis_version: '' }, 'TooOld', 'unknown'],
    ['a replica', { role: 'slave' }, 'ReadOnly', 'Sentinels'],
    ['a Sentinel', { redis_mode: 'sentinel' }, 'NotServing', 'redis+sentinel://'],
    ['a node of a cluster', { cluster_enabled: '1' }, 'NotServing', 'redis+cluster://'],
    ['one that loads', { loading: '1' }, 'NotServing', 'loads its data'],
  ])('is a problem: %s', (_what, fields, reason, word) => {
    const { problem } = judgeInfo(info(fields), false);
    expect(problem?.reason).toBe(reason);
    expect(`${problem?.what}; ${problem?.remedy}`).toContain(word);
  });

  it('is fine of a node of a cluster that was expected', () => {
    expect(judgeInfo(info({ cluster_enabled: '1', redis_mode: 'cluster' }), true)).toEqual({});
  });

  it.each(['allkeys-lru', 'volatile-ttl', 'volatile-random'])('is a warning: %s', (policy) => {
    expect(judgeInfo(info({ maxmemory_policy: policy }), false).warning).toContain(policy);
  });
});
