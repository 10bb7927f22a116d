/** Rules on what the product's code may use. */
import assert from "node:assert/strict";
import { code, isTest, offences, PRODUCT, read, SOURCES } from "./sources.ts";

/** Where the environment may be read besides `roles/host`, and why. */
const MAY_READ_ENVIRONMENT = [
  "workers/inference/inference_task.ts", // the API key, in the worker that alone needs it
];

/** Files of more than 400 lines, each with the reason why it is not divided. */
const MAY_BE_LONG: Readonly<Record<string, string>> = {};

const MAX_LINES = 400;

function inFolder(...folders: string[]): string[] {
  return PRODUCT.filter((path) => folders.some((folder) => path.startsWith(`${folder}/`)));
}

Deno.test("comments are no code, and strings are no comments", () => {
  const path = "tests/arch/sources_test.ts";
  assert.equal(code(path).split("\n").length, read(path).split("\n").length);
  assert.ok(read(path).startsWith("/** Rules"));
  assert.ok(code(path).startsWith("           "));
  assert.ok(code(path).includes("https://not-a-comment"));
});

Deno.test("core does not know Deno, the environment or the console's process", () => {
  assert.deepEqual(offences(inFolder("core"), /\bDeno\b|\bprocess\.|\bglobalThis\.Deno\b/), []);
});

Deno.test("the environment is read in roles/host alone, and API keys in their worker", () => {
  const others = PRODUCT.filter((path) =>
    !path.startsWith("roles/host/") && !MAY_READ_ENVIRONMENT.includes(path)
  );
  assert.deepEqual(offences(others, /\bDeno\s*\.\s*env\b|\bprocess\s*\.\s*env\b/), []);
});

Deno.test("the disk is used in roles/host alone", () => {
  const others = PRODUCT.filter((path) => !path.startsWith("roles/host/"));
  const disk =
    /\bDeno\.(?:read|write|open|create(?!HttpClient)|remove|rename|mkdir|make|stat|lstat|link|symlink|truncate|copy|chmod|chown|watchFs)|"node:(?:fs|sqlite)/;
  assert.deepEqual(offences(others, disk), []);
});

Deno.test("the product writes to no console", () => {
  assert.deepEqual(offences(PRODUCT, /\bconsole\s*\./), []);
});

Deno.test("nothing is of type any, and no check is switched off", () => {
  const anyType = /(?::|\bas|<|,|\||&|\()\s*any\s*(?:[;,)>=|&[\]{}]|$)/;
  assert.deepEqual(offences(SOURCES, anyType), []);
  // Written in two parts, so that this file does not offend itself.
  const off = new RegExp(`deno-lint-${"ignore"}|@ts-${"ignore|@ts-"}nocheck|@ts-${"expect"}-error`);
  assert.deepEqual(offences(SOURCES, off, read), []);
});

Deno.test("product files are called in snake_case", () => {
  const named = SOURCES.filter((path) =>
    !/^(?:[a-z0-9.]+\/|[a-z0-9-]+\/)*[a-z0-9_]+\.ts$/.test(path)
  );
  assert.deepEqual(named, []);
});

Deno.test(`a file of more than ${MAX_LINES} lines has a reason`, () => {
  const long = SOURCES.filter((path) =>
    !isTest(path) && (read(path).match(/\n/g)?.length ?? 0) > MAX_LINES
  );
  assert.deepEqual(long.filter((path) => !(path in MAY_BE_LONG)), []);
  assert.deepEqual(Object.keys(MAY_BE_LONG).filter((path) => !long.includes(path)), []);
});

Deno.test("the rules find what they look for", () => {
  const sample = (line: string, form: RegExp) =>
    offences(["https://not-a-comment"], form, () => line);
  assert.equal(
    sample("console.log(1)", /\bconsole\s*\./)[0],
    "https://not-a-comment:1: console.log(1)",
  );
});
