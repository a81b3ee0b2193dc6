/** `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. */

/** The longest that is believed: a day. */
const LONGEST = 86_400;

/**
 * Seconds to wait; undefined if the value says nothing that makes sense. `date` is the answer's own
 * `Date`, by which its clock is read: a host whose clock is wrong still means the same span.
 */
export function retryAfter(
  value: string | undefined,
  date: string | undefined,
): number | undefined {
  const text = value?.trim() ?? "";
  if (/^\d+$/.test(text)) return Math.min(Number(text), LONGEST);
  if (!/^[A-Z][a-z]{2,8},? /.test(text)) return undefined;
  const until = Date.parse(text);
  if (Number.isNaN(until)) return undefined;
  const theirs = Date.parse(date ?? "");
  const seconds = (until - (Number.isNaN(theirs) ? Date.now() : theirs)) / 1000;
  return Math.min(Math.max(seconds, 0), LONGEST);
}
