import * as asyncio from "asyncio-ts";
import { limitsOnceWaiting } from "../../asyncio/test/limits-once-waiting.ts";

export const limitOnceWaiting = limitsOnceWaiting(asyncio);
