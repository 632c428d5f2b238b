import React, { useId, useState } from 'react';
import { Box, Button, Combobox, ComboboxOption, Field, Stack } from '@grafana/ui';

import { Address, Auth, Connection } from '../../types';
import { HeadersSetting } from './HeadersSetting';
import { SecretField } from './SecretField';
import { SwitchSetting } from './SwitchSetting';
import { TextSetting } from './TextSetting';
import { OptionsAccess } from './useOptions';

const AUTH_OPTIONS: Array<ComboboxOption<Auth>> = [
  { value: 'none', label: 'None', description: 'No credentials' },
  { value: 'basic', label: 'User and password', description: 'Basic authentication' },
  { value: 'bearer', label: 'Bearer token', description: 'A token, sent as Authorization: Bearer …' },
  { value: 'forward', label: 'Forward the OAuth identity', description: 'The token of the Grafana user who asks' },
];

interface Props {
  access: OptionsAccess;
  address: Address;
}

/** How one address is reached: authentication, TLS, headers. */
export function ConnectionFields({ access, address }: Props) {
  const id = useId();
  const connection = access.connection(address);
  const [open, setOpen] = useState(hasDetails(connection));
  const set = (change: Partial<Connection>) => access.setConnection(address, change);
  const disabled = access.readOnly;

  return (
    <>
      <Field label="Authentication" disabled={disabled}>
        <Combobox
          id={id}
          width={30}
          options={AUTH_OPTIONS}
          value={connection.auth ?? 'none'}
          onChange={({ value }) => set({ auth: value })}
        />
      </Field>
      {connection.auth === 'basic' && (
        <>
          <TextSetting
            label="User"
            value={connection.user ?? ''}
            disabled={disabled}
            onChange={(user) => set({ user })}
          />
          <SecretField access={access} secret={`${address}Password`} label="Password" />
        </>
      )}
      {connection.auth === 'bearer' && <SecretField access={access} secret={`${address}Token`} label="Token" />}
      <Button
        variant="secondary"
        fill="text"
        size="sm"
        icon={open ? 'angle-down' : 'angle-right'}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        TLS, headers, timeout
      </Button>
      {open && (
        <Box paddingTop={2} paddingLeft={2}>
          <Stack direction="column" gap={2}>
            <TlsSettings access={access} address={address} />
            <HeadersSetting access={access} address={address} />
            <TimeoutSetting
              value={connection.timeoutSeconds}
              disabled={disabled}
              onChange={(timeoutSeconds) => set({ timeoutSeconds })}
            />
            <SwitchSetting
              label="Name the Grafana user and organisation"
              description="Sends X-Grafana-User and X-Grafana-Org-Id, for a gateway that decides by them who may see what"
              value={connection.forwardUserAndOrg ?? false}
              disabled={disabled}
              onChange={(forwardUserAndOrg) => set({ forwardUserAndOrg })}
            />
          </Stack>
        </Box>
      )}
    </>
  );
}

function hasDetails({ auth, user, ...details }: Connection): boolean {
  return Object.values(details).some((value) => (Array.isArray(value) ? value.length > 0 : Boolean(value)));
}

function TlsSettings({ access, address }: Props) {
  const connection = access.connection(address);
  const set = (change: Partial<Connection>) => access.setConnection(address, change);
  const disabled = access.readOnly;
  return (
    <Stack direction="column" gap={2}>
      <SwitchSetting
        label="Verify with a CA certificate of your own"
        description="For a certificate that no public authority signed"
        value={connection.tlsWithCaCert ?? false}
        disabled={disabled}
        onChange={(tlsWithCaCert) => set({ tlsWithCaCert })}
      />
      {connection.tlsWithCaCert && (
        <SecretField
          access={access}
          secret={`${address}TlsCaCert`}
          label="CA certificate"
          placeholder="-----BEGIN CERTIFICATE-----"
          lines
        />
      )}
      <SwitchSetting
        label="Authenticate with a client certificate"
        description="Mutual TLS"
        value={connection.tlsClientAuth ?? false}
        disabled={disabled}
        onChange={(tlsClientAuth) => set({ tlsClientAuth })}
      />
      {connection.tlsClientAuth && (
        <>
          <SecretField
            access={access}
            secret={`${address}TlsClientCert`}
            label="Client certificate"
            placeholder="-----BEGIN CERTIFICATE-----"
            lines
          />
          <SecretField
            access={access}
            secret={`${address}TlsClientKey`}
            label="Client key"
            placeholder="-----BEGIN PRIVATE KEY-----"
            lines
          />
        </>
      )}
      {(connection.tlsWithCaCert || connection.tlsClientAuth || connection.tlsServerName) && (
        <TextSetting
          label="Server name"
          description="The name in the certificate, where it is not that of the address"
          placeholder="prometheus.example.org"
          value={connection.tlsServerName ?? ''}
          disabled={disabled}
          onChange={(tlsServerName) => set({ tlsServerName })}
        />
      )}
      <SwitchSetting
        label="Do not verify the certificate"
        description="Anybody on the way can then read and change what is sent: only for a test"
        value={connection.tlsSkipVerify ?? false}
        disabled={disabled}
        onChange={(tlsSkipVerify) => set({ tlsSkipVerify })}
      />
    </Stack>
  );
}

interface TimeoutProps {
  value?: number;
  disabled: boolean;
  onChange: (seconds?: number) => void;
}

function TimeoutSetting({ value, disabled, onChange }: TimeoutProps) {
  const valid = value === undefined || (value >= 0 && value <= 600);
  return (
    <TextSetting
      label="Timeout"
      description="Seconds that a query may take"
      type="number"
      placeholder="30"
      value={value === undefined ? '' : String(value)}
      error={valid ? undefined : 'Want 0 to 600 seconds'}
      disabled={disabled}
      onChange={(text) => onChange(text === '' ? undefined : Number(text))}
    />
  );
}
