import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { preferred } from "../src/i18n.ts";
import { texts } from "../src/texts.ts";

declare const SOURCES: string;
const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name) && name !== "texts.ts");
const sources = files.map((name) => ({ name, text: readFileSync(join(SOURCES, name), "utf8") }));
// The same in every language: names of the field, keys of the keyboard, names of languages.
const UNTRANSLATED = /^(SQL|N\+1|Esc|Ctrl K|HTTP|gRPC|GRPC|p50|p95|INFO \+|EXPLAIN|blogauto-otel|dev|EN|English|한국어|한)$/;

test("every text has a Korean translation with the same placeholders", () => {
  for (const [key, [english, korean]] of Object.entries(texts)) {
    const holes = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
    assert.deepEqual(holes(korean), holes(english), key);
    assert.ok(/[가-힣]/.test(korean) || UNTRANSLATED.test(korean), `${key}: ${korean}`);
  }
});

test("no text of the page stands outside the table", () => {
  const found: string[] = [];
  for (const { name, text } of sources) {
    if (!name.endsWith(".tsx")) continue;
    const jsx = text.replace(/\/\*[\s\S]*?\*\/|\/\/ .*$/gm, "").replace(/=>/g, "").replace(/`[^`]*`/g, '""');
    for (const match of jsx.matchAll(/<\/?[\w.]+(?:\s[^<>]*)?>([^<>{}();=?:|&]*[A-Za-z가-힣]{2}[^<>{}();=?:|&]*)(?=[<{])/g)) found.push((match[1] ?? "").trim());
    for (const match of jsx.matchAll(/\b(?:title|placeholder|aria-label|label)="([^"]*[A-Za-z]{2}[^"]*)"/g)) found.push(match[1] ?? "");
  }
  assert.deepEqual(found.filter((one) => !UNTRANSLATED.test(one)), []);
});

test("every key of the table is used", () => {
  const all = sources.map(({ text }) => text).join("\n");
  const prefixes = [...all.matchAll(/t\(`(\w+_)\$\{/g)].map((match) => match[1] ?? "");
  const unused = Object.keys(texts).filter((key) => !all.includes(`"${key}"`) && !prefixes.some((prefix) => key.startsWith(prefix)));
  assert.deepEqual(unused, []);
});

test("the language is the chosen one, else the browser's where there is a translation", () => {
  assert.deepEqual([preferred(null, "ko-KR"), preferred("en", "ko"), preferred("fr", "fr"), preferred("ko", "en")], ["ko", "en", "en", "ko"]);
});
