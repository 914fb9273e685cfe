/** The transcript that the README shows, between two marks. */

const BEGIN = '<!-- Written by `make transcripts` from a real cluster. -->\n';
const END = '<!-- Here the transcript ends. -->\n';

/** The README with this transcript in place of the one that it has. */
export function withTranscript(readme: string, transcript: string): string {
  const { before, after } = parts(readme);
  return `${before}${BEGIN}\n${transcript}\n\n${END}${after}`;
}

/** The transcript that the README has. */
export function transcriptOf(readme: string): string {
  return parts(readme).transcript;
}

function parts(readme: string): { before: string; transcript: string; after: string } {
  const [before = '', rest, ...more] = readme.split(BEGIN);
  const [transcript = '', after] = rest?.split(END) ?? [];
  if (after === undefined || more.length > 0) {
    throw new Error(`README.md has not exactly one transcript between ${BEGIN.trim()} and ${END.trim()}`);
  }
  return { before, transcript: transcript.trim(), after };
}
