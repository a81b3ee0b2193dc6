/**
 * Doubly linked lists through the elements themselves. A member costs no allocation, leaves in
 * constant time, and then keeps no neighbour alive, as the outgrown tables of a large Set do
 * (bench: spawn). An element is in one such list at a time.
 */

export interface Links<T> {
  previous: T | undefined;
  next: T | undefined;
}

/** The ends of a list. An object with one main list may be it (bench: memory). */
export interface Ends<T> {
  first: T | undefined;
  last: T | undefined;
}

/** Puts `member` at the end. */
export function link<T extends Links<T>>(ends: Ends<T>, member: T): void {
  member.previous = ends.last;
  if (ends.last === undefined) ends.first = member;
  else ends.last.next = member;
  ends.last = member;
}

/** Takes `member` out; false if it is in no list. */
export function unlink<T extends Links<T>>(ends: Ends<T>, member: T): boolean {
  if (member.previous === undefined && ends.first !== member) return false;
  if (member.previous === undefined) ends.first = member.next;
  else member.previous.next = member.next;
  if (member.next === undefined) ends.last = member.previous;
  else member.next.previous = member.previous;
  member.previous = member.next = undefined;
  return true;
}

export class LinkedList<T extends Links<T>> implements Ends<T> {
  first: T | undefined = undefined;
  last: T | undefined = undefined;
  size = 0;

  add(member: T): void {
    link(this, member);
    this.size++;
  }

  /** Does nothing for one that is in no list. */
  remove(member: T): void {
    if (unlink(this, member)) this.size--;
  }

  /** The members now, first to last: for walks during which some may leave. */
  toArray(): T[] {
    const members: T[] = [];
    for (let member = this.first; member !== undefined; member = member.next) members.push(member);
    return members;
  }
}
