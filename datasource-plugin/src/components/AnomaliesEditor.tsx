import React, { useId } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Combobox, Field, MultiCombobox, Stack, useStyles2 } from '@grafana/ui';

import { AnomaliesQuery, anomaliesOf, Part, PARTS, PortentQuery, View } from '../types';
import { Choice } from './Choice';
import { MatchersField, toOptions } from './MatchersField';
import { NumberField } from './NumberField';
import type { EditorProps } from './QueryEditor';
import { TextField } from './TextField';

const VIEWS: Array<{ value: View; label: string; description: string }> = [
  { value: 'table', label: 'Table', description: 'What was anomalous in the time range, since when and how much' },
  { value: 'timeseries', label: 'Time series', description: 'Scores and expected bands over time' },
  { value: 'numeric', label: 'Numbers', description: 'The score of each series now: for alert rules and stat panels' },
];

const PART_NAMES: Record<Part, string> = {
  score: 'Score',
  observed: 'Observed',
  expected: 'Expected',
  band: 'Band',
};

interface Props extends EditorProps {
  /** Changes the query and runs it. */
  onQuery: (query: PortentQuery) => void;
}

export function AnomaliesEditor({ datasource, query, range, onQuery }: Props) {
  const id = useId();
  const styles = useStyles2(getStyles);
  const settings = anomaliesOf(query);
  const inAnnotation = settings.view === 'annotations';
  const set = (change: Partial<AnomaliesQuery>) =>
    onQuery({ ...query, queryType: 'anomalies', anomalies: { ...query.anomalies, ...change } });
  const scope = { for: 'anomalies' as const, metric: settings.metric, range };

  return (
    <Stack direction="column" gap={2}>
      <Stack gap={2} wrap="wrap" alignItems="flex-start">
        {!inAnnotation && (
          <Field label="As" noMargin>
            <Choice aria-label="View" options={VIEWS} value={settings.view} onChange={(view) => set({ view })} />
          </Field>
        )}
        <Field label="Metric" noMargin>
          <Combobox
            id={`${id}-metric`}
            placeholder="all metrics"
            width="auto"
            minWidth={28}
            maxWidth={60}
            isClearable
            createCustomValue
            value={settings.metric ? { value: settings.metric, label: settings.metric } : null}
            options={(text) => datasource.metrics(text, { for: 'anomalies', range }).then(toOptions)}
            onChange={(option) => set({ metric: option?.value ?? '' })}
          />
        </Field>
        <NumberField
          label="Score above"
          tooltip="Only series whose score was above. 1 is the border between normal and anomalous; 0 shows all series."
          value={settings.threshold}
          min={0}
          step={0.1}
          onChange={(threshold) => set({ threshold })}
        />
        <NumberField
          label="At most"
          tooltip="Number of series: those with the greatest scores."
          value={settings.limit}
          min={1}
          max={1000}
          integer
          onChange={(limit) => set({ limit })}
        />
      </Stack>
      <MatchersField
        datasource={datasource}
        scope={scope}
        description="Labels of the series that was watched"
        matchers={settings.matchers}
        onChange={(matchers) => set({ matchers })}
      />
      {settings.view === 'timeseries' && (
        <Stack gap={2} wrap="wrap" alignItems="flex-start">
          <Field label="Lines" className={styles.lines} noMargin>
            <MultiCombobox
              id={`${id}-lines`}
              options={PARTS.map((value) => ({ value, label: PART_NAMES[value] }))}
              value={settings.show}
              onChange={(options) => set({ show: PARTS.filter((part) => options.some(({ value }) => value === part)) })}
            />
          </Field>
          <TextField
            label="Legend"
            tooltip="Name of a line. {{instance}} stands for the label instance; empty for metric and labels."
            placeholder="metric and labels"
            value={settings.legend}
            onChange={(legend) => set({ legend })}
          />
        </Stack>
      )}
    </Stack>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  lines: css({
    width: theme.spacing(52),
    maxWidth: '100%',
  }),
});
