import { DataSourcePluginOptionsEditorProps } from '@grafana/data';

import { Address, Connection, PortentOptions, PortentSecrets, SecretKey } from '../../types';

export type ConfigProps = DataSourcePluginOptionsEditorProps<PortentOptions, PortentSecrets>;

/** What the fields of the config editor read and write. */
export interface OptionsAccess {
  jsonData: PortentOptions;
  readOnly: boolean;
  connection: (address: Address) => Connection;
  setJsonData: (change: Partial<PortentOptions>) => void;
  setConnection: (address: Address, change: Partial<Connection>) => void;
  /** Reports whether Grafana keeps a value, which it never gives back. */
  isStored: (key: SecretKey) => boolean;
  /** What was typed since the settings were saved. */
  typed: (key: SecretKey) => string;
  setSecret: (key: SecretKey, value: string) => void;
  /** Forgets the stored value; an empty value replaces it when the settings are saved. */
  resetSecret: (key: SecretKey) => void;
  /** Removes the header in one place; the others keep their places, because secrets cannot be moved. */
  removeHeader: (address: Address, at: number) => void;
}

/** Reads and changes the options of a data source. Every change keeps all that it does not name. */
export function optionsAccess({ options, onOptionsChange }: ConfigProps): OptionsAccess {
  const jsonData = options.jsonData ?? {};
  const secrets: PortentSecrets = options.secureJsonData ?? {};
  const stored: Partial<Record<string, boolean>> = options.secureJsonFields ?? {};
  const connection = (address: Address) => jsonData.connections?.[address] ?? {};

  const withConnection = (address: Address, change: Partial<Connection>): PortentOptions => {
    const connections = { ...jsonData.connections, [address]: { ...connection(address), ...change } };
    // Grafana passes the user's token on only when it is told so for the whole data source; the backend then
    // gives it to the addresses with this authentication alone.
    const oauthPassThru = Object.values(connections).some((c) => c?.auth === 'forward');
    return { ...jsonData, connections, oauthPassThru };
  };

  return {
    jsonData,
    readOnly: options.readOnly ?? false,
    connection,
    setJsonData: (change) => onOptionsChange({ ...options, jsonData: { ...jsonData, ...change } }),
    setConnection: (address, change) => onOptionsChange({ ...options, jsonData: withConnection(address, change) }),
    isStored: (key) => stored[key] ?? false,
    typed: (key) => secrets[key] ?? '',
    setSecret: (key, value) => onOptionsChange({ ...options, secureJsonData: { ...secrets, [key]: value } }),
    resetSecret: (key) =>
      onOptionsChange({
        ...options,
        secureJsonFields: { ...options.secureJsonFields, [key]: false },
        secureJsonData: { ...secrets, [key]: '' },
      }),
    removeHeader: (address, at) => {
      const key: SecretKey = `${address}Header${at + 1}`;
      const headers = (connection(address).headers ?? []).map((name, i) => (i === at ? '' : name));
      while (headers.length > 0 && headers[headers.length - 1] === '') {
        headers.pop();
      }
      onOptionsChange({
        ...options,
        jsonData: withConnection(address, { headers }),
        secureJsonFields: { ...options.secureJsonFields, [key]: false },
        secureJsonData: { ...secrets, [key]: '' },
      });
    },
  };
}
