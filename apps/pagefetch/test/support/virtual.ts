import * as asyncio from "asyncio-ts";
import { VirtualLoop } from "asyncio-ts/testing";

/** Runs `body` in virtual time. */
export function virtual(body: (loop: asyncio.EventLoop) => Promise<void>): () => Promise<void> {
  return async () => {
    const loop = new VirtualLoop();
    await asyncio.run(() => body(loop), { loop });
  };
}
