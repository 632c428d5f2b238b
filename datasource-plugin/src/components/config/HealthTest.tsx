import React, { useState } from 'react';
import { Alert, Button, Icon, Stack, Text } from '@grafana/ui';
import { DataSourceWithBackend, getDataSourceSrv, HealthStatus } from '@grafana/runtime';

import { ADDRESSES, Address, AddressHealth } from '../../types';

/** The last test: one result for each configured address, or why there is none. */
export interface TestResult {
  running: boolean;
  error?: string;
  addresses: Partial<Record<Address, AddressHealth>>;
}

export const NOT_TESTED: TestResult = { running: false, addresses: {} };

/** Tests the saved settings of a data source, as Save & test does, and keeps the result for each address. */
export function useHealthTest(uid: string): [TestResult, () => Promise<void>] {
  const [result, setResult] = useState(NOT_TESTED);
  const run = async () => {
    setResult({ running: true, addresses: {} });
    setResult(await testAddresses(uid));
  };
  return [result, run];
}

async function testAddresses(uid: string): Promise<TestResult> {
  try {
    const datasource = await getDataSourceSrv().get({ uid });
    if (!(datasource instanceof DataSourceWithBackend)) {
      return { running: false, error: 'Save the data source first.', addresses: {} };
    }
    const health = await datasource.callHealthCheck();
    const list = health.details?.addresses;
    const addresses = Object.fromEntries(
      (Array.isArray(list) ? list.filter(isAddressHealth) : []).map((a) => [a.name, a])
    );
    const named = Object.keys(addresses).length > 0;
    return {
      running: false,
      addresses,
      error: health.status === HealthStatus.OK || named ? undefined : health.message,
    };
  } catch (error) {
    return {
      running: false,
      error: error instanceof Error ? error.message : 'The test could not be run.',
      addresses: {},
    };
  }
}

function isAddressHealth(value: unknown): value is AddressHealth {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    ADDRESSES.some((address) => address === value.name) &&
    'ok' in value &&
    'message' in value
  );
}

/** The button and what went wrong with the test as a whole. */
export function TestButton({ result, onTest }: { result: TestResult; onTest: () => void }) {
  return (
    <Stack direction="column" gap={1} alignItems="flex-start">
      <Button variant="secondary" icon={result.running ? 'spinner' : 'sync'} disabled={result.running} onClick={onTest}>
        Test the saved addresses
      </Button>
      {result.error && <Alert title={result.error} severity="error" />}
    </Stack>
  );
}

/** What the last test said of one address. */
export function AddressResult({ health }: { health?: AddressHealth }) {
  if (!health) {
    return null;
  }
  return (
    <div role="status">
      <Stack gap={1} alignItems="center">
        <Icon name={health.ok ? 'check-circle' : 'exclamation-circle'} />
        <Text color={health.ok ? 'success' : 'error'}>
          {health.ok ? `${health.message} (${health.latencyMs} ms)` : health.message}
        </Text>
      </Stack>
    </div>
  );
}
