import * as asyncio from "asyncio-ts";

async function myTask(x: number) {
  console.log(`Processing ${x}`);
  await asyncio.sleep(1);
  console.log(`Done with ${x}`);
}

async function main() {
  await asyncio.gather(myTask(1), myTask(2), myTask(3));
}

await asyncio.run(main);
