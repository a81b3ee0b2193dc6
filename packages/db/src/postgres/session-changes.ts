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
const NO_WORDS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
/** A SET that lasts longer than its transaction. */
const SETS = /(?:^|;)\s*set\b(?!\s+(?:local|transaction|constraints)\b)/i;
/** Where a string may end is not told by its quotes alone then. */
const RIDDLE = /[\\$]/;
const TEMPORARY = /\b(?:temp|temporary|pg_temp)\b/i;
const DROPPED = /\bon\s+commit\s+drop\b/i;
const HELD = /\bwith\s+hold\b/i;
/** What a block of code may say. */
const IN_CODE = /\b(?:set|reset|listen|discard|temp|temporary|hold)\b|\b(?:set_config|pg_temp)\b/i;
/** `set_config`, and whether its last argument says that it is for the transaction. */
const SET_CONFIG = /\bset_config\b/gi;
const FOR_TRANSACTION = /\bset_config\s*\([^()]*,\s*true\s*\)/gi;

/**
 * Whether a statement that gives no rows changes its session.
 * @param command - the first word of its tag
 * @param text - that of the statement, or of the several statements of which it is one
 */
export function changesSession(command: string, text: string): boolean {
  switch (command) {
    case "SET":
      return RIDDLE.test(text) || SETS.test(text.replaceAll(NO_WORDS, " "));
    case "RESET":
    case "DISCARD":
    case "LISTEN":
    case "PREPARE":
      return true;
    case "DECLARE":
      return HELD.test(text);
    case "CREATE":
    case "SELECT": // without rows: `select into`, `create table as`
      return TEMPORARY.test(text) && !DROPPED.test(text);
    case "DO":
      return IN_CODE.test(text);
    default:
      return false;
  }
}

/** Whether a text calls `set_config` for longer than its transaction. SET takes no values: this does. */
export function setsByFunction(text: string): boolean {
  const calls = text.match(SET_CONFIG);
  return calls !== null && calls.length > (text.match(FOR_TRANSACTION)?.length ?? 0);
}
