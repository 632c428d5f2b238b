import React, { useId, useState } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Combobox, ComboboxOption, Field, Input, MultiCombobox, Stack, useStyles2 } from '@grafana/ui';

import { FORECAST_PARTS, ForecastPart, ForecastQuery, forecastOf, MAX_FORECAST_SERIES, PortentQuery } from '../types';
import { Choice } from './Choice';
import { CodeField } from './CodeField';
import { MatchersField, toOptions } from './MatchersField';
import { NumberField } from './NumberField';
import type { EditorProps } from './QueryEditor';
import { TextField } from './TextField';

const VIEWS: Array<{ value: ForecastQuery['view']; label: string; description: string }> = [
  {
    value: 'timeseries',
    label: 'Time series',
    description: 'What was, what is expected, and the band in which it will be',
  },
  {
    value: 'table',
    label: 'Table',
    description: 'A row for each series: now, at the horizon, and when the limit is met',
  },
  {
    value: 'numeric',
    label: 'Numbers',
    description: 'The time until the limit, or the value at the horizon: for alert rules',
  },
];

const PART_NAMES: Record<ForecastPart, string> = { history: 'History', forecast: 'Forecast', band: 'Band' };

const HORIZONS: Array<ComboboxOption<string>> = [
  { value: '1h', label: '1h', description: 'an hour' },
  { value: '6h', label: '6h', description: 'six hours' },
  { value: '1d', label: '1d', description: 'a day' },
  { value: '4d', label: '4d', description: 'four days' },
  { value: '7d', label: '7d', description: 'a week' },
  { value: '30d', label: '30d', description: 'a month' },
];

interface Props extends EditorProps {
  /** Changes the query and runs it. */
  onQuery: (query: PortentQuery) => void;
}

/** Which series, how far ahead, and the limit that they may meet. */
export function ForecastEditor({ datasource, query, range, onQuery }: Props) {
  const id = useId();
  const styles = useStyles2(getStyles);
  const settings = forecastOf(query);
  const [byHand, setByHand] = useState(settings.expr !== '');
  const set = (change: Partial<ForecastQuery>) =>
    onQuery({ ...query, queryType: 'forecast', forecast: { ...query.forecast, ...change } });
  const scope = { for: 'forecast' as const, metric: settings.metric, range };

  return (
    <Stack direction="column" gap={2}>
      <Stack gap={2} wrap="wrap" alignItems="flex-start">
        <Field label="Of" noMargin>
          <Choice
            aria-label="Of"
            options={[
              { value: false, label: 'Metric' },
              { value: true, label: 'PromQL' },
            ]}
            value={byHand}
            onChange={setByHand}
          />
        </Field>
        {!byHand && (
          <Field label="Metric" noMargin>
            <Combobox
              id={`${id}-metric`}
              placeholder="a metric; a counter is taken as its rate"
              width="auto"
              minWidth={36}
              maxWidth={70}
              createCustomValue
              value={settings.metric ? { value: settings.metric, label: settings.metric } : null}
              options={(text) => datasource.metrics(text, { for: 'forecast', range }).then(toOptions)}
              onChange={({ value }) => set({ metric: value, expr: '' })}
            />
          </Field>
        )}
      </Stack>
      {byHand && (
        <Field
          label="PromQL"
          htmlFor={`${id}-expr`}
          description="Leave the field or press Shift+Enter to run it."
          noMargin
        >
          <CodeField
            id={`${id}-expr`}
            placeholder="sum by (namespace) (rate(container_cpu_usage_seconds_total[$__rate_interval]))"
            value={settings.expr}
            onCommit={(expr) => set({ expr, metric: '' })}
          />
        </Field>
      )}
      <MatchersField
        datasource={datasource}
        scope={scope}
        description={byHand ? 'Added to every selector of the query' : 'Series of the metric that have all of them'}
        matchers={settings.matchers}
        onChange={(matchers) => set({ matchers })}
      />
      <Stack gap={2} wrap="wrap" alignItems="flex-start">
        <Field label="As" noMargin>
          <Choice aria-label="View" options={VIEWS} value={settings.view} onChange={(view) => set({ view })} />
        </Field>
        <Field label="How far ahead" noMargin>
          <Combobox
            id={`${id}-horizon`}
            width={16}
            createCustomValue
            options={HORIZONS}
            value={{ value: settings.horizon, label: settings.horizon }}
            onChange={({ value }) => set({ horizon: value })}
          />
        </Field>
        <TextField
          label="History"
          tooltip="How far back is looked, such as 14d. Empty: the time range of the dashboard, and at least three times as far as is looked ahead."
          placeholder="the time range"
          value={settings.history}
          onChange={(history) => set({ history })}
        />
        <NumberField
          label="Level"
          tooltip="Share of the future values that the band is to hold."
          value={settings.level}
          min={0.01}
          max={0.999}
          step={0.05}
          onChange={(level) => set({ level })}
        />
        <LimitField value={settings.until} onChange={(until) => set({ until })} />
        <NumberField
          label="At most"
          tooltip="Series with the greatest newest values."
          value={settings.limit}
          min={1}
          max={MAX_FORECAST_SERIES}
          integer
          onChange={(limit) => set({ limit })}
        />
        {settings.view === 'timeseries' && (
          <Field label="Lines" className={styles.list} noMargin>
            <MultiCombobox
              id={`${id}-show`}
              options={FORECAST_PARTS.map((value) => ({ value, label: PART_NAMES[value] }))}
              value={settings.show}
              onChange={(chosen) =>
                set({ show: FORECAST_PARTS.filter((p) => chosen.some(({ value }) => value === p)) })
              }
            />
          </Field>
        )}
        <TextField
          label="Legend"
          tooltip="Name of a line, with {{label}} for the value of a label"
          placeholder="the labels that tell them apart"
          value={settings.legend}
          onChange={(legend) => set({ legend })}
        />
      </Stack>
    </Stack>
  );
}

/** A number, or nothing. */
function LimitField({ value, onChange }: { value: number | null; onChange: (value: number | null) => void }) {
  const id = useId();
  const [draft, setDraft] = useState<string>();
  const text = draft ?? (value === null ? '' : String(value));
  const number = text.trim() === '' ? null : Number(text);
  const valid = number === null || Number.isFinite(number);
  const commit = () => {
    if (valid) {
      setDraft(undefined);
      if (number !== value) {
        onChange(number);
      }
    }
  };
  return (
    <Field label="Limit" htmlFor={id} invalid={!valid} error={valid ? undefined : 'Want a number, or nothing'} noMargin>
      <Input
        id={id}
        width={16}
        placeholder="none"
        value={text}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
    </Field>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  list: css({ width: theme.spacing(34), maxWidth: '100%' }),
});
