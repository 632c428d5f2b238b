import { addressError } from './addressError';
import { ConfigProps, optionsAccess } from './useOptions';

function access(options: Partial<ConfigProps['options']>) {
  const changes: Array<ConfigProps['options']> = [];
  const props = {
    options: { jsonData: {}, secureJsonFields: {}, ...options },
    onOptionsChange: (o: ConfigProps['options']) => changes.push(o),
  };
  return { access: optionsAccess(props as ConfigProps), changes };
}

describe('optionsAccess', () => {
  it('keeps what a change does not name', () => {
    const { access: a, changes } = access({
      name: 'mine',
      jsonData: {
        lokiUrl: 'http://l',
        connections: { loki: { user: 'ann' }, prometheus: { auth: 'basic', user: 'bob' } },
      },
      secureJsonData: { lokiPassword: 'x' },
    });
    a.setConnection('prometheus', { timeoutSeconds: 5 });
    expect(changes[0].name).toBe('mine');
    expect(changes[0].jsonData).toEqual({
      lokiUrl: 'http://l',
      oauthPassThru: false,
      connections: { loki: { user: 'ann' }, prometheus: { auth: 'basic', user: 'bob', timeoutSeconds: 5 } },
    });
    expect(changes[0].secureJsonData).toEqual({ lokiPassword: 'x' });
    a.setSecret('prometheusPassword', 'y');
    expect(changes[1].secureJsonData).toEqual({ lokiPassword: 'x', prometheusPassword: 'y' });
    expect(changes[1].jsonData).toEqual(changes[0].jsonData && a.jsonData);
  });

  it('passes the OAuth identity on as long as any address wants it', () => {
    const { access: a, changes } = access({
      jsonData: { connections: { loki: { auth: 'forward' }, prometheus: { auth: 'forward' } } },
    });
    a.setConnection('prometheus', { auth: 'none' });
    expect(changes[0].jsonData.oauthPassThru).toBe(true);
    const { access: b, changes: after } = access({ jsonData: changes[0].jsonData });
    b.setConnection('loki', { auth: 'none' });
    expect(after[0].jsonData.oauthPassThru).toBe(false);
  });

  it('forgets a stored secret', () => {
    const { access: a, changes } = access({ secureJsonFields: { modelToken: true, lokiToken: true } });
    expect(a.isStored('modelToken')).toBe(true);
    expect(a.isStored('receiverToken')).toBe(false);
    a.resetSecret('modelToken');
    expect(changes[0].secureJsonFields).toEqual({ modelToken: false, lokiToken: true });
    expect(changes[0].secureJsonData).toEqual({ modelToken: '' });
  });

  it('leaves the places of the other headers when one is removed', () => {
    const { access: a, changes } = access({
      jsonData: { connections: { loki: { headers: ['A', 'B', 'C'] } } },
      secureJsonFields: { lokiHeader1: true, lokiHeader2: true, lokiHeader3: true },
    });
    a.removeHeader('loki', 1);
    expect(changes[0].jsonData.connections?.loki?.headers).toEqual(['A', '', 'C']);
    expect(changes[0].secureJsonFields).toEqual({ lokiHeader1: true, lokiHeader2: false, lokiHeader3: true });
    a.removeHeader('loki', 2);
    expect(changes[1].jsonData.connections?.loki?.headers).toEqual(['A', 'B']);
  });
});

describe('addressError', () => {
  it.each(['', '  ', undefined, 'http://localhost:9090', 'https://host/prefix/', ' http://[::1]:9090 '])(
    'takes %p',
    (address) => {
      expect(addressError(address)).toBeUndefined();
    }
  );
  it.each([
    ['localhost:9090', 'Want http'],
    ['host', 'Want http'],
    ['ftp://host', 'Want http'],
    ['http://ann:secret@host', 'kept secret'],
    ['http://ann@host', 'kept secret'],
    ['http://host/?x=1', 'without a part after'],
    ['http://host/#x', 'without a part after'],
  ])('refuses %p', (address, text) => {
    expect(addressError(address)).toContain(text);
  });
});
