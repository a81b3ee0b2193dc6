/**
 * One run of a transaction on its session: BEGIN, the body, then COMMIT or ROLLBACK, and what is told
 * when the answer to COMMIT is lost. What happens in between is in transaction.ts.
 */

import { cleanup, getRunningLoop, timeLeft } from "asyncio-ts";
import { interruption } from "asyncio-ts/lowlevel";
import type { Answer, Request } from "./driver.ts";
import { CommitUnknownError, ConnectionLostError, DatabaseError } from "./errors.ts";
import type { Session } from "./session.ts";
import type { Transaction, TransactionOptions } from "./transaction.ts";

/** @internal Statements without values, in one message. */
export function script(text: string): Request {
  return { kind: "script", text };
}

/**
 * @internal One run of a transaction on a session that is idle. When it has ended, the session is
 * idle again, or lost.
 */
export async function runTransaction<T>(
  session: Session,
  transaction: Transaction,
  body: (transaction: Transaction) => T | PromiseLike<T>,
  options: TransactionOptions,
  fateOf?: (id: string) => Promise<string | undefined>,
): Promise<T> {
  const { name } = transaction;
  try {
    const opening = begin(session, transaction, options, name);
    if (opening !== undefined) await opening;
    const value = await transaction.runTop(body);
    transaction.end(undefined);
    if (session.takeBack(transaction)) return value; // nothing was asked of the server
    const verify = options.verify === true ? fateOf : undefined;
    const id = verify === undefined ? undefined : await idOf(session, name);
    try {
      await commit(session, name);
    } catch (error) {
      if (!(error instanceof CommitUnknownError) || verify === undefined) throw error;
      await checkFate(error, id, verify);
    }
    return value;
  } catch (error) {
    transaction.end(error);
    session.takeBack(transaction);
    await rollBack(session, name);
    throw error;
  }
}

/**
 * @internal Begins a transaction. Where the connection joins, its BEGIN waits for the first request
 * of `owner` and goes with it, in one message: a round trip less, and as long as the body asks
 * nothing, no transaction is open on the server. Then there is nothing to await.
 * @param seconds - what the server allows it from now on
 */
export function begin(
  session: Session,
  owner: object,
  options: TransactionOptions,
  name: string,
  seconds: number = timeLeft() + session.options.grace,
): Promise<unknown> | undefined {
  const { dialect } = session.options;
  const title = `begin ${name}`;
  const loop = getRunningLoop();
  const endsAt = loop.time() + seconds;
  const statements = (): readonly string[] =>
    dialect.begin({ ...options, seconds: endsAt - loop.time() });
  if (session.connection.joins !== true)
    return session.send(script(statements().join("; ")), { title });
  const stop = interruption(title);
  if (stop === undefined) session.openWith(owner, statements);
  return stop;
}

/** What the server calls the transaction; undefined if it has written nothing, or has no name. */
async function idOf(session: Session, name: string): Promise<string | undefined> {
  const { fate } = session.options.dialect;
  if (fate === undefined) return undefined;
  const statement = { text: fate.id, values: [], prepare: false };
  const [answer] = await session.send({ kind: "query", statement }, { title: `verify ${name}` });
  const [row] = (answer?.rows ?? []) as { readonly id: string | null }[];
  return row?.id ?? undefined;
}

/** Returns if the transaction has committed, or had nothing to commit. */
async function checkFate(
  error: CommitUnknownError,
  id: string | undefined,
  fateOf: (id: string) => Promise<string | undefined>,
): Promise<void> {
  const fate = id === undefined ? "committed" : await fateOf(id).catch(() => undefined);
  if (fate === "committed") return;
  if (fate !== "aborted") throw error;
  const message = `transaction ${JSON.stringify(error.transaction)} was rolled back: the connection was lost in its COMMIT`;
  throw new ConnectionLostError(message, { cause: error });
}

/** @internal Commits what is open; gives what the server says it has done. */
export async function commit(
  session: Session,
  name: string,
  text: "commit" | "commit and chain" = "commit",
): Promise<string> {
  if (session.lost !== undefined)
    throw new ConnectionLostError(session.lost.message, { cause: session.lost });
  let answers: readonly Answer[] | undefined;
  try {
    const title = `commit ${name}`;
    answers = await cleanup(session.options.grace, () =>
      session.send(script(text), { title, onCancel: "cut" }),
    );
  } catch (error) {
    if (error instanceof DatabaseError) throw error; // refused: nothing has taken effect
    throw new CommitUnknownError(name, { cause: error });
  }
  if (answers === undefined) throw new CommitUnknownError(name, { cause: session.lost });
  const command = answers.at(-1)?.command ?? "";
  if (command !== "ROLLBACK") return command;
  throw new DatabaseError(
    `the server has rolled back transaction ${JSON.stringify(name)} instead of committing it`,
    { query: `commit ${name}` },
  );
}

/** @internal Leaves the session idle, or cut off. */
export async function rollBack(session: Session, name: string): Promise<void> {
  const { connection, options } = session;
  if (session.lost !== undefined || (connection.status === "idle" && !session.isBusy)) return;
  try {
    // What is under way is being cancelled, and has `grace` for that; so has the ROLLBACK.
    await cleanup(2 * options.grace, () =>
      session.send(script("rollback"), { title: `rollback ${name}`, onCancel: "cut" }),
    );
  } catch {
    // The error that the block has failed with is the one to tell.
  }
  if (session.lost !== undefined || (connection.status === "idle" && !session.isBusy)) return;
  session.destroy(new ConnectionLostError(`transaction ${JSON.stringify(name)} has no end`));
}
