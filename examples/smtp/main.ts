// A mail server. `node examples/smtp/main.ts --for example.org --store mail` puts what comes for
// example.org into the folder `mail`; with `--relay HOST:PORT` it is handed to another server, and
// taken when that has taken it. Ctrl-C lets messages through that are being handed over. How it
// works is in server.ts.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { address, number, runProgram, UsageError } from "../command-line.ts";
import { relayTo, storeIn } from "./deliver.ts";
import { serveSmtp } from "./server.ts";

const usage = `Usage: node examples/smtp/main.ts --for DOMAIN (--store FOLDER | --relay HOST:PORT)

  --for DOMAIN         whom to take mail for; may be given several times
  --store FOLDER       puts each message into a file of its own
  --relay HOST:PORT    hands each message to another server
  --ca FILE            the certificates that the other server has to come from
  --listen HOST:PORT   where to listen (default: 127.0.0.1:2525)
  --cert FILE, --key FILE
                       a certificate and its key: then STARTTLS is offered
  --require-tls        and asked for
  --bytes N            what a message may have at most (default: 10000000)
  --connections N      clients at the same time; more have to wait (default: 50)
  --help               print this text`;

const hostname = "mail.example";

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      for: { type: "string", multiple: true, default: [] },
      store: { type: "string" },
      relay: { type: "string" },
      ca: { type: "string" },
      listen: { type: "string", default: "127.0.0.1:2525" },
      cert: { type: "string" },
      key: { type: "string" },
      "require-tls": { type: "boolean", default: false },
      bytes: { type: "string", default: "10000000" },
      connections: { type: "string", default: "50" },
    },
  });
  const { store, relay, ca, cert, key } = values;
  if (values.for.length === 0) throw new UsageError("--for has to say whom to take mail for");
  if ((store === undefined) === (relay === undefined))
    throw new UsageError("there has to be one of --store and --relay");
  if ((cert === undefined) !== (key === undefined) || (values["require-tls"] && cert === undefined))
    throw new UsageError("TLS needs both --cert and --key");
  const domains = new Set(values.for.map((domain) => domain.toLowerCase()));
  return {
    at: address("--listen", values.listen),
    maxConnections: number("--connections", values.connections, 1),
    hostname,
    accepts: (to: string) => domains.has(to.slice(to.lastIndexOf("@") + 1).toLowerCase()),
    deliver:
      store === undefined
        ? relayTo({
            ...address("--relay", relay),
            hostname,
            tls: ca === undefined ? {} : { ca: read("--ca", ca) },
          })
        : storeIn(store),
    tls:
      cert === undefined || key === undefined
        ? undefined
        : { cert: read("--cert", cert), key: read("--key", key) },
    requireTls: values["require-tls"],
    maxBytes: number("--bytes", values.bytes, 1),
  };
}

function read(option: string, file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageError(`${option}: ${(error as Error).message}`);
  }
}

await runProgram(usage, readOptions, async ({ at, maxConnections, ...options }) => {
  const handler = serveSmtp({
    ...options,
    onMail: ({ from, to, data }, refusal) =>
      console.log(
        `<${from}> to ${to.join(", ")}, ${data.length} B: ` +
          (refusal === undefined ? "taken" : `${refusal.code} ${refusal.message}`),
      ),
  });
  await using server = await asyncio.startServer(handler, { ...at, maxConnections });
  const { host, port } = server.sockets[0];
  console.log(`smtp: listening on ${host}:${port}`);
  await server.serveForever();
});
