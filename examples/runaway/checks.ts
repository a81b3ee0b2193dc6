/** What runs in the workers: a regular expression of somebody else, on a text of somebody else. */

/** Whether `text` matches. Some patterns take longer than the universe has. */
export function check(pattern: string, text: string): boolean {
  return new RegExp(pattern, "u").test(text);
}

/** The same in the form in which piscina calls a function. */
export function checkTask({ pattern, text }: { pattern: string; text: string }): boolean {
  return check(pattern, text);
}
