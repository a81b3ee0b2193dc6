/** For errors/advice.ts: says what is wrong with options, and not what to write instead. */

export const adviceFor = (): "" => "";
export const adviceOnName = (): "" => "";
