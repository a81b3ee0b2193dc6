/** Instants with microseconds. */

/** A Date with the microseconds that a Date has no room for. Sent back, it is the same instant. */
export class PreciseDate extends Date {
  /** From 0 to 999, after the milliseconds. */
  readonly microseconds: number;

  constructor(milliseconds: number, microseconds: number) {
    super(milliseconds);
    this.microseconds = microseconds;
  }

  override toISOString(): string {
    const text = super.toISOString();
    return `${text.slice(0, -1)}${String(this.microseconds).padStart(3, "0")}Z`;
  }
}
