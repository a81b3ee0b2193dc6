// Compiled, never run: each statement is a claim about types.

import { putting, select } from "../src/index.ts";
import {
  Broadcast,
  channel,
  type EmitterLike,
  type Ended,
  events,
  type Loan,
  once,
  Pool,
  type Receiver,
  resource,
  resources,
  type Sender,
  Shared,
  type Stream,
  singleFlight,
  stream,
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

const [sender, receiver] = channel<number>(0, { name: "readings" });
expectType<Equal<typeof sender, Sender<number>>>();
const received = await receiver.receive();
expectType<Equal<typeof received, number>>();
for await (const item of receiver) expectType<Equal<typeof item, number>>();
// @ts-expect-error there is no default capacity
channel<number>();
// @ts-expect-error another type of item
sender.send("x");

const prices = new Broadcast<{ price: number }>({ capacity: 100, overflow: "lag", replay: 1 });
const mine = prices.subscribe();
expectType<Equal<typeof mine, Receiver<{ price: number }>>>();

const chosen = await select({ state: state.changed(), in: receiver, out: putting(sender, 1) });
expectType<Equal<typeof chosen, ["state", "up" | "down"] | ["in", number] | ["out", undefined]>>();

declare const emitter: EmitterLike;
const args = await once<[chunk: string, n: number]>(emitter, "data");
expectType<Equal<typeof args, [chunk: string, n: number]>>();
const click = await once(new EventTarget(), "click");
expectType<Equal<typeof click, Event>>();
for await (const [chunk] of events<[chunk: string]>(emitter, "data", { until: "end" }))
  expectType<Equal<typeof chunk, string>>();

const ticks = stream(async function* () {
  for (let tick = 0; ; tick++) yield tick;
});
expectType<Equal<typeof ticks, Stream<number>>>();
const texts = ticks.map(async (tick) => `${tick}`).debounce(1);
expectType<Equal<typeof texts, Stream<string>>>();
const both = texts.merge(receiver);
expectType<Equal<typeof both, Stream<string | number>>>();
const strings = both.filter((item): item is string => typeof item === "string");
expectType<Equal<typeof strings, Stream<string>>>();
