// A hundred borrowers want one of ten things, use it for one turn, and give it back.

export const borrowers = 100;
export const size = 10;

/** What is lent. It notices if two have it. */
export class Thing {
  #isLent = false;

  async use(): Promise<number> {
    if (this.#isLent) throw new Error("two borrowers have it");
    this.#isLent = true;
    await undefined;
    this.#isLent = false;
    return 1;
  }
}

/** All borrowers, each so many times; how often something was lent. */
export async function lendTo(borrow: () => Promise<number>, count: number): Promise<number> {
  let lent = 0;
  const borrower = async (): Promise<void> => {
    for (let turn = 0; turn < count / borrowers; turn++) {
      const times = await borrow();
      lent += times;
    }
  };
  await Promise.all(Array.from({ length: borrowers }, borrower));
  return lent;
}
