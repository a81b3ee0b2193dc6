/** For kernel/reports.ts: debug mode reports nothing of its own. */

export * from "../../kernel/reports.ts";
export function noteCreation(): void {}
export function noteStep(): void {}
export function reportInsisted(): void {}
export function reportFloating(): void {}
