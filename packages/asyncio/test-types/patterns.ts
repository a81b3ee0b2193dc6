// Compiled, never run: each statement is a claim about types.

import { select } from "../src/index.ts";
import {
  type Ended,
  type Loan,
  Pool,
  resource,
  resources,
  Shared,
  singleFlight,
  Watch,
} from "../src/patterns.ts";
import { type Equal, expectType } from "./equal.ts";

const state = new Watch<"up" | "down">("down");
const up = await state.until((value) => value === "up");
expectType<Equal<typeof up, "up">>();
for await (const value of state) expectType<Equal<typeof value, "up" | "down">>();
// @ts-expect-error another type of value
state.value = "sideways";

// --- resources

const connection = resource(
  async () => ({ query: async (_sql: string) => 1, end: async () => {} }),
  (client, ended) => {
    expectType<Equal<typeof ended, Ended>>();
    return ended.how === "failed" ? undefined : client.end();
  },
  { name: "db" },
);
const one = await connection.use((client) => client.query("select 1"));
expectType<Equal<typeof one, number>>();
const total = await resources(async (scope) => {
  const client = await scope.open(connection);
  const pool = scope.use(new Pool(connection, { max: 10, check: (each) => each !== client }));
  scope.defer((ended) => console.log(ended.how));
  using loan = await pool.acquire();
  expectType<
    Equal<typeof loan, Loan<{ query(sql: string): Promise<number>; end(): Promise<void> }>>
  >();
  const rows: number = await loan.item.query("select 1");
  return rows + (await pool.run((each) => each.query("select 2")));
});
expectType<Equal<typeof total, number>>();
const [which, value] = await select({ loan: new Pool(connection, { max: 1 }), late: 1 });
if (which === "loan") expectType<Equal<Awaited<ReturnType<typeof value.item.query>>, number>>();
const user = singleFlight(async (id: number) => `user ${id}`);
expectType<Equal<typeof user, (id: number) => Promise<string>>>();
const rows = await new Shared(connection).run((client) => client.query("select 1"));
expectType<Equal<typeof rows, number>>();
// @ts-expect-error: how many there may be has no default
new Pool(connection, {});
// @ts-expect-error: the work is running already
resource(fetch("/"), () => {});
