/** Header fields as they travel: in order, with repeated ones, names in lower case. */

export type Header = readonly [name: string, value: string];
export type HeaderList = readonly Header[];

/** The first field of that name, in lower case; undefined if there is none. */
export function headerOf(headers: HeaderList, name: string): string | undefined {
  for (const [found, value] of headers) if (found === name) return value;
  return undefined;
}

/** Belong to the connection, or say how long the body is: ours to set. */
const ours = new Set(
  "connection content-length expect host keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split(
    " ",
  ),
);
/** RFC 9110, 5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110, 5.5: Latin-1, space and tab. No line may end in a value. */
const text = /^[\t\x20-\x7e\x80-\xff]*$/;
const LONGEST_NAME = 256;
const LONGEST_VALUE = 16 * 1024;

export function isToken(word: string): boolean {
  return token.test(word);
}

/** Why a caller's header cannot be sent, without its value; undefined if it can. */
export function wrongWithHeader(name: string, value: string): string | undefined {
  if (!isToken(name) || name.length > LONGEST_NAME)
    return `${JSON.stringify(name.slice(0, 100))} is no name of a header`;
  if (ours.has(name.toLowerCase()))
    return `the header "${name}" belongs to the connection, and is not the caller's to set`;
  if (!text.test(value)) return `the value of "${name}" has characters that no header has`;
  if (value.length > LONGEST_VALUE)
    return `the value of "${name}" has more than ${LONGEST_VALUE} characters`;
  return undefined;
}

/** All fields of that name, in lower case, in order. */
export function headersOf(headers: HeaderList, name: string): readonly string[] {
  return headers.filter(([found]) => found === name).map(([, value]) => value);
}
