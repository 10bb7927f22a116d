/** Imports only go left: contracts, core, workers, roles/host, the roles, mod.ts. */
import assert from "node:assert/strict";
import { code, isTest, ROOT, SOURCES } from "./sources.ts";

const ORDER = ["contracts", "core", "workers", "roles/host", "roles", "mod.ts"];

interface Import {
  readonly from: string;
  readonly to: string;
  /** As written. */
  readonly specifier: string;
}

/** The package a file belongs to, or its top folder. */
function packageOf(path: string): string {
  const parts = path.split("/");
  return parts[0] === "roles" ? `roles/${parts[1]}` : parts[0]!;
}

function rank(path: string): number {
  const name = packageOf(path);
  return ORDER.indexOf(name.startsWith("roles/") && name !== "roles/host" ? "roles" : name);
}

/** The checkout's modules and their imports, as Deno resolves them. */
async function moduleGraph(): Promise<DenoInfo> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const lines = SOURCES.map((path) => `import ${JSON.stringify(new URL(path, ROOT).href)};`);
    await Deno.writeTextFile(entry, lines.join("\n"));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", "--config", new URL("deno.json", ROOT).pathname, entry],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(entry);
  }
}

interface Resolved {
  readonly specifier?: string;
}

interface DenoInfo {
  readonly modules: readonly {
    readonly specifier: string;
    readonly error?: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: Resolved;
      readonly type?: Resolved;
    }[];
  }[];
}

function importsOf({ modules }: DenoInfo): Import[] {
  const imports: Import[] = [];
  for (const module of modules) {
    if (!module.specifier.startsWith(ROOT.href)) continue;
    assert.equal(module.error, undefined);
    for (const { specifier, code, type } of module.dependencies ?? []) {
      const target = code?.specifier ?? type?.specifier;
      assert.ok(target !== undefined, `${module.specifier}: ${specifier} is not resolved`);
      const to = target.startsWith(ROOT.href) ? target.slice(ROOT.href.length) : target;
      imports.push({ from: module.specifier.slice(ROOT.href.length), to, specifier });
    }
  }
  return imports;
}

const graph = await moduleGraph();
const imports = importsOf(graph);
const inside = imports.filter(({ to }) => SOURCES.includes(to));

function show({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

Deno.test("every source file was looked at", () => {
  const looked = new Set(graph.modules.map(({ specifier }) => specifier));
  assert.deepEqual(SOURCES.filter((path) => !looked.has(new URL(path, ROOT).href)), []);
  assert.ok(inside.length > SOURCES.length);
});

Deno.test("packages import only packages to their left", () => {
  const wrong = inside.filter(({ from, to }) =>
    rank(from) >= 0 && rank(to) >= 0 && packageOf(from) !== packageOf(to) && rank(to) >= rank(from)
  );
  assert.deepEqual(wrong.map(show), []);
});

Deno.test("the product imports neither tests nor scripts", () => {
  const wrong = inside.filter(({ from, to }) =>
    rank(from) >= 0 && !isTest(from) && (isTest(to) || rank(to) < 0)
  );
  assert.deepEqual(wrong.map(show), []);
});

Deno.test("another package is imported by its name, the own one by relative path", () => {
  const wrong = inside.filter(({ from, to, specifier }) => {
    if (isTest(from)) return false; // tests/support has no name, and tests look inside packages
    const own = packageOf(from) === packageOf(to);
    return own ? !specifier.startsWith(".") : rank(to) >= 0 && specifier.startsWith(".");
  });
  assert.deepEqual(wrong.map(show), []);
});

Deno.test("core has no Node built-ins", () => {
  const wrong = imports.filter(({ from, to }) =>
    packageOf(from) === "core" && !isTest(from) && to.startsWith("node:")
  );
  assert.deepEqual(wrong.map(show), []);
});

Deno.test("a worker's module is part of the package that starts it", () => {
  for (const path of SOURCES) {
    const started = code(path).matchAll(/new Worker\(\s*new URL\(\s*"([^"]+)"/g);
    for (const [, module = ""] of started) {
      const target = new URL(module, new URL(path, ROOT)).href.slice(ROOT.href.length);
      assert.ok(SOURCES.includes(target), `${path} starts ${target}`);
      assert.equal(packageOf(target), packageOf(path));
    }
  }
});
