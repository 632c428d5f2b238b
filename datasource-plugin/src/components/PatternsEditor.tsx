import React, { useId } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Collapse, Combobox, ComboboxOption, Field, MultiCombobox, Stack, TextLink, useStyles2 } from '@grafana/ui';

import { Change, CHANGES, LINE_SEVERITIES, PatternsQuery, patternsOf, PatternsView, PortentQuery } from '../types';
import { Choice } from './Choice';
import { Code, CodeField } from './CodeField';
import { NumberField } from './NumberField';
import type { EditorProps } from './QueryEditor';

const VIEWS: Array<{ value: PatternsView; label: string; description: string }> = [
  {
    value: 'table',
    label: 'Table',
    description: 'A row for each pattern: how often, since when, an example, its query',
  },
  { value: 'causes', label: 'Causes', description: 'What is new or grown and probably began it all' },
  { value: 'timeseries', label: 'Time series', description: 'How many lines of each pattern over time' },
  { value: 'numeric', label: 'Numbers', description: 'How many lines of each pattern: for alert rules' },
  { value: 'logs', label: 'Logs', description: 'The lines themselves' },
];

const COMPARE: Array<ComboboxOption<string>> = [
  { value: '', label: 'nothing' },
  { value: 'previous', label: 'the time before', description: 'as long, right before' },
  { value: '1h', label: 'an hour earlier' },
  { value: '1d', label: 'a day earlier' },
  { value: '1w', label: 'a week earlier' },
];

const capital = (text: string) => text[0].toUpperCase() + text.slice(1);
const SEVERITY_OPTIONS = LINE_SEVERITIES.map((value) => ({ value, label: capital(value) }));
const CHANGE_OPTIONS: Array<ComboboxOption<Change>> = CHANGES.map((value) => ({ value, label: capital(value) }));

/** What a log query is made of, in the words of Loki's own documentation. */
export const LOGQL_HELP: Array<{ code: string; text: string }> = [
  {
    code: '{app="mysql", name=~"mysql.+"}',
    text: 'The stream selector determines which log streams are included: = equal, != not equal, =~ matches a regular expression, !~ does not.',
  },
  {
    code: '|= "error"',
    text: 'Line filter: log line contains string. != does not contain; |~ contains a match to the regular expression; !~ contains no match.',
  },
  {
    code: '|> "<_> level=debug <_>"',
    text: 'Line filter: log line matches the pattern, where <_> is any text. !> does not match it.',
  },
  {
    code: '| json',
    text: 'Parser expression: extracts all JSON properties as labels. | logfmt extracts the keys and values of a logfmt line; | pattern and | regexp take an expression of yours; | unpack undoes Promtail’s pack.',
  },
  {
    code: '| duration >= 20ms or size == 20KB',
    text: 'Label filter: filters log lines by their original and extracted labels. It can compare text, numbers, durations and sizes.',
  },
];

interface Props extends EditorProps {
  /** Changes the query and runs it. */
  onQuery: (query: PortentQuery) => void;
}

/** Which log lines, compared with what. */
export function PatternsEditor({ query, onQuery }: Props) {
  const id = useId();
  const styles = useStyles2(getStyles);
  const settings = patternsOf(query);
  const lines = settings.view === 'logs';
  const set = (change: Partial<PatternsQuery>) =>
    onQuery({ ...query, queryType: 'patterns', patterns: { ...query.patterns, ...change } });
  // Lines have no comparison and no single pattern: the backend refuses them.
  const setView = (view: PatternsView) =>
    set(view === 'logs' ? { view, compare: '', change: [], pattern: '' } : { view });
  const setCompare = (compare: string) => set(compare === '' ? { compare, change: [] } : { compare });

  return (
    <Stack direction="column" gap={2}>
      <Field
        label="Log query"
        htmlFor={`${id}-query`}
        description="LogQL: stream selector, line filters, parsers and label filters. Leave the field or press Shift+Enter to run it."
        noMargin
      >
        <CodeField
          id={`${id}-query`}
          value={settings.query}
          placeholder={'{app="shop"} |= "error"'}
          onCommit={(text) => set({ query: text })}
        />
      </Field>
      <Help />
      <Stack gap={2} wrap="wrap" alignItems="flex-start">
        <Field label="As" noMargin>
          <Choice aria-label="View" options={VIEWS} value={settings.view} onChange={setView} />
        </Field>
        <Field label="Severity" className={styles.list} noMargin>
          <MultiCombobox
            id={`${id}-severity`}
            placeholder="any"
            options={SEVERITY_OPTIONS}
            value={settings.severity}
            onChange={(chosen) =>
              set({ severity: LINE_SEVERITIES.filter((s) => chosen.some(({ value }) => value === s)) })
            }
          />
        </Field>
        {!lines && (
          <Field label="Compare with" noMargin>
            <Combobox
              id={`${id}-compare`}
              width={24}
              createCustomValue
              options={COMPARE}
              value={settings.compare}
              onChange={({ value }) => setCompare(value)}
            />
          </Field>
        )}
        {!lines && settings.compare !== '' && (
          <Field label="Only those that are" className={styles.list} noMargin>
            <MultiCombobox
              id={`${id}-change`}
              placeholder="any of them"
              options={CHANGE_OPTIONS}
              value={settings.change}
              onChange={(chosen) => set({ change: CHANGES.filter((c) => chosen.some(({ value }) => value === c)) })}
            />
          </Field>
        )}
        <NumberField
          label="At most"
          tooltip={lines ? 'Number of lines: the newest.' : 'Number of patterns.'}
          value={settings.limit}
          min={1}
          max={1000}
          integer
          onChange={(limit) => set({ limit })}
        />
        <NumberField
          label="Lines read"
          tooltip="Lines that are read from Loki at most. Where there are more, they are sampled evenly, and the counts say so."
          value={settings.maxLines}
          min={100}
          max={200_000}
          step={1000}
          integer
          onChange={(maxLines) => set({ maxLines })}
        />
      </Stack>
    </Stack>
  );
}

function Help() {
  const styles = useStyles2(getStyles);
  const [open, setOpen] = React.useState(false);
  return (
    <Collapse label="What a log query is made of" isOpen={open} onToggle={setOpen}>
      <dl className={styles.help}>
        {LOGQL_HELP.map(({ code, text }) => (
          <React.Fragment key={code}>
            <dt>
              <code>
                <Code text={code} />
              </code>
            </dt>
            <dd>{text}</dd>
          </React.Fragment>
        ))}
      </dl>
      <TextLink href="https://grafana.com/docs/loki/latest/query/log_queries/" external inline>
        Log queries in the documentation of Loki
      </TextLink>
    </Collapse>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  list: css({ width: theme.spacing(34), maxWidth: '100%' }),
  help: css({
    margin: 0,
    '& dt': { fontWeight: 'normal', overflowWrap: 'anywhere' },
    '& dd': { margin: theme.spacing(0.5, 0, 1.5), color: theme.colors.text.secondary },
  }),
});
