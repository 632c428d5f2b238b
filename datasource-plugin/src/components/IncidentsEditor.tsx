import React, { useId } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Combobox, ComboboxOption, Field, MultiCombobox, Stack, useStyles2 } from '@grafana/ui';

import { incidentsOf, IncidentsQuery, PortentQuery, SEVERITIES, Status, STATUSES } from '../types';
import { Choice } from './Choice';
import { MatchersField } from './MatchersField';
import { NumberField } from './NumberField';
import type { EditorProps } from './QueryEditor';

const VIEWS: Array<{ value: IncidentsQuery['view']; label: string; description: string }> = [
  { value: 'table', label: 'Table', description: 'One row for each incident that was open in the time range' },
  { value: 'numeric', label: 'Numbers', description: 'How many, by severity: for alert rules and stat panels' },
];

const STATUS_OPTIONS: Array<ComboboxOption<Status | ''>> = [
  { value: '', label: 'Any' },
  ...STATUSES.map((value) => ({ value, label: value[0].toUpperCase() + value.slice(1) })),
];

const SEVERITY_OPTIONS = SEVERITIES.map((value) => ({ value, label: value[0].toUpperCase() + value.slice(1) }));

interface Props extends EditorProps {
  /** Changes the query and runs it. */
  onQuery: (query: PortentQuery) => void;
}

export function IncidentsEditor({ datasource, query, range, onQuery }: Props) {
  const id = useId();
  const styles = useStyles2(getStyles);
  const settings = incidentsOf(query);
  const inAnnotation = settings.view === 'annotations';
  const set = (change: Partial<IncidentsQuery>) =>
    onQuery({ ...query, queryType: 'incidents', incidents: { ...query.incidents, ...change } });

  return (
    <Stack direction="column" gap={2}>
      <Stack gap={2} wrap="wrap" alignItems="flex-start">
        {!inAnnotation && (
          <Field label="As" noMargin>
            <Choice aria-label="View" options={VIEWS} value={settings.view} onChange={(view) => set({ view })} />
          </Field>
        )}
        <Field label="Status" noMargin>
          <Combobox
            id={`${id}-status`}
            width={18}
            options={STATUS_OPTIONS}
            value={settings.status}
            onChange={({ value }) => set({ status: value })}
          />
        </Field>
        <Field label="Severity" className={styles.severity} noMargin>
          <MultiCombobox
            id={`${id}-severity`}
            placeholder="any"
            options={SEVERITY_OPTIONS}
            value={settings.severity}
            onChange={(options) =>
              set({ severity: SEVERITIES.filter((s) => options.some(({ value }) => value === s)) })
            }
          />
        </Field>
        {settings.view !== 'numeric' && (
          <NumberField
            label="At most"
            tooltip="Number of incidents: the newest."
            value={settings.limit}
            min={1}
            max={1000}
            integer
            onChange={(limit) => set({ limit })}
          />
        )}
      </Stack>
      <MatchersField
        datasource={datasource}
        scope={{ for: 'incidents', range }}
        description="At least one alert of the incident has all of them"
        matchers={settings.matchers}
        onChange={(matchers) => set({ matchers })}
      />
    </Stack>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  severity: css({
    width: theme.spacing(40),
    maxWidth: '100%',
  }),
});
