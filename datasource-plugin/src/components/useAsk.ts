import { useCallback, useEffect, useRef, useState } from 'react';
import { isFetchError } from '@grafana/runtime';
import { TimeRange } from '@grafana/data';

import { Stage } from '../asking';
import { DataSource } from '../datasource';
import { AskQuery, Explained } from '../types';

/** What is known of the question that is being asked. */
export interface Asking {
  /** What is done for it now; undefined when nothing is. */
  stage?: Stage;
  /** The answer; undefined until one came. */
  explained?: Explained;
  /** Why there is none. */
  error?: string;
}

/** The error and what to do about it, as the backend's resources say it. */
export function errorText(error: unknown): string {
  if (isFetchError(error)) {
    const { error: text, hint, message } = error.data ?? {};
    const said = text ?? message ?? `the data source answered ${error.status}`;
    return hint ? `${said} (${hint})` : said;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Asks one question at a time; the answer to one that was replaced by another is not waited for. */
export function useAsk(datasource: DataSource, range?: TimeRange) {
  const [asking, setAsking] = useState<Asking>({});
  const turn = useRef(0);
  useEffect(
    () => () => {
      turn.current = -1;
    },
    []
  );

  const ask = useCallback(
    async (question: Partial<AskQuery>): Promise<Explained | undefined> => {
      const mine = ++turn.current;
      const current = () => mine === turn.current;
      setAsking({ stage: 'translating' });
      try {
        const explained = await datasource.explain(question, range, (stage) => current() && setAsking({ stage }));
        if (!current()) {
          return undefined;
        }
        setAsking({ explained });
        return explained.refused ? undefined : explained;
      } catch (error) {
        if (current()) {
          setAsking({ error: errorText(error) });
        }
        return undefined;
      }
    },
    [datasource, range]
  );
  return { asking, ask };
}
