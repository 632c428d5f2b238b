import React, { useId } from 'react';
import { Field, SecretInput, SecretTextArea } from '@grafana/ui';

import { SecretKey } from '../../types';
import { OptionsAccess } from './useOptions';

interface Props {
  access: OptionsAccess;
  secret: SecretKey;
  label: string;
  description?: string;
  placeholder?: string;
  /** For certificates and keys, which have several lines. */
  lines?: boolean;
}

/** A secret that can be written and reset, but never read back. */
export function SecretField({ access, secret, label, description, placeholder, lines }: Props) {
  const id = useId();
  const shared = {
    id,
    placeholder,
    isConfigured: access.isStored(secret),
    value: access.typed(secret),
    disabled: access.readOnly,
    onReset: () => access.resetSecret(secret),
  };
  return (
    <Field label={label} description={description} htmlFor={id} disabled={access.readOnly}>
      {lines ? (
        <SecretTextArea
          {...shared}
          cols={60}
          rows={4}
          onChange={(event) => access.setSecret(secret, event.currentTarget.value)}
        />
      ) : (
        <SecretInput
          {...shared}
          autoComplete="new-password"
          onChange={(event) => access.setSecret(secret, event.currentTarget.value)}
        />
      )}
    </Field>
  );
}
