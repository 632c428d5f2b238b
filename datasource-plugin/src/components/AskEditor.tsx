import React, { useId, useState } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { config, getDataSourceSrv } from '@grafana/runtime';
import { Alert, Button, Field, IconButton, Input, Spinner, Stack, Text, useStyles2 } from '@grafana/ui';

import { STAGE_NAMES } from '../asking';
import { frozenOf } from '../datasource';
import { exploreUrl, nativeDataSource } from '../explore';
import { variablesOf } from '../interpolate';
import { AskQuery, askOf, AskView, Explained, Frozen, PortentQuery, Reading } from '../types';
import { Choice } from './Choice';
import { CodeField } from './CodeField';
import { NumberField } from './NumberField';
import { ExploreLink, PartsField, STORED, withParts } from './PartsField';
import type { EditorProps } from './QueryEditor';
import { QuestionBox } from './QuestionBox';
import { TextField } from './TextField';
import { useAsk } from './useAsk';

const VIEWS: Array<{ value: AskView; label: string; description: string }> = [
  { value: 'auto', label: 'Auto', description: 'What suits the answer: a table, a graph or log lines' },
  { value: 'table', label: 'Table', description: 'A row for each result, the greatest first' },
  { value: 'timeseries', label: 'Time series', description: 'How it went over the time range' },
  { value: 'numeric', label: 'Numbers', description: 'A number for each result: for alert rules and stat panels' },
  { value: 'logs', label: 'Logs', description: 'Log lines, where the answer is lines' },
];

interface Props extends EditorProps {
  /** Changes the query and runs it. */
  onQuery: (query: PortentQuery) => void;
  /** In a variable the view is a table. */
  plain?: boolean;
}

/** A question, the query that answers it, and how it was understood. */
export function AskEditor({ datasource, query, range, data, onQuery, plain }: Props) {
  const id = useId();
  const styles = useStyles2(getStyles);
  const settings = askOf(query);
  const { frozen } = settings;
  const [draft, setDraft] = useState<string>();
  const { asking, ask } = useAsk(datasource, range);
  const question = draft ?? settings.question;

  const set = (change: Partial<AskQuery>) => onQuery({ ...query, queryType: 'ask', ask: { ...query.ask, ...change } });
  const submit = async (text: string, previous: string) => {
    if (text.trim() === '') {
      return;
    }
    const explained = await ask({ ...settings, question: text, previous, frozen: null });
    if (explained) {
      setDraft(undefined);
      set({ question: text, previous, frozen: frozenOf(explained) });
    }
  };
  // A query that was written by hand is checked before it is stored.
  const edit = async (text: string) => {
    const edited: Frozen = {
      ...(frozen ?? emptyFrozen(settings.question)),
      query: text,
      explanation: 'a query written by hand',
      translator: 'person',
    };
    if (await ask({ ...settings, frozen: edited })) {
      set({ question: edited.question, frozen: edited });
    }
  };
  const editPart = async (index: number, text: string) => {
    const all = frozen?.parts ?? [];
    const part = { ...all[index], query: text, explanation: 'a query written by hand', translator: 'person' };
    // The part alone is checked: as a query of its own, without what it is a part by.
    if (frozen && (await ask({ ...settings, frozen: frozenOf(part) }))) {
      const parts = all.map((one, i) => (i === index ? part : one));
      set({ frozen: withParts(frozen, parts) });
    }
  };
  const dropPart = (index: number) => {
    if (frozen?.parts) {
      const parts = frozen.parts.filter((_, i) => i !== index);
      set({ frozen: withParts(frozen, parts) });
    }
  };
  const take = (reading: Reading) => {
    if (frozen) {
      set({ frozen: { ...frozen, ...reading } });
    }
  };
  const answered = answerOf(data, query.refId);
  // Several queries are answered with findings, not with lines.
  const views = frozen?.parts ? VIEWS.filter(({ value }) => value !== 'logs') : VIEWS;
  const inAnnotation = settings.view === 'annotations';
  const busy = asking.stage !== undefined;

  return (
    <Stack direction="column" gap={2}>
      <Field
        label="Question"
        htmlFor={id}
        description={settings.previous ? undefined : 'In plain English: what, of what, since when, by what'}
        noMargin
      >
        <Stack gap={1} alignItems="flex-start" wrap="wrap">
          <div className={styles.grow}>
            <QuestionBox
              id={id}
              value={question}
              placeholder="which namespaces had the most pod evictions in the last 24 hours?"
              suggest={(text) => datasource.questions(text)}
              onChange={setDraft}
              onAsk={(text) => submit(text, settings.previous)}
            />
          </div>
          <Button
            icon={busy ? 'spinner' : frozen && draft === undefined ? 'sync' : 'search'}
            disabled={busy || question.trim() === ''}
            onClick={() => submit(question, settings.previous)}
          >
            {frozen && question === frozen.question ? 'Ask again' : 'Ask'}
          </Button>
        </Stack>
      </Field>
      {settings.previous && (
        <Stack gap={0.5} alignItems="center">
          <Text color="secondary" variant="bodySmall">
            Follows up: {settings.previous}
          </Text>
          <IconButton name="times" size="sm" tooltip="Ask it by itself" onClick={() => set({ previous: '' })} />
        </Stack>
      )}
      {busy && (
        <div role="status" className={styles.status}>
          <Spinner inline size="sm" /> {asking.stage && STAGE_NAMES[asking.stage]} …
        </div>
      )}
      {asking.error && <Alert severity="error" title={asking.error} className={styles.alert} />}
      {asking.explained?.refused && <Refused explained={asking.explained} onAsk={(text) => submit(text, '')} />}
      {frozen && (
        <Stored
          key={frozen.query}
          frozen={frozen}
          alternatives={
            (asking.explained?.refused ? undefined : asking.explained?.alternatives) ?? answered?.alternatives ?? []
          }
          warnings={asking.explained?.warnings ?? []}
          answer={answered?.answer}
          explore={(one) => exploreLink(datasource.options, one, range)}
          onEditPart={editPart}
          onDropPart={dropPart}
          stale={question !== frozen.question}
          onEdit={edit}
          onTake={take}
        />
      )}
      {frozen?.text && <FollowUp disabled={busy} onAsk={(text) => submit(text, frozen.text)} />}
      {!plain && (
        <Stack gap={2} wrap="wrap" alignItems="flex-start">
          {!inAnnotation && (
            <Field label="As" noMargin>
              <Choice aria-label="View" options={views} value={settings.view} onChange={(view) => set({ view })} />
            </Field>
          )}
          <NumberField
            label="At most"
            tooltip={
              inAnnotation
                ? 'Annotations: the newest. 0: 500, which is the most.'
                : 'Series or log lines. 0: a hundred series, a thousand lines.'
            }
            value={settings.limit}
            min={0}
            max={inAnnotation ? 500 : 1000}
            integer
            onChange={(limit) => set({ limit })}
          />
          <TextField
            label="Legend"
            tooltip={`${inAnnotation ? 'Title of a region' : 'Name of a line'}, with {{label}} for the value of a label`}
            placeholder="the labels that tell them apart"
            value={settings.legend}
            onChange={(legend) => set({ legend })}
          />
        </Stack>
      )}
    </Stack>
  );
}

function emptyFrozen(question: string): Frozen {
  return {
    question,
    text: '',
    language: 'promql',
    query: '',
    graph: false,
    span: '',
    ago: '',
    step: '',
    unit: '',
    concept: '',
    explanation: '',
    translator: 'person',
  };
}

/** What the backend said of this query's answer. */
function answerOf(data: EditorProps['data'], refId: string): Explained | undefined {
  const frame = data?.series.find((one) => one.refId === refId && one.meta?.custom?.ask);
  return frame?.meta?.custom?.ask;
}

function exploreLink(options: EditorProps['datasource']['options'], frozen: Frozen, range: EditorProps['range']) {
  const source = nativeDataSource(frozen.language, options, (type) => getDataSourceSrv().getList({ type }));
  return source && exploreUrl(config.appSubUrl ?? '', source, frozen, range);
}

function Refused({ explained, onAsk }: { explained: Explained; onAsk: (text: string) => void }) {
  const styles = useStyles2(getStyles);
  return (
    <Alert severity="warning" title={`Not answered: ${explained.reason}`} className={styles.alert}>
      {explained.suggestions && explained.suggestions.length > 0 && (
        <Stack gap={1} wrap="wrap" alignItems="center">
          <span>Near to it:</span>
          {explained.suggestions.map((text) => (
            <Button key={text} size="sm" variant="secondary" onClick={() => onAsk(text)}>
              {text}
            </Button>
          ))}
        </Stack>
      )}
    </Alert>
  );
}

interface StoredProps {
  frozen: Frozen;
  alternatives: Reading[];
  warnings: string[];
  answer?: string;
  explore: (one: Frozen) => string | undefined;
  onEditPart: (index: number, text: string) => void;
  onDropPart: (index: number) => void;
  /** The question was changed since. */
  stale: boolean;
  onEdit: (text: string) => void;
  onTake: (reading: Reading) => void;
}

/** The query that the panel has stored. */
function Stored({ frozen, alternatives, warnings, answer, explore, stale, onEdit, onTake, ...parts }: StoredProps) {
  const id = useId();
  const queries = [frozen.query, ...(frozen.parts ?? []).map(({ query }) => query)].join('\n');
  const link = frozen.parts ? undefined : explore(frozen);
  const styles = useStyles2(getStyles);
  const fixed = variablesOf(frozen.question).filter((name) => !variablesOf(queries).includes(name));
  const others = alternatives.filter(({ query }) => query !== frozen.query);
  return (
    <Stack direction="column" gap={1}>
      {answer && !stale && <Text element="p">{answer}</Text>}
      {frozen.parts ? (
        <PartsField parts={frozen.parts} explore={explore} onEdit={parts.onEditPart} onDrop={parts.onDropPart} />
      ) : (
        <Field label={frozen.language === 'promql' ? 'PromQL' : 'LogQL'} htmlFor={id} description={STORED} noMargin>
          <CodeField id={id} value={frozen.query} onCommit={onEdit} />
        </Field>
      )}
      <Stack gap={2} wrap="wrap" alignItems="center">
        <Text color="secondary" variant="bodySmall">
          Understood as {frozen.explanation || 'it is written'}
          {frozen.translator === 'model' && ', by a language model'}
        </Text>
        {link && <ExploreLink language={frozen.language} href={link} />}
      </Stack>
      {frozen.when && (
        <Text color="secondary" variant="bodySmall">
          “{frozen.when}” is worked out anew each time this runs{frozen.zone ? `, in the time zone ${frozen.zone}` : ''}
          .
        </Text>
      )}
      {stale && (
        <Text color="warning" variant="bodySmall">
          The question has changed. This query answers “{frozen.question}”: ask, to have one for the new question.
        </Text>
      )}
      {fixed.length > 0 && (
        <Text color="warning" variant="bodySmall">
          The query does not follow {fixed.map((name) => `$${name}`).join(', ')}: it has the values of when it was
          asked.
        </Text>
      )}
      {warnings.map((text) => (
        <Text key={text} color="warning" variant="bodySmall">
          {text}
        </Text>
      ))}
      {others.length > 0 && (
        <div role="group" aria-label="Other readings">
          <Text color="secondary" variant="bodySmall">
            Other readings
          </Text>
          {others.map((reading) => (
            <div key={reading.query} className={styles.reading}>
              <Button size="sm" variant="secondary" fill="text" onClick={() => onTake(reading)}>
                {reading.explanation}
              </Button>
            </div>
          ))}
        </div>
      )}
    </Stack>
  );
}

/** A question that goes on from the one before: "and by pod?" */
function FollowUp({ disabled, onAsk }: { disabled: boolean; onAsk: (text: string) => void }) {
  const id = useId();
  const [text, setText] = useState('');
  const ask = () => {
    if (text.trim() !== '') {
      onAsk(text);
      setText('');
    }
  };
  return (
    <Field label="Follow up" htmlFor={id} noMargin>
      <Input
        id={id}
        placeholder="and by pod? · only in prod · what about last week?"
        disabled={disabled}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Enter' && ask()}
      />
    </Field>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  grow: css({ flex: '1 1 260px', minWidth: 0 }),
  status: css({ color: theme.colors.text.secondary }),
  alert: css({ marginBottom: 0 }),
  reading: css({
    '& button': { height: 'auto', minHeight: theme.spacing(3), maxWidth: '100%', textAlign: 'left' },
    '& button span': { whiteSpace: 'normal', overflowWrap: 'anywhere' },
  }),
});
