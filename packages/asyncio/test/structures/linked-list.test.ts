import assert from "node:assert/strict";
import { test } from "node:test";
import { LinkedList, type Links } from "../../src/structures/linked-list.ts";

class Member implements Links<Member> {
  previous: Member | undefined = undefined;
  next: Member | undefined = undefined;
}

test("a member of a list leaves it once, however often it is removed", () => {
  const list = new LinkedList<Member>();
  const [a, b, c] = [new Member(), new Member(), new Member()] as const;
  for (const member of [a, b, c]) list.add(member);

  for (const member of [b, b, a, a]) list.remove(member);

  assert.deepEqual(list.toArray(), [c]);
  assert.equal(list.size, 1);
});
