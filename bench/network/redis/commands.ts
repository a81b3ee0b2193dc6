// What the Redis-like servers do, whichever way the commands come in.

export class Store {
  readonly #values: Map<string, string> = new Map();

  /** The answer to a command, in the protocol of Redis. */
  execute([name = "", key = "", value = ""]: readonly string[]): string {
    switch (name.toUpperCase()) {
      case "GET": {
        const found = this.#values.get(key);
        return found === undefined ? "$-1\r\n" : `$${found.length}\r\n${found}\r\n`;
      }
      case "SET":
        this.#values.set(key, value);
        return "+OK\r\n";
      default:
        return `-ERR unknown command '${name}'\r\n`;
    }
  }
}
