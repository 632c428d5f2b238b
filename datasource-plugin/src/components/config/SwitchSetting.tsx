import React, { useId } from 'react';
import { Checkbox } from '@grafana/ui';

interface Props {
  label: string;
  description: string;
  value: boolean;
  disabled: boolean;
  onChange: (value: boolean) => void;
}

/** A setting that is on or off. */
export function SwitchSetting({ label, description, value, disabled, onChange }: Props) {
  const id = useId();
  return (
    // In an element of its own: stretched by a column, the label moves away from its box.
    <div>
      <Checkbox
        id={id}
        label={label}
        description={description}
        value={value}
        disabled={disabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </div>
  );
}
