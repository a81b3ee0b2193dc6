/** For runner/left-open.ts: debug mode is for development. */

export function reportLeftOpen(): void {}
