import assert from "node:assert/strict";
import { LloomError } from "@lloom/core/errors";
import type { JsonObject } from "@lloom/core/protocol";
import { UsageError } from "@lloom/host";
import fc from "fast-check";
import { type ChatPort, type ChatRoute, ChatSession } from "./chat_session.ts";
import { type ChatAnswer, Conversation } from "./conversation.ts";

const LIMITS = { maxTokens: 64, temperature: undefined };

/** A network that echoes, and a person's terminal, both recorded. */
class World {
  readonly requests: JsonObject[] = [];
  readonly routes: ChatRoute[] = [];
  readonly said: string[] = [];
  readonly saved = new Map<string, string>();
  readonly ended: ChatAnswer[] = [];
  readonly conversation = new Conversation("m", undefined);
  text = "";
  left = 0;
  /** What becomes of the next answers. */
  answer: (signal: AbortSignal) => Promise<Partial<ChatAnswer>> = () => Promise.resolve({});
  readonly session: ChatSession;

  constructor() {
    const port: ChatPort = {
      ask: async (request, route, onText, signal) => {
        this.requests.push(request);
        this.routes.push(route);
        const content = `echo ${this.requests.length}`;
        onText(content);
        const tokens = { promptTokens: 10, completionTokens: 2 };
        return { content, finish: "stop", executor: "E", ...tokens, ...await this.answer(signal) };
      },
      showText: (text) => this.text += text,
      showEnd: (answer) => this.ended.push(answer),
      say: (notice) => this.said.push(notice),
      models: () => Promise.resolve(["m", "n"]),
      parseExecutor(name) {
        if (name === "wrong") throw new UsageError("name executor: no");
        return name.toLowerCase();
      },
      costInWords: (cost) => `${cost} coins`,
      save: (path, text) => this.saved.set(path, text),
      leave: () => this.left++,
    };
    this.session = new ChatSession(this.conversation, LIMITS, port);
  }

  async type(...lines: string[]): Promise<this> {
    await this.session.run((async function* () {
      yield* lines;
    })());
    return this;
  }
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

Deno.test("each message is sent with all that was said before, to who answered last", async () => {
  const { requests, routes, text, ended } = await new World().type("one", "", "two");
  assert.deepEqual(requests[1], {
    model: "m",
    messages: [user("one"), assistant("echo 1"), user("two")],
    max_tokens: 64,
  });
  assert.deepEqual(routes, [{}, { prefer: "E" }]);
  assert.equal(text, "echo 1echo 2");
  assert.equal(ended.length, 2);
});

Deno.test("a line that ends with a backslash goes on, and two slashes begin a message", async () => {
  const { requests } = await new World().type("one\\", "two", "//etc");
  const asked = requests.map(({ messages }) => (messages as JsonObject[]).at(-1));
  assert.deepEqual(asked, [user("one\ntwo"), user("/etc")]);
});

Deno.test("commands change what is asked of whom", async () => {
  const world = await new World().type(
    ...["/system Be brief.", "/model n", "/executor 0xAB", "one"],
    ...["/executor anyone", "/clear", "/system", "two", "/quit", "three"],
  );
  const { requests, routes } = world;
  assert.deepEqual(requests.map(({ model, messages }) => [model, messages]), [
    ["n", [{ role: "system", content: "Be brief." }, user("one")]],
    ["n", [user("two")]],
  ]);
  assert.deepEqual(routes, [{ only: "0xab" }, { prefer: "E" }]);
});

Deno.test("/help, /model, /executor and /price tell how things are", async () => {
  const world = new World();
  world.answer = () => Promise.resolve({ cost: 7n, prices: "1 in, 2 out" });
  await world.type("one", "two", "/model", "/executor", "/price", "/nonsense", "/help");
  const [models, executor, price, unknown, help] = world.said;
  assert.equal(models, "* m\n  n");
  assert.equal(executor, "anyone may be asked; E answered last");
  assert.equal(
    price,
    "answers: 2; tokens: 20 in, 4 out; 14 coins; the last one at 1 in, 2 out",
  );
  assert.match(unknown!, /^\/nonsense: no such command; \/help/);
  for (const name of ["model", "system", "clear", "save", "price", "executor", "quit"]) {
    assert.match(help!, new RegExp(`^/${name}\\b`, "m"));
  }
});

Deno.test("/save writes Markdown, or a request's JSON", async () => {
  const { saved } = await new World().type("/system Be brief.", "hi", "/save a.md", "/save a.json");
  assert.equal(
    saved.get("a.md"),
    "# Chat with m\n\n## system\n\nBe brief.\n\n## user\n\nhi\n\n## assistant\n\necho 1\n",
  );
  assert.deepEqual(JSON.parse(saved.get("a.json")!), {
    model: "m",
    messages: [{ role: "system", content: "Be brief." }, user("hi"), assistant("echo 1")],
  });
});

Deno.test("what is wrong is said, and the chat goes on; a fault of ours ends it", async () => {
  const world = new World();
  world.answer = () => Promise.reject(new LloomError("request_invalid", "ask: too long"));
  await world.type("/executor wrong", "one");
  assert.deepEqual(world.said, ["name executor: no", "ask: too long"]);
  world.answer = () => Promise.reject(new TypeError("a fault"));
  await assert.rejects(world.type("two"), /a fault/);
});

Deno.test("a broken answer is not sent with what follows; a stopped one is", async () => {
  const world = new World();
  world.answer = () => Promise.resolve({ error: new LloomError("stream_broken", "broken") });
  await world.type("one");
  world.answer = () => Promise.resolve({ error: new LloomError("aborted", "stopped") });
  await world.type("two", "three");
  const { messages } = world.requests[2]!;
  assert.deepEqual(messages, [user("two"), assistant("echo 2"), user("three")]);
});

Deno.test("without a model, a message asks nobody and says what to do", async () => {
  const world = new World();
  world.conversation.model = undefined;
  await world.type("one");
  assert.deepEqual(world.requests, []);
  assert.match(world.said[0]!, /\/model NAME/);
});

Deno.test("an interrupt stops the answer, and a second one before the next line leaves", async () => {
  const world = new World();
  const stopped: boolean[] = [];
  world.answer = (signal) => {
    world.session.interrupt();
    stopped.push(signal.aborted);
    return Promise.resolve({ error: LloomError.wrap(signal.reason) });
  };
  await world.type("one", "two");
  assert.deepEqual([stopped, world.left], [[true, true], 0]);
  world.session.interrupt();
  assert.equal(world.left, 1);
});

Deno.test("an interrupt between answers only says how to leave, until it comes again", () => {
  const world = new World();
  world.session.interrupt();
  assert.deepEqual([world.left, world.said.length], [0, 1]);
  world.session.interrupt();
  assert.deepEqual([world.left, world.said.length], [1, 1]);
});

Deno.test("whatever is typed, messages alternate and nothing but a message is sent", async () => {
  const word = fc.constantFrom("hi", "//x", "/clear", "/price", "/system s", "/help", "", "  ");
  await fc.assert(
    fc.asyncProperty(fc.array(word), async (lines) => {
      const { requests } = await new World().type(...lines);
      const said = lines.filter((line) => line === "hi" || line === "//x");
      assert.equal(requests.length, said.length);
      for (const { messages } of requests) {
        const roles = (messages as JsonObject[]).map(({ role }) => role)
          .filter((role) => role !== "system");
        assert.deepEqual(roles, roles.map((_, i) => i % 2 === 0 ? "user" : "assistant"));
        assert.equal(roles.at(-1), "user");
      }
    }),
    { numRuns: 50 },
  );
});
