import { describe, expect, it } from '@jest/globals';
import { serverImage } from '../../../../src/tenant/decisions/server-image.ts';
import { rolledOutDeployment } from '../fixtures.ts';

const current = rolledOutDeployment({ image: 'copilot:1' });
const asleep = rolledOutDeployment({ image: 'copilot:1', running: false });
const broken = rolledOutDeployment({ image: 'copilot:broken', isNamed: true });
const named = { image: 'copilot:named' };

describe('the image of a server, when the default has become copilot:2', () => {
  it.each([
    ['in the spec', named, current, 'copilot:named'],
    ['in the spec, while suspended', named, asleep, 'copilot:named'],
    ['a new server', {}, undefined, 'copilot:2'],
    ['a server that runs keeps its own', {}, current, 'copilot:1'],
    ['a suspended server keeps its own', {}, asleep, 'copilot:1'],
    ['a server whose spec no longer has one gets the default', {}, broken, 'copilot:2'],
  ])('%s', (_, desired, live, expected) => {
    const isDefault = !('image' in desired);
    expect(serverImage({ ...desired, default: 'copilot:2' }, live)).toEqual({ image: expected, isDefault });
  });

  it('is not that of a changed container', () => {
    const edited = structuredClone(current);
    for (const container of edited.spec?.template.spec?.containers ?? []) container.image = 'copilot:edited';
    expect(serverImage({ default: 'copilot:2' }, edited).image).toBe('copilot:1');
  });
});
