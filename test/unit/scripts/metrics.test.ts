import { describe, expect, it } from '@jest/globals';
import { metricsMarkdown, registered, registeredByGateway } from '../../../scripts/metrics.ts';

describe('docs/metrics.md', () => {
  it('names every value that a label of a metric of the product has from the start', async () => {
    const documented = metricsMarkdown();
    const registries = [registered(), registeredByGateway()];
    const metrics = (await Promise.all(registries.map((each) => each.getMetricsAsJSON()))).flat();
    const wanting = metrics.flatMap(({ name, values }) => {
      const row = documented.split('\n').find((line) => line.startsWith(`| \`${name}\``)) ?? '';
      const labels = values.flatMap(({ labels: found }) => Object.entries(found).filter(([label]) => label !== 'le'));
      return name.startsWith('copilot_')
        ? labels.filter(([, value]) => !row.includes(String(value))).map((label) => [name, ...label])
        : [];
    });
    expect(wanting).toEqual([]);
  });
});
