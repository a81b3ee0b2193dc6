/** For tasks/debug-watch.ts: debug mode watches nothing beside the loop. */

export function addWatch(): void {}
export const watchInDebugMode = (): undefined => undefined;
