import * as asyncio from "../src/index.ts";
import { limitsOnceWaiting } from "./limits-once-waiting.ts";

export const limitOnceWaiting = limitsOnceWaiting(asyncio);
