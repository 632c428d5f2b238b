import React from 'react';
import { Combobox, ComboboxOption, Field, MultiCombobox, RadioButtonGroup, Stack } from '@grafana/ui';

import { incidentsOf, IncidentsQuery, PortentQuery, SEVERITIES, Status, STATUSES } from '../types';
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
  const settings = incidentsOf(query);
  const inAnnotation = settings.view === 'annotations';
  const set = (change: Partial<IncidentsQuery>) =>
    onQuery({ ...query, queryType: 'incidents', incidents: { ...query.incidents, ...change } });

  return (
    <Stack direction="column" gap={2}>
      <Stack gap={2} wrap="wrap" alignItems="flex-start">
        {!inAnnotation && (
          <Field label="As" noMargin>
            <RadioButtonGroup
              aria-label="View"
              options={VIEWS}
              value={settings.view}
              onChange={(view) => set({ view })}
            />
          </Field>
        )}
        <Field label="Status" noMargin>
          <Combobox
            aria-label="Status"
            width={18}
            options={STATUS_OPTIONS}
            value={settings.status}
            onChange={({ value }) => set({ status: value })}
          />
        </Field>
        <Field label="Severity" noMargin>
          <MultiCombobox
            aria-label="Severity"
            placeholder="any"
            width="auto"
            minWidth={32}
            maxWidth={50}
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
