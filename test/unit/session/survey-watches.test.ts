import { describe, expect, it } from '@jest/globals';
import { SurveyWatches } from '../../../src/session/survey-watches.ts';
import { FakeSessionSource } from '../../support/fake-sessions.ts';

function open() {
  const source = new FakeSessionSource(() => 0);
  return {
    watches: new SurveyWatches(source),
    watched: () => [...source.watched].toSorted((a, b) => a.localeCompare(b)),
  };
}

describe('what the survey reads in detail', () => {
  it('follows a session from all servers to the one that has it', () => {
    const { watches, watched } = open();
    watches.set('team/alpha', 'alpha', ['team/acme-0', 'team/acme-1']);
    expect(watched()).toEqual(['team/acme-0 alpha', 'team/acme-1 alpha']);
    watches.set('team/alpha', 'alpha', ['team/acme-1']);
    expect(watched()).toEqual(['team/acme-1 alpha']);
  });

  it('ends with the resource', () => {
    const { watches, watched } = open();
    watches.set('team/alpha', 'alpha', ['team/acme-0']);
    watches.forget('team/alpha');
    watches.forget('team/alpha');
    expect(watched()).toEqual([]);
  });

  it('changes with a resource that was recreated for another session', () => {
    const { watches, watched } = open();
    watches.set('team/alpha', 'one', ['team/acme-0']);
    watches.set('team/alpha', 'two', ['team/acme-0']);
    expect(watched()).toEqual(['team/acme-0 two']);
  });

  it('continues when another resource has taken the session over', () => {
    const { watches, watched } = open();
    watches.set('team/old', 'shared', ['team/acme-0']);
    watches.set('team/new', 'shared', ['team/acme-0']);
    watches.forget('team/old');
    expect(watched()).toEqual(['team/acme-0 shared']);
  });
});
