import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, duration, measured, short } from "../src/format.ts";
import { setLanguage } from "../src/i18n.ts";

test("a duration has three significant figures and the unit that fits", () => {
  const found = [0, 0.00042, 0.42, 0.9996, 1, 12.34, 99.96, 123.4, 999.4, 999.6, 1240, 59_990, 125_000, NaN].map(duration);
  assert.deepEqual(found, ["0 ms", "0.42 µs", "420 µs", "1.00 ms", "1.00 ms", "12.3 ms", "100 ms", "123 ms", "999 ms", "1.00 s", "1.24 s", "60.0 s", "2 min 05 s", "–"]);
});

test("a count has at most four characters", () => {
  assert.deepEqual([0, 980, 1234, 34_100, 999_900, 5_100_000].map(short), ["0", "980", "1.2k", "34k", "1.0M", "5.1M"]);
});

test("bytes are in powers of 1024", () => {
  assert.deepEqual([12, 2048, 40 * 1024 ** 2].map(bytes), ["12 B", "2.0 KiB", "40 MiB"]);
});

test("the value of a metric carries its unit", () => {
  assert.deepEqual(
    [measured(0.25, "s"), measured(2048, "By"), measured(12.5, "%"), measured(4, "{request}"), measured(4, "1"), measured(4, "K")],
    ["250 ms", "2.0 KiB", "12.5 %", "4", "4", "4 K"],
  );
});

test("how long ago is said in the language of the page; an instant that is not known is a dash", () => {
  setLanguage("en");
  assert.deepEqual([ago(1000, 1500), ago(1000, 31_000), ago(1000, 601_000), ago(0, 5)], ["now", "30 s ago", "10 min ago", "–"]);
  setLanguage("ko");
  assert.equal(ago(1000, 31_000), "30초 전");
  setLanguage("en");
});
