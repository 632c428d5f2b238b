import React from 'react';
import { QueryEditorProps } from '@grafana/data';
import { Field, Stack } from '@grafana/ui';

import { DataSource } from '../datasource';
import { PortentOptions, PortentQuery, QueryType } from '../types';
import { Choice } from './Choice';
import { AnomaliesEditor } from './AnomaliesEditor';
import { AskEditor } from './AskEditor';
import { ForecastEditor } from './ForecastEditor';
import { IncidentsEditor } from './IncidentsEditor';
import { PatternsEditor } from './PatternsEditor';

export type EditorProps = QueryEditorProps<DataSource, PortentQuery, PortentOptions>;

const QUERY_TYPE_OPTIONS: Array<{ value: QueryType; label: string; description: string }> = [
  { value: 'ask', label: 'Ask', description: 'A question in plain English, answered from Prometheus and Loki' },
  { value: 'anomalies', label: 'Anomalies', description: 'Series that behave unlike before, from Prometheus' },
  { value: 'patterns', label: 'Log patterns', description: 'Thousands of lines as a few patterns, from Loki' },
  { value: 'forecast', label: 'Forecast', description: 'Where series go and when they meet a limit, from Prometheus' },
  { value: 'incidents', label: 'Incidents', description: 'Incidents and their tickets, from the Portent receiver' },
];

/** Annotations are regions or moments, which the other types do not have. */
const ANNOTATION_TYPES: QueryType[] = ['ask', 'anomalies', 'incidents'];

const EDITORS = {
  ask: AskEditor,
  anomalies: AnomaliesEditor,
  patterns: PatternsEditor,
  forecast: ForecastEditor,
  incidents: IncidentsEditor,
};

/** The query editor of panels, Explore, alert rules and annotations. */
export function QueryEditor(props: EditorProps) {
  const { query, onChange, onRunQuery } = props;
  const change = (changed: PortentQuery) => {
    onChange(changed);
    onRunQuery();
  };
  const inAnnotation = [query.anomalies, query.incidents, query.ask].some((one) => one?.view === 'annotations');
  const options = QUERY_TYPE_OPTIONS.filter(({ value }) => !inAnnotation || ANNOTATION_TYPES.includes(value));
  const type = options.some(({ value }) => value === query.queryType) ? query.queryType : 'anomalies';
  const Editor = EDITORS[type];
  return (
    <Stack direction="column" gap={2}>
      <Field label="Show" noMargin>
        <Choice
          aria-label="Query type"
          options={options}
          value={type}
          onChange={(queryType) => change({ ...query, queryType })}
        />
      </Field>
      <Editor {...props} onQuery={change} />
    </Stack>
  );
}
