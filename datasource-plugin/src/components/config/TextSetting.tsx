import React, { useId } from 'react';
import { Field, Input } from '@grafana/ui';

interface Props {
  label: string;
  description?: string;
  placeholder?: string;
  type?: 'text' | 'url' | 'number';
  value: string;
  error?: string;
  disabled: boolean;
  onChange: (value: string) => void;
}

/** A setting of one line. */
export function TextSetting({
  label,
  description,
  placeholder,
  type = 'text',
  value,
  error,
  disabled,
  onChange,
}: Props) {
  const id = useId();
  return (
    <Field
      label={label}
      description={description}
      htmlFor={id}
      invalid={Boolean(error)}
      error={error}
      disabled={disabled}
    >
      <Input
        id={id}
        type={type}
        placeholder={placeholder}
        value={value}
        spellCheck={false}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </Field>
  );
}
