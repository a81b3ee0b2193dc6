/**
 * Which statements change the session that they run in, and not only what is in the tables: a pool
 * has to undo that before it lends the connection again. The server says what each statement was (its
 * command tag), which costs nothing to look at; the text is looked at where the tag leaves it open.
 * Where both do, the answer is yes: that costs a round trip, and a no would change what somebody
 * else's query sees.
 *
 * What a function or a procedure changes is not seen here. Of some settings the server tells each
 * change (connection.ts).
 */

/** Strings, names in quotes, comments: no words of theirs count. */
const NO_WORDS = /'[^']*'|"[^"]*"|--[^\n\r]*|\/\*[\s\S]*?(?:\*\/|$)/g;
/** Where a string ends is not told by its quotes alone then: escapes, quotes of dollars. */
const RIDDLE = /\\|\$(?!\d)/;
/** A SET that lasts longer than its transaction. */
const SETS = /(?:^|;)\s*set\b(?!\s+(?:local|transaction|constraints)\b)/i;
const TEMPORARY = /\b(?:temp|temporary|pg_temp)\b/gi;
const DROPPED = /\bon\s+commit\s+drop\b/gi;
const HELD = /(?<!\bwithout\s+)\bhold\b/i;
/** An EXPLAIN that runs what it explains. */
const RUNS = /\banaly[sz]e\b/i;
/** What a block of code may say. */
const IN_CODE = /\b(?:set|reset|listen|discard|temp|temporary|hold)\b|\b(?:set_config|pg_temp)\b/i;
/** `set_config`, and whether its last argument says that it is for the transaction. */
const SET_CONFIG = /\bset_config\b/gi;
const FOR_TRANSACTION = /\bset_config\s*\([^()]*,\s*true\s*\)/gi;

/**
 * Whether a statement changes its session, other than by a function that it calls.
 * @param command - the first word of its tag
 * @param text - that of the statement, or of the several statements of which it is one
 * @param hasRows - whether it gives rows
 */
export function changesSession(command: string, text: string, hasRows: boolean): boolean {
  switch (command) {
    case "SET": {
      const words = wordsOf(text);
      return words === undefined || SETS.test(words);
    }
    case "RESET":
    case "DISCARD":
    case "LISTEN":
    case "PREPARE":
      return true;
    case "DECLARE":
      return HELD.test(text);
    case "CREATE":
      return isMoreThan(TEMPORARY, DROPPED, text);
    case "SELECT": // without rows: `select into`, `create table as`
      return !hasRows && isMoreThan(TEMPORARY, DROPPED, text);
    case "EXPLAIN": // of `create table as`
      return RUNS.test(text) && isMoreThan(TEMPORARY, DROPPED, text);
    case "DO":
      return IN_CODE.test(text);
    default:
      return false;
  }
}

/** Whether a text calls `set_config` for longer than its transaction. SET takes no values: this does. */
export function setsByFunction(text: string): boolean {
  return isMoreThan(SET_CONFIG, FOR_TRANSACTION, text);
}

/** Whether `change` is in the text, anywhere, more often than `harmless` is said there. */
function isMoreThan(change: RegExp, harmless: RegExp, text: string): boolean {
  const changes = text.match(change);
  if (changes === null) return false;
  return changes.length > (wordsOf(text)?.match(harmless)?.length ?? 0);
}

/**
 * The text without strings, names in quotes and comments; undefined where it is not clear what these
 * are.
 */
export function wordsOf(text: string): string | undefined {
  if (RIDDLE.test(text)) return undefined;
  let isNested = false; // a comment in a comment: both have to end
  const words = text.replaceAll(NO_WORDS, (found) => {
    isNested ||= found.startsWith("/*") && found.includes("/*", 2);
    return " ";
  });
  return isNested ? undefined : words;
}
