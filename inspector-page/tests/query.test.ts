import assert from "node:assert/strict";
import { test } from "node:test";
import { completed, completions, replaced, toggled, valueOf, word, words } from "../src/query.ts";
import { address, parse } from "../src/route.ts";

test("a quoted part of a word may contain spaces", () => {
  assert.deepEqual(words('status>=500 name:"two words" text'), ["status>=500", 'name:"two words"', "text"]);
  assert.equal(word("service:", "my blog"), 'service:"my blog"');
  assert.equal(valueOf('x service:"my blog"', "service:"), "my blog");
});

test("a word is added once and taken out again", () => {
  assert.equal(toggled("a", "is:error"), "a is:error");
  assert.equal(toggled("a is:error", "is:error"), "a");
});

test("a choice replaces the former value of its key", () => {
  assert.equal(replaced("status>=200 status<300 x", /^status[:<>=]/, "status:404"), "x status:404");
  assert.equal(replaced("since:1h x", /^since:/, null), "x");
});

test("a suggestion completes the last word", () => {
  const all = [{ word: "status>=500", help: "" }, { word: "service:", help: "" }];
  assert.deepEqual(completions("x sta", all).map((one) => one.word), ["status>=500"]);
  assert.deepEqual(completions("", all).length, 2);
  assert.equal(completed("x sta", "status>=500"), "x status>=500 ");
  assert.equal(completed("x ", "service:"), "x service:");
});

test("an address leads back to its view, parts and parameters", () => {
  const to = address("trace", ["4bf9", "00f0"], { tab: "logs", empty: "" });
  assert.equal(to, "#/trace/4bf9/00f0?tab=logs");
  const route = parse(to);
  assert.deepEqual([route.view, route.parts, route.query.get("tab")], ["trace", ["4bf9", "00f0"], "logs"]);
  assert.equal(parse(address("requests", [], { q: "route:/api/a?b&c=%41 \"x\"" })).query.get("q"), 'route:/api/a?b&c=%41 "x"');
});

test("an unknown address shows the requests", () => {
  for (const hash of ["", "#", "#/nothing", "#/trace", "#/%E0%A4%A"]) assert.equal(parse(hash).view, "requests");
});
