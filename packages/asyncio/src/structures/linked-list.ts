/**
 * Doubly linked lists through the elements themselves: no allocation for a member, and any member
 * leaves in constant time. Leaving clears the links, so that nothing dead keeps its neighbours
 * alive: a Set of a million tasks does, for its outgrown tables stay linked to one another (bench:
 * spawn).
 *
 * An element is in one list of this kind at a time. Waits are in their scope's, scopes in their
 * parent's, tasks in their loop's, children in their group's.
 */

export interface Links<T> {
  previous: T | undefined;
  next: T | undefined;
}

/** The ends of a list. An object with one list that matters may be it (bench: memory). */
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
