import React, { ReactNode, useState } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Badge, Box, CollapsableSection, Stack, Text, TextLink, useStyles2 } from '@grafana/ui';

import pluginJson from '../plugin.json';
import { Address, PortentOptions } from '../types';
import { addressError } from './config/addressError';
import { ConnectionFields } from './config/ConnectionFields';
import { LimitsSetting } from './config/LimitsSetting';
import { AddressResult, TestButton, TestResult, useHealthTest } from './config/HealthTest';
import { TextSetting } from './config/TextSetting';
import { ConfigProps, OptionsAccess, optionsAccess } from './config/useOptions';

interface Section {
  address: Address;
  title: string;
  purpose: string;
  urlKey: 'prometheusUrl' | 'receiverUrl' | 'lokiUrl' | 'modelUrl';
  urlDescription: string;
  placeholder: string;
  more?: (access: OptionsAccess) => ReactNode;
}

const SECTIONS: Section[] = [
  {
    address: 'prometheus',
    title: 'Prometheus',
    purpose: 'for anomalies, questions and forecasts',
    urlKey: 'prometheusUrl',
    urlDescription:
      'Prometheus, Mimir, Thanos or another server with the Prometheus API that scrapes portent-exporter, as the Grafana server reaches it',
    placeholder: 'http://localhost:9090',
    more: (access) => (
      <>
        {ScrapeInterval(access)}
        {ExploreUid(access, 'prometheusUid', 'Prometheus')}
      </>
    ),
  },
  {
    address: 'receiver',
    title: 'Portent receiver',
    purpose: 'for incidents',
    urlKey: 'receiverUrl',
    urlDescription: 'portent-receiver, as the Grafana server reaches it',
    placeholder: 'http://localhost:9751',
    more: ReceiverLink,
  },
  {
    address: 'loki',
    title: 'Loki',
    purpose: 'optional: for log patterns, and questions about logs',
    urlKey: 'lokiUrl',
    urlDescription: 'Loki, as the Grafana server reaches it',
    placeholder: 'http://localhost:3100',
    more: (access) => ExploreUid(access, 'lokiUid', 'Loki'),
  },
  {
    address: 'model',
    title: 'Language model',
    purpose: 'optional: writes the query of a question; without it, and when it fails, rules do',
    urlKey: 'modelUrl',
    urlDescription: 'Any address with the OpenAI API, which usually ends in /v1',
    placeholder: 'http://localhost:11434/v1',
    more: ModelName,
  },
];

/** The settings of a data source. */
export function ConfigEditor(props: ConfigProps) {
  const styles = useStyles2(getStyles);
  const access = optionsAccess(props);
  const [result, test] = useHealthTest(props.options.uid);

  return (
    <div className={styles.page}>
      <Stack direction="column" gap={2}>
        <Text color="secondary">
          Give the address of Prometheus, of Loki, of the Portent receiver, or of all of them. Each address has its own
          credentials, which are sent to no other address.{' '}
          <TextLink href={pluginJson.info.links[0].url} external inline>
            Documentation
          </TextLink>
        </Text>
        {SECTIONS.map((section) => (
          <AddressSection
            key={section.address}
            className={styles.section}
            section={section}
            access={access}
            result={result}
          />
        ))}
        <section aria-label="Limits" className={styles.section}>
          <CollapsableSection isOpen={(access.jsonData.scope?.length ?? 0) > 0} label="Limits">
            <Box paddingTop={1} paddingBottom={2}>
              <LimitsSetting access={access} />
            </Box>
          </CollapsableSection>
        </section>
        <TestButton result={result} onTest={test} />
      </Stack>
    </div>
  );
}

interface SectionProps {
  className: string;
  section: Section;
  access: OptionsAccess;
  result: TestResult;
}

function AddressSection({ className, section, access, result }: SectionProps) {
  const { address, title, purpose, urlKey, urlDescription, placeholder, more } = section;
  const url = access.jsonData[urlKey] ?? '';
  const health = result.addresses[address];
  const [open, setOpen] = useState(address === 'prometheus' || address === 'receiver' || url !== '');
  const set = (value: string) => access.setJsonData({ [urlKey]: value } satisfies Partial<PortentOptions>);

  return (
    <section aria-label={title} className={className}>
      <CollapsableSection
        isOpen={open}
        onToggle={setOpen}
        label={
          <Stack gap={1} alignItems="center" wrap="wrap">
            <span>{title}</span>
            <Text variant="bodySmall" color="secondary">
              {purpose}
            </Text>
            {health && <Badge color={health.ok ? 'green' : 'red'} text={health.ok ? 'answers' : 'failed'} />}
          </Stack>
        }
      >
        <Box paddingTop={1}>
          <TextSetting
            label="Address"
            description={urlDescription}
            placeholder={placeholder}
            type="url"
            value={url}
            error={addressError(url)}
            disabled={access.readOnly}
            onChange={set}
          />
          <AddressResult health={health} />
          {url !== '' && (
            <Box paddingTop={health ? 2 : 0}>
              {more?.(access)}
              <ConnectionFields access={access} address={address} />
            </Box>
          )}
        </Box>
      </CollapsableSection>
    </section>
  );
}

function ScrapeInterval(access: OptionsAccess) {
  return (
    <TextSetting
      label="Scrape interval"
      description="How often the scores are scraped; graphs are not drawn finer"
      placeholder="15s"
      value={access.jsonData.scrapeInterval ?? ''}
      error={durationError(access.jsonData.scrapeInterval)}
      disabled={access.readOnly}
      onChange={(scrapeInterval) => access.setJsonData({ scrapeInterval })}
    />
  );
}

function ExploreUid(access: OptionsAccess, key: 'prometheusUid' | 'lokiUid', name: string) {
  return (
    <TextSetting
      label={`UID of the ${name} data source`}
      description={`Of Grafana's own data source for the same server, for links into Explore. Empty: the default one, or the only one`}
      placeholder={name.toLowerCase()}
      value={access.jsonData[key] ?? ''}
      disabled={access.readOnly}
      onChange={(uid) => access.setJsonData({ [key]: uid })}
    />
  );
}

/** Says what is wrong with a duration as Prometheus writes it, or nothing. */
export function durationError(text?: string): string | undefined {
  return !text || /^(\d+(y|w|d|h|ms|m|s))+$/.test(text) ? undefined : 'Want a duration such as 15s or 1m';
}

function ReceiverLink(access: OptionsAccess) {
  return (
    <TextSetting
      label="Address for browsers"
      description="Where links to incidents lead, if a browser reaches the receiver under another address than the Grafana server"
      placeholder="https://portent.example.org"
      type="url"
      value={access.jsonData.receiverLinkUrl ?? ''}
      error={addressError(access.jsonData.receiverLinkUrl)}
      disabled={access.readOnly}
      onChange={(receiverLinkUrl) => access.setJsonData({ receiverLinkUrl })}
    />
  );
}

function ModelName(access: OptionsAccess) {
  const { modelName, modelUrl, modelTokensPerDay } = access.jsonData;
  return (
    <>
      <TextSetting
        label="Model"
        description="Name of the model at this address"
        placeholder="llama3.1"
        value={modelName ?? ''}
        error={modelUrl && !modelName ? 'Want the name of a model: without one it is not asked' : undefined}
        disabled={access.readOnly}
        onChange={(name) => access.setJsonData({ modelName: name })}
      />
      <TextSetting
        label="Daily budget"
        description="Tokens of prompts and answers that it may take a day; then the rules answer. Empty: no bound"
        type="number"
        placeholder="no bound"
        value={modelTokensPerDay ? String(modelTokensPerDay) : ''}
        error={(modelTokensPerDay ?? 0) < 0 ? 'Want 0 or more' : undefined}
        disabled={access.readOnly}
        onChange={(text) =>
          access.setJsonData({ modelTokensPerDay: text === '' ? undefined : Math.trunc(Number(text)) })
        }
      />
    </>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  page: css({
    maxWidth: theme.spacing(90),
  }),
  section: css({
    padding: theme.spacing(1, 2, 0, 1),
    border: `1px solid ${theme.colors.border.weak}`,
    borderRadius: theme.shape.radius.default,
  }),
});
