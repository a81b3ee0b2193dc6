import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sql } from "../src/index.ts";
import { compile } from "../src/sql.ts";
import { describeEveryWay } from "./postgres.ts";

const compiled = (query: ReturnType<typeof sql>) => compile(query, (index) => `$${index}`);

test("a value never becomes text, whatever it is and wherever it stands", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 3 }), fc.string(), (a, b) => {
      const query = sql`select ${a} where ${sql.join([sql`x = ${b}`, sql`y = ${a}`], " or ")}`;
      const { text, values } = compiled(query);
      assert.equal(text, "select $1 where x = $2 or y = $3");
      assert.deepEqual(values, [a, b, a]);
    }),
  );
});

test("rows for an insert, identifiers, pieces", () => {
  const rows = [
    { n: 1, t: "a" },
    { t: "b", n: 2 },
  ];
  const query = sql`insert into ${sql.id("my schema", 'ta"ble')} (n, t) values ${sql.values(rows)}`;
  const { text, values } = compiled(query);
  assert.deepEqual(
    [text, values],
    ['insert into "my schema"."ta""ble" (n, t) values ($1, $2), ($3, $4)', [1, "a", 2, "b"]],
  );
  assert.equal(String(sql`select ${"secret"}`), "select $1");
});

test("conditions may be added one by one, as many as there are", () => {
  let query = sql`select ${0}`;
  for (let n = 1; n <= 20_000; n++) query = sql`${query} + ${n}`;
  const { text, values } = compiled(query);
  assert.ok(text.startsWith("select $1 + $2 + $3") && text.endsWith(" + $20001"));
  assert.deepEqual([values.length, values.at(-1)], [20_001, 20_000]);
});

test("what is no SQL is refused", () => {
  assert.throws(() => sql("select 1" as never), /to be written before a template/);
  assert.throws(() => sql.id("a\0b"), /a name, without NUL/);
  assert.throws(() => sql.id("" as string), /a name/);
  assert.throws(() => sql.join([]), /An empty list has no SQL/);
  assert.throws(() => sql.values([]), /one row or more/);
  assert.throws(() => sql.values([[1, 2], [3]]), /row 1 to have the columns of the first/);
  assert.throws(() => sql.values([{ a: 1 }, { b: 1 }]), /row 1/);
  assert.throws(() => sql.json(undefined), /a value that JSON has/);
});

/** Texts that have broken out of quotes somewhere. */
const corpus = [
  "'; drop table victims; --",
  "\\'; drop table victims; --",
  "' or 1=1 --",
  "$1",
  "$$; drop table victims; $$",
  "\u02bc; drop table victims",
  "%27%20or%201%3D1",
  "\\",
  '"; drop table victims; --',
  "\u0001\ud83d\ude00\u202e",
  "}); drop table victims",
];

describeEveryWay("injection", (bench) => {
  test("nothing of the corpus gets out of its place", () =>
    bench.run(async (db) => {
      await db.execute(sql`create table victims (t text)`);
      for (const text of corpus) {
        await db.execute(sql`insert into victims values ${sql.values([[text]])}`);
        const rows = await db.query(
          sql`select t as ${sql.id(text)} from victims where t = ${text}`,
        );
        const [list] = await db.query(sql`select ${[text]}::text[] as list`);
        const shown = text.slice(0, 63); // identifiers are cut there
        assert.deepEqual(rows, [{ [shown]: text }]);
        assert.deepEqual(list, { list: [text] });
      }
      assert.equal((await db.query(sql`select * from victims`)).length, corpus.length);
    }));
});
