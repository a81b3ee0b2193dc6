import assert from "node:assert/strict";
import { test } from "node:test";
import { isAllowed, literalOf, parseRange } from "../../src/egress/address.ts";

const forbidden = [
  // IPv4, by RFC 6890 and what came after
  ["0.0.0.0", "this network"],
  ["0.1.2.3", "this network"],
  ["10.0.0.1", "private"],
  ["100.64.0.1", "shared, behind a carrier's NAT"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.254", "loopback"],
  ["169.254.169.254", "link-local: the metadata of clouds"],
  ["168.63.129.16", "public by the registry, and the host of a virtual machine in Azure"],
  ["172.16.0.1", "private: Docker"],
  ["172.31.255.255", "private"],
  ["192.0.0.1", "protocol assignments"],
  ["192.0.2.1", "documentation"],
  ["192.168.1.1", "private"],
  ["198.18.0.1", "benchmarks"],
  ["198.51.100.1", "documentation"],
  ["203.0.113.1", "documentation"],
  ["224.0.0.1", "multicast"],
  ["240.0.0.1", "reserved"],
  ["255.255.255.255", "broadcast"],
  // IPv6
  ["::", "unspecified"],
  ["::1", "loopback"],
  ["fe80::1", "link-local"],
  ["fe80::1%eth0", "with a zone"],
  ["fec0::1", "site-local"],
  ["fc00::1", "unique local"],
  ["fd00:ec2::254", "unique local: the metadata of a cloud"],
  ["ff02::1", "multicast"],
  ["100::1", "discard"],
  ["2001:db8::1", "documentation"],
  ["3fff::1", "documentation"],
  ["5f00::1", "segment routing"],
  // IPv4 inside of IPv6
  ["::ffff:127.0.0.1", "mapped"],
  ["::ffff:7f00:1", "mapped, in hex"],
  ["::ffff:10.0.0.1", "mapped"],
  ["::ffff:169.254.169.254", "mapped"],
  ["::127.0.0.1", "compatible"],
  ["::7f00:1", "compatible, in hex"],
  ["::2", "compatible, or nothing at all"],
  ["1::1", "not given to anybody"],
  ["4000::1", "not given to anybody"],
  ["::ffff:0:127.0.0.1", "translated"],
  ["64:ff9b::127.0.0.1", "NAT64"],
  ["64:ff9b::a9fe:a9fe", "NAT64"],
  ["64:ff9b:1::10.0.0.1", "NAT64, the local prefix"],
  ["2002:7f00:1::", "6to4"],
  ["2002:a9fe:a9fe::1", "6to4"],
  ["2001:0:0:0:0:0:80ff:fffe", "Teredo"],
  // no addresses
  ["", "nothing"],
  ["127.1", "short"],
  ["2130706433", "a number"],
  ["0x7f000001", "hex"],
  ["0177.0.0.1", "octal"],
  ["localhost", "a name"],
  ["8.8.8.8.8", "too long"],
  ["8.8.8.8 ", "with a space"],
] as const;

for (const [address, what] of forbidden) {
  test(`${address || '""'} is not connected to: ${what}`, () => {
    assert.equal(isAllowed(address, []), false);
  });
}

const open = [
  "1.1.1.1",
  "8.8.8.8",
  "93.184.216.34",
  "172.15.0.1",
  "172.32.0.1",
  "::ffff:8.8.8.8",
  "2001:4860:4860::8888",
  "2606:2800:220:1::1",
];
for (const address of open)
  test(`${address} is public`, () => assert.equal(isAllowed(address, []), true));

test("a range that is allowed is, and its neighbour is not", () => {
  const ranges = [parseRange("10.1.0.0/16"), parseRange("fd00:1::/32"), parseRange("::1")];

  const answers = ["10.1.2.3", "10.2.0.1", "::ffff:10.1.2.3", "fd00:1::5", "fd00:2::5", "::1"];
  assert.deepEqual(
    answers.map((address) => isAllowed(address, ranges)),
    [true, false, true, true, false, true],
  );
});

test("an address that carries another one needs both to be allowed", () => {
  const nat64 = [parseRange("64:ff9b::/96")];

  assert.equal(isAllowed("64:ff9b::8.8.8.8", nat64), true);
  assert.equal(isAllowed("64:ff9b::10.0.0.1", nat64), false);
  assert.equal(isAllowed("64:ff9b::10.0.0.1", [...nat64, parseRange("10.0.0.0/8")]), true);
});

test("what is denied is refused, whatever else it is", () => {
  const denied = [parseRange("8.8.0.0/16"), parseRange("2606:2800::/32")];
  const allowed = [parseRange("8.8.8.8")];

  for (const address of ["8.8.8.8", "::ffff:8.8.8.8", "2606:2800:220:1::1", "168.63.129.16"])
    assert.equal(isAllowed(address, allowed, denied), false, address);
  assert.equal(isAllowed("8.9.8.8", [], denied), true);
  assert.equal(isAllowed("168.63.129.16", [parseRange("168.63.129.16")]), true);
});

test("what is no range is refused with what one looks like", () => {
  for (const text of ["10.0.0.0/33", "ten", "", "10.0.0.0/"])
    assert.throws(
      () => parseRange(text),
      /expected an address or a range such as "10\.0\.0\.0\/8"/,
    );
});

test("URLs spell an address in one way, however it was written", () => {
  const spellings = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://%31%32%37.0.0.1/",
    "http://１２７.0.0.1/",
    "http://127。0。0。1/",
  ];
  for (const url of spellings) assert.equal(literalOf(new URL(url).hostname), "127.0.0.1", url);
  assert.equal(literalOf(new URL("http://[::ffff:127.0.0.1]/").hostname), "::ffff:7f00:1");
  assert.equal(literalOf(new URL("http://127.0.0.1.example.com/").hostname), undefined);
});
