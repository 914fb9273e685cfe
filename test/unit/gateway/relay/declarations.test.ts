import { describe, expect, it } from '@jest/globals';
import {
  attachParams,
  createParams,
  declares,
  detachParams,
  restated,
  restoreParams,
} from '../../../../src/gateway/relay/setup/declarations.ts';

const a = {
  sessionId: 's',
  model: 'm1',
  tools: [{ name: 'x', description: 'of a' }, { name: 'only_a' }],
  hooks: true,
  streaming: false,
  requestPermission: true,
  provider: { baseUrl: 'of a' },
};
const b = {
  sessionId: 's',
  tools: [{ name: 'x', description: 'of b' }],
  hooks: false,
  streaming: true,
  requestPermission: false,
  workingDirectory: '/w',
  continuePendingWork: true,
};

describe('attaching beside others', () => {
  it('declares the tools of all, the last of each name', () => {
    expect(attachParams(b, [a])['tools']).toEqual([{ name: 'only_a' }, { name: 'x', description: 'of b' }]);
  });

  it('keeps a flag that any of them set', () => {
    expect(attachParams(b, [a])).toMatchObject({ hooks: true, streaming: true, requestPermission: true });
  });

  it('passes on what is only the own request’s, and not what the others had set', () => {
    const params = attachParams(b, [a]);
    expect(params).toMatchObject({ workingDirectory: '/w', continuePendingWork: true });
    expect(params).not.toHaveProperty('model');
    expect(params).not.toHaveProperty('provider');
  });

  it('alone declares its own, with an empty list for tools that are not there', () => {
    expect(attachParams({ model: 'm' }, [])).toEqual({ model: 'm', tools: [] });
  });

  it('leaves lists and entries that are none for the server to refuse', () => {
    expect(attachParams({ tools: 'all' }, [a])['tools']).toBe('all');
    expect(attachParams({ tools: [1, { description: 'no name' }] }, [])['tools']).toEqual([
      1,
      { description: 'no name' },
    ]);
  });
});

describe('attaching once more', () => {
  const once = { ...a, commands: [{ name: 'c' }] };

  it('replaces what it states, and leaves what it does not', () => {
    const own = restated(once, { sessionId: 's', tools: [{ name: 'y' }], hooks: false, provider: null });
    expect(own).toEqual({ ...once, tools: [{ name: 'y' }], hooks: false });
  });

  it('declares what it has then, and says nothing of its model and directory again', () => {
    const stated = { sessionId: 's', tools: [{ name: 'y' }], hooks: false };
    const params = attachParams(stated, [b], restated(once, stated));
    expect(params).toEqual({
      sessionId: 's',
      tools: [{ name: 'x', description: 'of b' }, { name: 'y' }],
      commands: [{ name: 'c' }],
      hooks: false,
      streaming: true,
      requestPermission: true,
    });
  });
});

describe('leaving others', () => {
  it('takes back what only this one declared', () => {
    expect(detachParams(a, [b])).toEqual({
      tools: [{ name: 'x', description: 'of b' }],
      hooks: false,
      streaming: true,
      requestPermission: false,
    });
  });

  it('takes back the flags that only this one set', () => {
    expect(detachParams({ hooks: true, requestUserInput: true, streaming: false }, [{ hooks: true }])).toEqual({
      tools: [],
      hooks: true,
      requestUserInput: false,
      streaming: false,
    });
  });

  it('gives the provider back to the last of the others, if this one had one', () => {
    const other = { provider: { baseUrl: 'of b' } };
    expect(detachParams(a, [other])['provider']).toEqual({ baseUrl: 'of b' });
    expect(detachParams(b, [other])).not.toHaveProperty('provider');
  });
});

describe('loading a session again', () => {
  it('states everything but what is of one request, and what the server has on its disk', () => {
    const params = restoreParams([a, b]);
    expect(params).toMatchObject({ provider: { baseUrl: 'of a' }, hooks: true });
    for (const key of ['sessionId', 'continuePendingWork', 'disableResume', 'model', 'workingDirectory']) {
      expect(params).not.toHaveProperty(key);
    }
  });

  it('states the model and the directory if it is made anew', () => {
    expect(createParams([a, { ...b, model: null }])).toMatchObject({ model: 'm1', workingDirectory: '/w' });
  });
});

it('a tool or command is declared by its name', () => {
  expect(declares(a, 'tools', 'only_a')).toBe(true);
  expect(declares(b, 'tools', 'only_a')).toBe(false);
  expect(declares({ commands: [{ name: 'c' }] }, 'commands', 'c')).toBe(true);
  expect(declares({ commands: 'c' }, 'commands', 'c')).toBe(false);
});
