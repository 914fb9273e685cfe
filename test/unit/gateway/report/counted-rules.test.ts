import { beforeEach, describe, expect, it } from '@jest/globals';
import { Registry } from 'prom-client';
import { methodRules } from '../../../../src/gateway/methods/rules.ts';
import { countedRules } from '../../../../src/gateway/report/counted-rules.ts';
import { GatewayMetrics } from '../../../../src/gateway/report/metrics.ts';
import type { MethodRules } from '../../../../src/gateway/model.ts';

let registry: Registry;
let rules: MethodRules;

beforeEach(() => {
  registry = new Registry();
  rules = countedRules(methodRules('Dedicated'), new GatewayMetrics(registry));
});

async function series(name: string): Promise<Map<string, number>> {
  const { values = [] } = (await registry.getSingleMetric(name)?.get()) ?? {};
  return new Map(values.map(({ labels, value }) => [String(Object.values(labels)[0]), value]));
}

describe('rules that are counted', () => {
  it('are the same, and count denials by reason', async () => {
    expect(rules.ruleOf('session.send')).toMatchObject({ action: 'rewrite', rewrite: 'send' });
    for (const method of ['runtime.shutdown', 'plugins.install', 'mcp.config.add']) {
      expect(rules.ruleOf(method).action).toBe('deny');
    }
    const denied = await series('copilot_gateway_denied_calls_total');
    expect([denied.get('WedgesServer'), denied.get('Installs'), denied.get('Unknown')]).toEqual([1, 2, 0]);
  });

  it('count refused parameters by rule', async () => {
    expect(rules.checkParams('session.create', { configDir: '/tmp/x' })).toMatchObject({ reason: 'SessionPlace' });
    expect(rules.checkParams('session.create', { model: 'm' })).toBeUndefined();
    const refused = await series('copilot_gateway_refused_parameters_total');
    expect([refused.get('SessionPlace'), refused.get('Settings')]).toEqual([1, 0]);
  });

  it('count unknown methods by name, a bounded number of them, and no text that is no name', async () => {
    for (const method of ['session.new', 'session.new', 'x'.repeat(65), 'a b', '', '{"token":"s"}'])
      rules.ruleOf(method);
    for (let n = 0; n < 1_000; n += 1) rules.ruleOf(`made.up${n}`);
    const unknown = await series('copilot_gateway_unknown_methods_total');
    expect(unknown.get('session.new')).toBe(2);
    expect(unknown.get('Other')).toBe(4 + 1_000 - 99);
    expect(unknown.size).toBe(101);
  });
});
