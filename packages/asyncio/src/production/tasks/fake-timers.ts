/** For tasks/fake-timers.ts: fake timers are a matter of tests. */

export function noticeFakeTimers(): void {}
export function noticeOwnFakes(): void {}
