import { describe, expect, it } from '@jest/globals';
import { parseRule, Script, ScriptError } from '../../model/script.ts';

const rule = (match: string, texts: string[], repeat = false) => ({
  match,
  repeat,
  steps: texts.map((text) => ({ text })),
});

describe('a script', () => {
  it('gives its steps one request at a time and is then used up', () => {
    const script = new Script();
    script.add(rule('weather', ['sunny', 'rainy']));
    expect(script.next('the weather?')).toEqual({ text: 'sunny' });
    expect(script.next('the weather again?')).toEqual({ text: 'rainy' });
    expect(script.next('the weather?')).toBeUndefined();
    expect(script.size).toBe(0);
  });

  it('goes on with the last step when it repeats', () => {
    const script = new Script();
    script.add(rule('', ['first', 'then'], true));
    expect([1, 2, 3].map(() => script.next('x'))).toEqual([{ text: 'first' }, { text: 'then' }, { text: 'then' }]);
  });

  it('leaves the prompts of others alone', () => {
    const script = new Script();
    script.add(rule('alpha', ['for alpha']));
    script.add(rule('beta', ['for beta']));
    expect(script.next('gamma')).toBeUndefined();
    expect(script.next('alpha')).toEqual({ text: 'for alpha' });
    expect(script.next('beta')).toEqual({ text: 'for beta' });
  });

  it('asks the newest rule first', () => {
    const script = new Script();
    script.add(rule('x', ['old'], true));
    script.add(rule('x', ['new']));
    expect(script.next('x')).toEqual({ text: 'new' });
    expect(script.next('x')).toEqual({ text: 'old' });
  });

  it('forgets everything when it is cleared', () => {
    const script = new Script();
    script.add(rule('', ['x'], true));
    script.clear();
    expect(script.next('anything')).toBeUndefined();
  });
});

describe('a rule sent by a test', () => {
  it('is read with its defaults', () => {
    expect(parseRule({ steps: [{ text: 'hi' }] })).toEqual({ match: '', repeat: false, steps: [{ text: 'hi' }] });
  });

  it('may slow the answer, call a tool, or refuse', () => {
    const steps = [
      { text: 'slow', delayMs: 100, chunks: 3 },
      { toolCall: { name: 'bash', arguments: { command: 'ls' } } },
      { error: { status: 429, message: 'too many', code: 'slower', retryAfterSeconds: 1 } },
    ];
    expect(parseRule({ match: 'x', repeat: true, steps }).steps).toEqual(steps);
  });

  it.each([
    [undefined, 'script must be an object'],
    [{ steps: [] }, 'script.steps must be a list of at least one'],
    [{ steps: [{ text: 'x' }], mach: 'y' }, 'script.mach is unknown'],
    [{ match: 1, steps: [{ text: 'x' }] }, 'script.match must be a string'],
    [{ steps: [{ text: 'x' }, { txt: 'x' }] }, 'script.steps[1].txt is unknown'],
    [{ steps: [{ text: 'x', delayMs: -1 }] }, 'script.steps[0].delayMs must be a whole number from 0 to 600000'],
    [{ steps: [{ text: 'x', chunks: 0 }] }, 'script.steps[0].chunks must be a whole number from 1 to 10000'],
    [{ steps: [{ error: { status: 200 } }] }, 'script.steps[0].error.status must be a whole number from 400 to 599'],
    [{ steps: [{ toolCall: { arguments: {} } }] }, 'script.steps[0].toolCall.name must be a string'],
  ])('that cannot be obeyed is refused by naming the field: %j', (input, message) => {
    expect(() => parseRule(input)).toThrow(ScriptError);
    expect(() => parseRule(input)).toThrow(message);
  });
});
