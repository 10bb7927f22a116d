/** What documents say about the checkout is true. */
import assert from "node:assert/strict";
import { dirname, join, normalize } from "node:path/posix";
import { exists, files, offences, read } from "./sources.ts";

const ALL = [...files()];
const TEXT =
  /\.(?:ts|md|json|toml|sol|py|txt|yml|yaml|sh)$|(?:^|\/)(?:Dockerfile|run|\.gitignore|\.dockerignore)$/;
const MARKDOWN = ALL.filter((path) => path.endsWith(".md"));

Deno.test("every path that a document names is there", () => {
  const named =
    /(?<![\w./@:~-])(?:contracts|core|workers|roles|scripts|tests|docs|\.ci)\/[\w./-]*\w/g;
  const missing = MARKDOWN.flatMap((document) =>
    [...read(document).matchAll(named)].map(([path]) => path).filter((path) => !exists(path))
      .map((path) => `${document} names ${path}`)
  );
  assert.deepEqual(missing, []);
});

Deno.test("every relative link of a document leads somewhere", () => {
  const link = /\]\((?![a-z]+:|#)([^)#\s]+)/g;
  const missing = MARKDOWN.flatMap((document) =>
    [...read(document).matchAll(link)].map(([, target = ""]) => target)
      .filter((target) => !exists(normalize(join(dirname(document), decodeURI(target)))))
      .map((target) => `${document} links to ${target}`)
  );
  assert.deepEqual(missing, []);
});

Deno.test("no file names a path of one machine", () => {
  // The letters in brackets keep this file from offending itself.
  const machine = /(?<![\w.}])\/(?:[w]ork|[r]oot|[h]ome|[U]sers)\/\w|[A-Z]:\\\\?[U]sers/;
  assert.deepEqual(offences(ALL.filter((path) => TEXT.test(path)), machine, read), []);
});
