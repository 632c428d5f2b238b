import React from 'react';
import { QueryEditorProps } from '@grafana/data';
import { Field, RadioButtonGroup, Stack } from '@grafana/ui';

import { DataSource } from '../datasource';
import { PortentOptions, PortentQuery, QueryType } from '../types';
import { AnomaliesEditor } from './AnomaliesEditor';
import { IncidentsEditor } from './IncidentsEditor';

export type EditorProps = QueryEditorProps<DataSource, PortentQuery, PortentOptions>;

const QUERY_TYPE_OPTIONS: Array<{ value: QueryType; label: string; description: string }> = [
  { value: 'anomalies', label: 'Anomalies', description: 'Series that behave unlike before, from Prometheus' },
  { value: 'incidents', label: 'Incidents', description: 'Incidents and their tickets, from the Portent receiver' },
];

/** The query editor of panels, Explore, alert rules and annotations. */
export function QueryEditor(props: EditorProps) {
  const { query, onChange, onRunQuery } = props;
  const change = (changed: PortentQuery) => {
    onChange(changed);
    onRunQuery();
  };
  return (
    <Stack direction="column" gap={2}>
      <Field label="Show" noMargin>
        <RadioButtonGroup
          aria-label="Query type"
          options={QUERY_TYPE_OPTIONS}
          value={query.queryType ?? 'anomalies'}
          onChange={(queryType) => change({ ...query, queryType })}
        />
      </Field>
      {query.queryType === 'incidents' ? (
        <IncidentsEditor {...props} onQuery={change} />
      ) : (
        <AnomaliesEditor {...props} onQuery={change} />
      )}
    </Stack>
  );
}
