/** Names of hosts as an operator writes them, in the one form that URLs have. */

/** `example.com.` and `example.com` are one host. */
export function withoutDot(name: string): string {
  return name.replace(/\.$/, "");
}

/**
 * The host that is named, as the URL of a page has it: small letters, IDN as ASCII, IPv6 in
 * brackets. Undefined for what no URL has as its host, and so for a pattern such as `*.example.com`.
 */
export function hostNamed(name: string): string | undefined {
  const isBare = name.includes(":") && !name.startsWith("[");
  const url = URL.parse(`http://${isBare ? `[${name}]` : name}/`);
  if (url === null || url.href !== `http://${url.hostname}/` || url.hostname.includes("*"))
    return undefined;
  return withoutDot(url.hostname);
}
