// Compiled, never run: no `any` comes out of a public signature, where it would switch checking off
// for its user.

import type * as asyncio from "../src/index.ts";
import { type Equal, expectType, type HasAny } from "./equal.ts";

type Door = typeof asyncio;
/** The names of the exported functions that take or give `any`. */
type Functions = { [K in keyof Door]: HasAny<Door[K]> extends true ? K : never }[keyof Door];
/** The names of the members of `T` that are, take or give `any`. */
type Members<T> = { [K in keyof T]-?: HasAny<T[K]> extends true ? K : never }[keyof T];

expectType<Equal<Functions, never>>();
expectType<Equal<Members<asyncio.CancelledError>, never>>();
expectType<Equal<Members<asyncio.CancelScope>, never>>();
expectType<Equal<Members<asyncio.Context>, never>>();
expectType<Equal<Members<asyncio.ContextVar<string>>, never>>();
expectType<Equal<Members<asyncio.EventLoop>, never>>();
expectType<Equal<Members<asyncio.Handle>, never>>();
expectType<Equal<Members<asyncio.Queue<string>>, never>>();
expectType<Equal<Members<asyncio.Runner>, never>>();
expectType<Equal<Members<asyncio.Server>, never>>();
expectType<Equal<Members<asyncio.StreamReader>, never>>();
expectType<Equal<Members<asyncio.StreamWriter>, never>>();
expectType<Equal<Members<asyncio.TaskGroup<string>>, never>>();
expectType<Equal<Members<asyncio.Timeout>, never>>();
// The platform's own, on Promise.prototype.
expectType<Equal<Exclude<Members<asyncio.Future<string>>, keyof Promise<string>>, never>>();
expectType<Equal<Exclude<Members<asyncio.Task<string>>, keyof Promise<string>>, never>>();
// AggregateError.errors is `any[]`: the platform's own.
expectType<Equal<Exclude<Members<asyncio.ExceptionGroup>, keyof AggregateError>, never>>();
