import React, { useState } from 'react';
import { Button, Field, IconButton, Input, SecretInput, Stack } from '@grafana/ui';

import { Address, SecretKey } from '../../types';
import { OptionsAccess } from './useOptions';

interface Props {
  access: OptionsAccess;
  address: Address;
}

/** Headers of one address. The names are settings, the values are secrets. */
export function HeadersSetting({ access, address }: Props) {
  const names = access.connection(address).headers ?? [];
  // A place whose header was removed stays empty, since the secrets behind it cannot be moved; only a place that
  // was just added is shown while it is empty.
  const [added, setAdded] = useState<number[]>([]);
  const places = names.map((_, at) => at).filter((at) => names[at] !== '' || added.includes(at));

  const setName = (at: number, name: string) =>
    access.setConnection(address, { headers: names.map((old, i) => (i === at ? name : old)) });
  const add = () => {
    const free = names.findIndex((name, at) => name === '' && !added.includes(at));
    const at = free >= 0 ? free : names.length;
    setAdded([...added, at]);
    access.setConnection(address, { headers: free >= 0 ? names : [...names, ''] });
  };
  const remove = (at: number) => {
    setAdded(added.filter((other) => other !== at));
    access.removeHeader(address, at);
  };

  return (
    <Field
      label="Headers"
      description="Sent with every request to this address, for example X-Scope-OrgID for a tenant. Values are kept secret."
    >
      <Stack direction="column" gap={1} alignItems="flex-start">
        {places.map((at) => {
          const secret: SecretKey = `${address}Header${at + 1}`;
          return (
            <Stack key={at} gap={1} alignItems="center" role="group" aria-label={`Header ${at + 1}`}>
              <Input
                aria-label="Header name"
                placeholder="X-Scope-OrgID"
                value={names[at]}
                disabled={access.readOnly}
                onChange={(event) => setName(at, event.currentTarget.value)}
              />
              <SecretInput
                aria-label="Header value"
                placeholder="value"
                isConfigured={access.isStored(secret)}
                value={access.typed(secret)}
                disabled={access.readOnly}
                autoComplete="new-password"
                onReset={() => access.resetSecret(secret)}
                onChange={(event) => access.setSecret(secret, event.currentTarget.value)}
              />
              <IconButton
                name="trash-alt"
                tooltip={`Remove header ${at + 1}`}
                disabled={access.readOnly}
                onClick={() => remove(at)}
              />
            </Stack>
          );
        })}
        <Button variant="secondary" size="sm" icon="plus" disabled={access.readOnly} onClick={add}>
          Add header
        </Button>
      </Stack>
    </Field>
  );
}
