/** How SQLite is told to begin, and what it has not. */

import type { Dialect } from "../driver.ts";
import { DatabaseError } from "../errors.ts";

export const dialect: Dialect = {
  // One transaction writes at a time, and from its beginning: none has to give up half-way because
  // another one was faster. That is serializable, whatever was asked for.
  begin: ({ readOnly }) => [readOnly === true ? "begin" : "begin immediate"],
  isCancelled: (error) => error instanceof DatabaseError && error.sqlstate === "57014",
  placeholder: () => "?",
  // Whoever writes is alone already.
  lock: undefined,
  lacks: {
    copy: "Insert many rows at once by `sql.values`, in a transaction",
    listen:
      "Nothing tells other processes of a change; within one, use a channel of asyncio-ts/patterns",
  },
};
