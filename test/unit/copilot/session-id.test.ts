import { describe, expect, it } from '@jest/globals';
import { isSessionId } from '../../../src/copilot/session-id.ts';

describe('what a server may have left under an id', () => {
  it.each<[string, string, boolean]>([
    ['is there for an id of any letters', 'Chat_1-a', true],
    ['is there for the longest id that a server takes', 'a'.repeat(250), true],
    ['is there for one that it refuses, as long as it is a name of a directory', 'a'.repeat(255), true],
    ['is not there for a longer one', 'a'.repeat(256), false],
    ['is not there for a name with a dot', 'a.b', false],
    ['is not there for a path', '../a', false],
    ['is not there without a name', '', false],
  ])('%s', (_case, name, expected) => {
    expect(isSessionId(name)).toBe(expected);
  });
});
