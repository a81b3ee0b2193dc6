// Deadlines in no order, as the timers of a server have them: none is later than all before it.

const hourMs = 3_600_000;
const spreadMs = 10_000;

export function delayMsOf(timer: number): number {
  return hourMs + ((timer * 7919) % spreadMs);
}
