/** Says what is wrong with an address, or nothing. The backend checks the same again. */
export function addressError(address?: string): string | undefined {
  const text = address?.trim();
  if (!text) {
    return undefined;
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'Want http://host:port or https://host:port';
  }
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || !url.host) {
    return 'Want http://host:port or https://host:port';
  }
  if (url.username || url.password) {
    return 'Put user name and password into the fields below, where they are kept secret';
  }
  if (url.search || url.hash) {
    return 'Want only the address, without a part after ? or #';
  }
  return undefined;
}
