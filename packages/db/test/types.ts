// What does not compile must not, and what is inferred is what stands here. Read by the compiler.

import { type Database, sql, type Transaction } from "../src/index.ts";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T | undefined => undefined;

export async function check(db: Database): Promise<void> {
  // @ts-expect-error A string is no query: values would get into its text.
  await db.query("select 1");
  // @ts-expect-error An option that does not exist.
  await db.query(sql`select 1`, { nmae: "x" });
  // @ts-expect-error A promise is running already: a body is a function.
  await db.transaction(Promise.resolve());
  // @ts-expect-error There is no such level.
  await db.transaction(async () => {}, { isolation: "snapshot" });
  // @ts-expect-error A name has one part or more.
  sql.id();

  const rows = await db.query<{ n: number }>(sql`select 1 as n`);
  is<Equal<typeof rows, { n: number }[]>>();
  const value = await db.transaction(async (tx) => {
    is<Equal<typeof tx, Transaction>>();
    return await tx.one<{ t: string }>(sql`select 'a' as t`);
  });
  is<Equal<typeof value, { t: string }>>();
  for await (const row of db.stream<{ n: number }>(sql`select 1 as n`))
    is<Equal<typeof row, { n: number }>>();
  for await (const event of db.listen("jobs"))
    if (event.kind === "notification") is<Equal<typeof event.payload, string>>();
    else is<Equal<typeof event.reason, Error>>();
}
