import React, { useId } from 'react';
import { SelectableValue } from '@grafana/data';
import { Button, Combobox, ComboboxOption, Field, IconButton, Stack } from '@grafana/ui';

import { DataSource, SuggestionScope } from '../datasource';
import { Matcher, Operator, OPERATORS, Suggestions } from '../types';

const OPERATOR_OPTIONS: Array<ComboboxOption<Operator>> = OPERATORS.map((value) => ({
  value,
  label: value,
  description: { '=': 'equals', '!=': 'differs from', '=~': 'fits the pattern', '!~': 'does not fit' }[value],
}));

/** The options of a combobox from suggestions; an empty value cannot be chosen. */
export function toOptions({ values }: Suggestions): ComboboxOption[] {
  return values.filter((v) => v !== '').map((value) => ({ value, label: value }));
}

interface Props {
  datasource: DataSource;
  scope: SuggestionScope;
  description: string;
  matchers: Matcher[];
  onChange: (matchers: Matcher[]) => void;
}

/** A list of label matchers with suggestions for labels and values. */
export function MatchersField({ datasource, scope, description, matchers, onChange }: Props) {
  const set = (at: number, change: Partial<Matcher>) =>
    onChange(matchers.map((m, i) => (i === at ? { ...m, ...change } : m)));
  const remove = (at: number) => onChange(matchers.filter((_, i) => i !== at));
  const add = () => onChange([...matchers, { label: '', op: '=', value: '' }]);
  const others = (at: number): SuggestionScope => ({ ...scope, matchers: matchers.filter((_, i) => i !== at) });

  return (
    <Field label="Labels" description={description} noMargin>
      <Stack gap={1} wrap="wrap" alignItems="center">
        {matchers.map((matcher, at) => (
          <MatcherRow
            key={at}
            position={at + 1}
            matcher={matcher}
            labels={(text) => datasource.labels(text, others(at)).then(toOptions)}
            values={(text) =>
              matcher.label
                ? datasource.labelValues(matcher.label, text, others(at)).then(toOptions)
                : Promise.resolve([])
            }
            onChange={(change) => set(at, change)}
            onRemove={() => remove(at)}
          />
        ))}
        <Button variant="secondary" icon="plus" size="sm" onClick={add}>
          Add label
        </Button>
      </Stack>
    </Field>
  );
}

interface RowProps {
  position: number;
  matcher: Matcher;
  labels: (text: string) => Promise<ComboboxOption[]>;
  values: (text: string) => Promise<ComboboxOption[]>;
  onChange: (change: Partial<Matcher>) => void;
  onRemove: () => void;
}

function MatcherRow({ position, matcher, labels, values, onChange, onRemove }: RowProps) {
  const chosen = (value: string): SelectableValue<string> & ComboboxOption => ({ value, label: value });
  const id = useId();
  return (
    <Stack gap={0} alignItems="center" wrap="wrap" role="group" aria-label={`Label matcher ${position}`}>
      {/* Grafana 12 knows no aria-label here. */}
      <span id={`${id}-label`} hidden>
        Label
      </span>
      <span id={`${id}-operator`} hidden>
        Operator
      </span>
      <span id={`${id}-value`} hidden>
        Value
      </span>
      <Combobox
        aria-labelledby={`${id}-label`}
        placeholder="label"
        width="auto"
        minWidth={13}
        maxWidth={30}
        createCustomValue
        value={matcher.label ? chosen(matcher.label) : null}
        options={labels}
        onChange={(option) => onChange({ label: option.value })}
      />
      <Combobox
        aria-labelledby={`${id}-operator`}
        width={9}
        value={matcher.op}
        options={OPERATOR_OPTIONS}
        onChange={(option) => onChange({ op: option.value })}
      />
      <Combobox
        aria-labelledby={`${id}-value`}
        placeholder="value"
        width="auto"
        minWidth={14}
        maxWidth={40}
        createCustomValue
        value={matcher.value ? chosen(matcher.value) : null}
        options={values}
        onChange={(option) => onChange({ value: option.value })}
      />
      <IconButton name="times" tooltip={`Remove label matcher ${position}`} onClick={onRemove} />
    </Stack>
  );
}
