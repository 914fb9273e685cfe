import { describe, expect, it } from '@jest/globals';
import { drift, generatedFiles } from '../../../scripts/generate.ts';
import { documentedMembers } from '../../../scripts/reference.ts';

describe('generated files', () => {
  it('match src/api: run `make generate` if this fails', () => {
    expect(drift()).toEqual([]);
  });

  it('are named when they are missing or differ', () => {
    expect(drift('/nowhere')).toEqual([...generatedFiles().keys()]);
  });
});

describe('the API reference', () => {
  const reference = generatedFiles().get('docs/api.md') ?? '';

  it.each([
    '`server.idleUnload`',
    '`ForeignObject`',
    '`copilot-operator.dev/client-of`',
    'HEALTH',
    '`DuplicateSessionId`',
    'PHASE',
  ])('describes %s', (name) => {
    expect(reference).toMatch(new RegExp(`^\\| ${name}[^|]*\\|.*\\w{3}`, 'm'));
  });

  it('refuses a constant without a comment', () => {
    const source = "/** Reasons. */\nexport const Reason = {\n  /** Known. */\n  A: 'A',\n  B: 'B',\n} as const;";
    expect(() => documentedMembers(source, 'Reason')).toThrow('Reason.B has no comment');
  });
});
