import React, { useId } from 'react';
import { Button, Combobox, ComboboxOption, Field, IconButton, Input, Stack } from '@grafana/ui';

import { Cost, ScopeMatcher } from '../../types';
import { OptionsAccess } from './useOptions';

const COST_OPTIONS: Array<ComboboxOption<Cost>> = [
  { value: 'enforce', label: 'Refuse them', description: 'A query beyond the limits is not run' },
  { value: 'warn', label: 'Run them with a warning', description: 'The panel says what the query costs' },
  { value: 'off', label: 'Run them', description: 'What a query costs is not looked at' },
];

const OPERATORS: Array<ComboboxOption<ScopeMatcher['op']>> = [
  { value: '=', label: '=', description: 'equals' },
  { value: '=~', label: '=~', description: 'fits the pattern' },
];

/** What every query of the data source is limited by, and what happens with queries that cost too much. */
export function LimitsSetting({ access }: { access: OptionsAccess }) {
  const id = useId();
  const scope = access.jsonData.scope ?? [];
  const disabled = access.readOnly;
  const set = (changed: ScopeMatcher[]) => access.setJsonData({ scope: changed });
  const change = (at: number, by: Partial<ScopeMatcher>) => set(scope.map((m, i) => (i === at ? { ...m, ...by } : m)));

  return (
    <Stack direction="column" gap={2}>
      <Field
        label="Only these labels"
        description="Put on every selector of every query, whoever wrote it, such as namespace = shop. Nobody who uses this data source sees more."
        noMargin
      >
        <Stack direction="column" gap={1} alignItems="flex-start">
          {scope.map((matcher, at) => (
            <Stack key={at} gap={1} alignItems="center" wrap="wrap" role="group" aria-label={`Limit ${at + 1}`}>
              <Input
                aria-label="Label"
                placeholder="namespace"
                width={20}
                value={matcher.label}
                disabled={disabled}
                onChange={(event) => change(at, { label: event.currentTarget.value })}
              />
              <Combobox
                aria-label={`Operator of limit ${at + 1}`}
                width={9}
                options={OPERATORS}
                value={matcher.op ?? '='}
                disabled={disabled}
                onChange={({ value }) => change(at, { op: value })}
              />
              <Input
                aria-label="Value"
                placeholder="shop"
                width={30}
                value={matcher.value}
                disabled={disabled}
                onChange={(event) => change(at, { value: event.currentTarget.value })}
              />
              <IconButton
                name="trash-alt"
                tooltip={`Remove limit ${at + 1}`}
                disabled={disabled}
                onClick={() => set(scope.filter((_, i) => i !== at))}
              />
            </Stack>
          ))}
          <Button
            variant="secondary"
            size="sm"
            icon="plus"
            disabled={disabled}
            onClick={() => set([...scope, { label: '', op: '=', value: '' }])}
          >
            Add label
          </Button>
        </Stack>
      </Field>
      <Field
        label="Queries that cost too much"
        description="Questions and forecasts are held to 20,000 series a selector, 50 million samples, 31 days and 20 GiB of log lines, by the indexes of the servers, before they run"
        disabled={disabled}
        noMargin
      >
        <Combobox
          id={id}
          aria-label="Queries that cost too much"
          width={34}
          options={COST_OPTIONS}
          value={access.jsonData.cost ?? 'enforce'}
          onChange={({ value }) => access.setJsonData({ cost: value })}
        />
      </Field>
    </Stack>
  );
}
