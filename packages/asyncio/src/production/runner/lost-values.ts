/** For runner/lost-values.ts: debug mode is for development. */

export function watchLostValues(): void {}
