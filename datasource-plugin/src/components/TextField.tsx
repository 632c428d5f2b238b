import React, { useId, useState } from 'react';
import { Field, Input } from '@grafana/ui';

import { LabelWithTip } from './LabelWithTip';

interface Props {
  label: string;
  tooltip: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
}

/** A text that takes effect when the field is left or Enter is pressed. */
export function TextField({ label, tooltip, placeholder, value, onChange }: Props) {
  const id = useId();
  const [draft, setDraft] = useState<string>();
  const text = draft ?? value;
  const commit = () => {
    setDraft(undefined);
    if (text !== value) {
      onChange(text);
    }
  };

  return (
    <Field label={<LabelWithTip htmlFor={id} text={label} tip={tooltip} />} noMargin>
      <Input
        id={id}
        width={30}
        placeholder={placeholder}
        value={text}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
    </Field>
  );
}
