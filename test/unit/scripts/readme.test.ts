import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transcriptOf, withTranscript } from '../../../scripts/transcripts/readme.ts';

const project = (path: string) => readFileSync(join(import.meta.dirname, '../../..', path), 'utf8');
const README = project('README.md');

describe('the transcript of the README', () => {
  it('is one of those in docs/kubectl.md, which a real cluster printed', () => {
    expect(project('docs/kubectl.md')).toContain(`\n\n${transcriptOf(README)}\n\n`);
  });

  it('is replaced, and nothing else', () => {
    const other = withTranscript(README, 'another');
    expect(transcriptOf(other)).toBe('another');
    expect(withTranscript(other, transcriptOf(README))).toBe(README);
  });

  it.each([
    ['no marker', 'text\n'],
    ['two transcripts', README + README],
  ])('is not replaced when there is %s', (_case, readme) => {
    expect(() => withTranscript(readme, 'another')).toThrow('README.md: expected exactly one transcript');
  });
});
