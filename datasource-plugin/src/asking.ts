import { DataFrame, LiveChannelScope, LoadingState, StreamingDataFrame } from '@grafana/data';
import { getGrafanaLiveSrv } from '@grafana/runtime';

import { Explained } from './types';

/** What is done for a question, in order. */
export type Stage = 'translating' | 'checking' | 'running' | 'answered' | 'failed';

export const STAGE_NAMES: Record<Stage, string> = {
  translating: 'Understanding the question',
  checking: 'Checking the query',
  running: 'Running the query',
  answered: 'Answered',
  failed: 'Failed',
};

/** The body of the resource explain and the data of a stream. */
export interface Question {
  ask: Record<string, unknown>;
  from?: number;
  to?: number;
}

/** One message of a stream: the backend's stageFrame. */
export interface Message {
  stage: Stage;
  result: string;
  error: string;
}

/** Reads the newest message of a stream. */
export function readMessage(frame: Pick<DataFrame, 'fields'>): Message | undefined {
  const newest = (name: string): unknown => frame.fields.find((field) => field.name === name)?.values.at(-1);
  const stage = newest('stage');
  if (typeof stage !== 'string' || !(stage in STAGE_NAMES)) {
    return undefined;
  }
  return { stage: stage as Stage, result: String(newest('result') ?? ''), error: String(newest('error') ?? '') };
}

/** A name that nobody else can know: whoever knows it may listen. */
function secretName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** How long to wait for a first word before the question is asked without a stream. */
const SILENCE_MS = 5000;

/**
 * Asks by a stream, which tells each stage as it begins: for answers that take long. Rejects when there is no stream,
 * such as where Grafana Live is switched off.
 */
export function askByStream(uid: string, question: Question, onStage: (stage: Stage) => void): Promise<Explained> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(new Error('no stream')), SILENCE_MS);
    const subscription = getGrafanaLiveSrv()
      .getDataStream({
        addr: { scope: LiveChannelScope.DataSource, stream: uid, path: `ask/${secretName()}`, data: question },
        buffer: { maxLength: 10 },
      })
      .subscribe({
        next: ({ data, state, errors }) => {
          if (state === LoadingState.Error) {
            fail(new Error(errors?.[0]?.message ?? 'the stream failed'));
            return;
          }
          const message = data.length > 0 ? readMessage(data[data.length - 1] as StreamingDataFrame) : undefined;
          if (message) {
            clearTimeout(timer);
            take(message);
          }
        },
        error: fail,
      });
    function end() {
      clearTimeout(timer);
      // It may be told of an error before the variable is there.
      queueMicrotask(() => subscription.unsubscribe());
    }
    function fail(error: unknown) {
      end();
      reject(error);
    }
    function take({ stage, result, error }: Message) {
      if (stage === 'failed') {
        fail(new AskError(error));
      } else if (stage === 'answered') {
        end();
        resolve(JSON.parse(result));
      } else {
        onStage(stage);
      }
    }
  });
}

/** A question that was asked and failed: asking again in another way would not help. */
export class AskError extends Error {}
