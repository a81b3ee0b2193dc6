// Compiled, never run: each statement is a claim about types.

import { Watch } from "../src/patterns.ts";
import { type Equal, expectType } from "./equal.ts";

const state = new Watch<"up" | "down">("down");
const up = await state.until((value) => value === "up");
expectType<Equal<typeof up, "up">>();
for await (const value of state) expectType<Equal<typeof value, "up" | "down">>();
// @ts-expect-error another type of value
state.value = "sideways";
