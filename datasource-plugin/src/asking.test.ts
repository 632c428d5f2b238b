import { DataFrame, LoadingState } from '@grafana/data';
import { setGrafanaLiveSrv } from '@grafana/runtime';
import { Subject } from 'rxjs';

import { AskError, askByStream, readMessage, Stage } from './asking';

function frame(stage: unknown, result = '', error = ''): Pick<DataFrame, 'fields'> {
  const field = (name: string, value: unknown) => ({ name, values: ['older', value] });
  return {
    fields: [field('stage', stage), field('result', result), field('error', error)],
  } as unknown as DataFrame;
}

/** Grafana Live with one stream, whose messages the test sends. */
function live() {
  const messages = new Subject<unknown>();
  const asked: Array<{ addr: { path: string; data: unknown } }> = [];
  setGrafanaLiveSrv({
    getDataStream: (options: { addr: { path: string; data: unknown } }) => {
      asked.push(options);
      return messages;
    },
  } as unknown as Parameters<typeof setGrafanaLiveSrv>[0]);
  const say = (stage: Stage, result?: string, error?: string) =>
    messages.next({ state: LoadingState.Streaming, data: [frame(stage, result, error)] });
  return { messages, asked, say };
}

describe('a question that is asked by a stream', () => {
  it('reads the newest message', () => {
    expect(readMessage(frame('running'))).toEqual({ stage: 'running', result: '', error: '' });
    expect(readMessage(frame('odd'))).toBeUndefined();
    expect(readMessage(frame(7))).toBeUndefined();
    expect(readMessage({ fields: [] })).toBeUndefined();
  });

  it('tells each stage and gives the answer', async () => {
    const { messages, asked, say } = live();
    const stages: Stage[] = [];
    const answer = askByStream('P1', { ask: { question: 'q' } }, (stage) => stages.push(stage));
    say('translating');
    say('checking');
    say('running');
    say('answered', '{"query":"up"}');
    await expect(answer).resolves.toEqual({ query: 'up' });
    expect(stages).toEqual(['translating', 'checking', 'running']);
    await Promise.resolve();
    expect(messages.observed).toBe(false);
    expect(asked[0].addr.path).toMatch(/^ask\/[0-9a-f]{32}$/);
    expect(asked[0].addr.data).toEqual({ ask: { question: 'q' } });

    const other = live();
    const again = askByStream('P1', { ask: {} }, () => undefined);
    expect(other.asked[0].addr.path).not.toBe(asked[0].addr.path);
    other.say('failed', '', 'Prometheus is down');
    await expect(again).rejects.toThrow(new AskError('Prometheus is down'));
  });

  it('gives up where there is no stream', async () => {
    jest.useFakeTimers();
    const { messages } = live();
    const answer = askByStream('P1', { ask: {} }, () => undefined);
    jest.advanceTimersByTime(6000);
    await expect(answer).rejects.not.toBeInstanceOf(AskError);
    expect(messages.observed).toBe(false);
    jest.useRealTimers();
  });
});
