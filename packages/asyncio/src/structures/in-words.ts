/** Values of others in messages: short, in one line, and whatever they are. Asking a value may run code of its own, and fail. */

const MOST = 200;

/** A value as it was passed: an argument, an option. */
export function valueInWords(value: unknown): string {
  try {
    return inWords(value);
  } catch {
    return "an object that cannot be described";
  }
}

/** A value as it was thrown: of an error its name and the first line of its message. */
export function thrownInWords(thrown: unknown): string {
  try {
    if (typeof thrown !== "object" || thrown === null) return inWords(thrown);
    const { name, message } = thrown as { name?: unknown; message?: unknown };
    if (typeof name !== "string" || typeof message !== "string") return inWords(thrown);
    const [line = ""] = message.split("\n", 1);
    return line === "" ? name : `${name}: ${shortened(line, MOST)}`;
  } catch {
    return "an object that cannot be described";
  }
}

function inWords(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(shortened(value, 80));
  if (typeof value === "function")
    return value.name === "" ? "a function" : `function ${value.name}`;
  if (typeof value !== "object" || value === null)
    return Object.is(value, -0) ? "-0" : String(value);
  if (typeof (value as { then?: unknown }).then === "function") return "a promise";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const className = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof className === "string" && className !== "Object"
    ? `an instance of ${className}`
    : "an object";
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}...` : text;
}
