/**
 * What is known of a statement by its words: whether it only reads, and whether it is one. SQLite
 * would tell the first only to whoever has prepared it, and leaves out silently what follows the
 * first statement.
 */

/** A statement by its words. */
export interface Words {
  /** Its first word in capitals; of `with`, that of what follows. */
  readonly command: string;
  /** True if it writes nothing: some connection that cannot write may run it. */
  readonly isReading: boolean;
  /** True if it can stand in a transaction. */
  readonly canBeWrapped: boolean;
  /** True if another statement follows. */
  readonly isSeveral: boolean;
}

/** Texts of which the words are kept. */
const MOST_KNOWN = 1000;
const known: Map<string, Words> = new Map();

/** Strings, names in quotes, comments: no words of theirs count. */
const NO_WORDS =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
const WRITING = /\b(?:insert|update|delete|replace(?!\s*\())\b/i;
const READING: ReadonlySet<string> = new Set(["SELECT", "VALUES", "EXPLAIN"]);
/** What says itself where a transaction begins and ends, or cannot stand in one. */
const UNWRAPPED: ReadonlySet<string> = new Set([
  ...["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"],
  ...["PRAGMA", "VACUUM", "ATTACH", "DETACH"],
]);

/** The words of a statement. */
export function wordsOf(text: string): Words {
  const found = known.get(text);
  if (found !== undefined) return found;
  const bare = text.replaceAll(NO_WORDS, " ").trim();
  const first = (/^\w+/.exec(bare)?.[0] ?? "").toUpperCase();
  const writing = WRITING.exec(bare)?.[0].toUpperCase();
  const command = first === "WITH" ? (writing ?? "SELECT") : first;
  const words = {
    command,
    isReading: writing === undefined && READING.has(command),
    canBeWrapped: !UNWRAPPED.has(command),
    isSeveral: !/^create\s+(?:temp\w*\s+)?trigger\b/i.test(bare) && /;\s*[^;\s]/.test(bare),
  };
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(text, words);
  return words;
}
