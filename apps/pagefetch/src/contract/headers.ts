/** Header fields as they travel: in order, with repeated ones, names in lower case. */

export type Header = readonly [name: string, value: string];
export type HeaderList = readonly Header[];

/** The first field of that name, in lower case; undefined if there is none. */
export function headerOf(headers: HeaderList, name: string): string | undefined {
  for (const [found, value] of headers) if (found === name) return value;
  return undefined;
}

/** All fields of that name, in lower case, in order. */
export function headersOf(headers: HeaderList, name: string): readonly string[] {
  return headers.filter(([found]) => found === name).map(([, value]) => value);
}
