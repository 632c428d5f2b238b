import React, { useId, useState } from 'react';
import { Field, Input } from '@grafana/ui';

import { LabelWithTip } from './LabelWithTip';

interface Props {
  label: string;
  tooltip: string;
  value: number;
  min: number;
  max?: number;
  step?: number;
  integer?: boolean;
  onChange: (value: number) => void;
}

/** A number that takes effect when the field is left or Enter is pressed, and only when it is a valid one. */
export function NumberField({ label, tooltip, value, min, max, step, integer, onChange }: Props) {
  const id = useId();
  const [draft, setDraft] = useState<string>();
  const text = draft ?? String(value);

  const number = text.trim() === '' ? NaN : Number(text);
  const valid =
    Number.isFinite(number) &&
    number >= min &&
    (max === undefined || number <= max) &&
    (!integer || Number.isInteger(number));
  const commit = () => {
    if (!valid) {
      return;
    }
    setDraft(undefined);
    if (number !== value) {
      onChange(number);
    }
  };
  const wanted = max === undefined ? `at least ${min}` : `${min} to ${max}`;

  return (
    <Field
      label={<LabelWithTip htmlFor={id} text={label} tip={tooltip} />}
      invalid={!valid}
      error={valid ? undefined : `Want ${integer ? 'a whole number, ' : 'a number, '}${wanted}`}
      noMargin
    >
      <Input
        id={id}
        type="number"
        width={14}
        min={min}
        max={max}
        step={step ?? 1}
        value={text}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
    </Field>
  );
}
