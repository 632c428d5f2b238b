import React from 'react';
import { Icon, Label, Stack, Tooltip } from '@grafana/ui';

interface Props {
  htmlFor: string;
  text: string;
  tip: string;
}

/** A field's label with an explanation behind an icon. */
export function LabelWithTip({ htmlFor, text, tip }: Props) {
  return (
    <Label htmlFor={htmlFor}>
      <Stack gap={0.5} alignItems="center">
        <span>{text}</span>
        <Tooltip content={tip}>
          <Icon name="info-circle" size="sm" tabIndex={0} aria-label={tip} />
        </Tooltip>
      </Stack>
    </Label>
  );
}
