/** The gateway's page in a real browser, worked by the keyboard alone. */
import assert from "node:assert/strict";
import type { BrowserContext, Page } from "playwright-core";
import { findChromium, launchChromium } from "../support/browser.ts";
import { mockText } from "../support/mock_llm_server.ts";
import { Network, PROCESS_TEST } from "../support/network.ts";
import {
  END,
  event,
  KEY,
  PEERS,
  refusal,
  type Script,
  ScriptedGateway,
  streamed,
  words,
} from "../support/scripted_gateway.ts";

const chromium = findChromium();
const HOSTILE = "<img src=x onerror=alert(1)> & so on";

/** A page, and what its browser complains about. */
class Visit {
  readonly faults: string[] = [];

  private constructor(readonly page: Page, readonly url: string) {
    page.on("console", (message) => {
      // Chromium notes every answer that is a refusal; that they come is part of the tests.
      const isRefusal = message.text().startsWith("Failed to load resource");
      if (!isRefusal) this.faults.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(url)) this.faults.push(`request to ${request.url()}`);
    });
  }

  static async begin(browser: BrowserContext, url: string): Promise<Visit> {
    const visit = new Visit(await browser.newPage(), url);
    await visit.page.goto(url);
    return visit;
  }

  /** Resolves once there is a model to talk to, and the browser has drawn the page: then it focuses. */
  async ready(): Promise<void> {
    await this.page.locator("#send:enabled").waitFor();
    await this.page.locator("#prompt:focus").waitFor();
  }

  /** Types into what has the focus, and sends it. */
  async say(text: string): Promise<void> {
    await this.page.keyboard.type(text);
    await this.page.keyboard.press("Enter");
  }

  /** Resolves once something of a role says so. */
  async sees(role: "alert" | "status" | "log" | "note", text: string | RegExp): Promise<void> {
    try {
      await this.page.getByRole(role).filter({ hasText: text }).waitFor();
    } catch (cause) {
      const seen = await this.page.locator("body").ariaSnapshot();
      throw new Error(`see ${text} as ${role}: ${this.faults.join()} on ${seen}`, { cause });
    }
  }

  /** The id of what has the focus. */
  focused(): Promise<string | undefined> {
    return this.page.locator(":focus").getAttribute("id").then((id) => id ?? undefined);
  }

  /** What is in the message's field. */
  prompt(): Promise<string> {
    return this.page.getByLabel("Message").inputValue();
  }

  async end(): Promise<void> {
    await this.page.close();
    assert.deepEqual(this.faults, []);
  }
}

/** Registers a test in a browser of its own. */
function testPage(
  name: string,
  fn: (context: BrowserContext, t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({
    ...PROCESS_TEST,
    name: chromium === undefined ? `${name} (no Chromium here)` : name,
    ignore: chromium === undefined,
    async fn(t) {
      const browser = await launchChromium(chromium!);
      try {
        await fn(await browser.newContext(), t);
      } finally {
        await browser.close();
      }
    },
  });
}

testPage("the gateway's page", async (context, t) => {
  const step = (
    name: string,
    script: Script,
    run: (visit: Visit, gateway: ScriptedGateway) => Promise<void>,
    needsKey = false,
  ) =>
    t.step(name, async () => {
      await using gateway = await ScriptedGateway.open(script, needsKey);
      const visit = await Visit.begin(context, gateway.url);
      await run(visit, gateway);
      await visit.end();
    });
  await step(
    "waits for words, with the model's price, and names every control",
    () => streamed(END),
    async (visit) => {
      await visit.ready();
      assert.equal(await visit.focused(), "prompt");
      const offer = await visit.page.locator("#offer").innerText();
      assert.match(offer, /^0\.15 USDC in, 0\.6 USDC out.* · 8,192 tokens of con.* · 2 exec/);
      await visit.page.getByText("Settings").press("Enter");
      assert.deepEqual(await namelessControls(visit.page), []);
    },
  );

  const more = Promise.withResolvers<string>();
  await step(
    "shows an answer while it comes: its words, who gives it, tokens and cost",
    () => streamed(words("Hello"), more.promise, words(HOSTILE), END),
    async (visit, { requests }) => {
      await visit.ready();
      await visit.page.keyboard.type("Two");
      await visit.page.keyboard.press("Shift+Enter");
      await visit.say("lines");
      await visit.sees("log", /Hello\s*…bNcMdEfG · about 1 token · about 0\.0\d+ USDC/);
      more.resolve(words(", world. "));
      await visit.sees("status", "Answered: …bNcMdEfG · 34 tokens · ");
      await visit.sees("log", `Hello, world. ${HOSTILE}`);
      await visit.sees("log", / tokens\/s · 0\.0000222 USDC/);
      assert.equal(await visit.page.locator("#log img").count(), 0);
      assert.equal(await visit.focused(), "prompt");
      const [{ body, headers }] = requests as [typeof requests[0]];
      assert.deepEqual(body.messages, [{ role: "user", content: "Two\nlines" }]);
      assert.equal(headers.get("x-lloom-continue"), "true");
    },
  );

  await step(
    "keeps the conversation, until a new one is begun, and sends the settings",
    () => streamed(words("Yes."), END),
    async (visit, { requests }) => {
      await visit.ready();
      await visit.say("One?");
      await visit.sees("status", "Answered");
      const settings = visit.page.getByText("Settings");
      await settings.press("Enter");
      await visit.page.keyboard.press("Tab");
      await visit.page.keyboard.type("Be brief.");
      await visit.page.keyboard.press("Tab");
      await visit.page.keyboard.type("50");
      await visit.page.keyboard.press("Tab");
      await visit.say("Two?");
      await visit.page.getByRole("article").nth(3).getByText("34 tokens").waitFor();
      await visit.page.getByRole("button", { name: "New conversation" }).press("Enter");
      assert.equal(await visit.page.getByRole("article").count(), 0);
      await visit.say("Three?");
      await visit.sees("status", "Answered");
      const [first, second, third] = requests.map(({ body, headers }) => ({
        ...{ contents: body.messages.map(({ content }) => content).join(" ") },
        ...{ limit: body["max_tokens"], name: headers.get("x-lloom-conversation") },
      }));
      assert.equal(second?.contents, "Be brief. One? Yes. Two?");
      assert.deepEqual([first?.limit, second?.limit], [undefined, 50]);
      assert.equal(second?.name, first?.name);
      assert.equal(third?.contents, "Be brief. Three?");
      assert.notEqual(third?.name, first?.name);
    },
  );

  await step(
    "stops an answer at Escape: the gateway hears of it, and the words stay",
    ({ signal }) => streamed(words("Once upon"), aborted(signal)),
    async (visit, { requests }) => {
      await visit.ready();
      await visit.say("A tale");
      await visit.sees("log", "Once upon");
      await visit.page.keyboard.press("Escape");
      await visit.sees("status", "Stopped.");
      await visit.sees("log", / · stopped/);
      await aborted(requests[0]!.signal);
      assert.equal(await visit.focused(), "prompt");
      await visit.page.getByRole("button", { name: "Send" }).waitFor();
    },
  );

  await step(
    "says in words why nobody answers, and gives the question back",
    () => refusal(402, "pay request: 5 of 3 USDC", "insufficient_quota"),
    async (visit) => {
      await visit.ready();
      await visit.say("Dear?");
      await visit.sees("alert", /not paid for.*\(pay request: 5 of 3 USDC\)/);
      assert.equal(await visit.prompt(), "Dear?");
      assert.equal(await visit.page.getByRole("article").count(), 0);
    },
  );

  const broken = { error: { message: "stream: gone", code: "stream_broken" } };
  await step(
    "marks an answer that broke off as incomplete, and says why",
    () => streamed(words("Half"), event(broken)),
    async (visit) => {
      await visit.ready();
      await visit.say("All?");
      await visit.sees("alert", "The answer broke off. (stream: gone)");
      await visit.sees("log", /Half[^]* · incomplete/);
    },
  );

  await step(
    "shows where another executor went on",
    () =>
      streamed(
        words("First"),
        `: lloom continued by ${PEERS[1]} after stream_broken\n\n`,
        words(" and second"),
        END,
      ),
    async (visit) => {
      await visit.ready();
      await visit.say("Go");
      await visit.sees("note", "Continued by …CvBtSyHw: the executor before failed");
      await visit.sees("status", "…bNcMdEfG, then …CvBtSyHw");
    },
  );

  await step(
    "asks for a key where the gateway does, and remembers it",
    () => streamed(words("Welcome"), END),
    async (visit) => {
      await visit.page.getByRole("dialog", { name: "asks for a key" }).waitFor();
      assert.equal(await visit.focused(), "key");
      await visit.say("another key");
      await visit.sees("alert", "asks for a key that it knows");
      await visit.say(KEY);
      await visit.ready();
      await visit.page.reload();
      await visit.ready();
      await visit.say("Hello");
      await visit.sees("log", "Welcome");
    },
    true,
  );
});

testPage("the gateway's page and cache, over the network", async (context) => {
  await using network = await Network.open();
  const mock = network.mock({ tokens: 8 });
  const executor = await network.executor({ backends: [mock] });
  const child = network.command(["gateway", "--port", "0", "--cache", "--format", "json"]);
  const { url } = JSON.parse(await child.line('"event":"ready"')) as { readonly url: string };
  const visit = await Visit.begin(context, `${url}/`);
  await visit.ready();
  await visit.say("Count");
  await visit.sees("status", `Answered: …${executor.peerId.slice(-8)} · 8 tokens`);
  await visit.sees("log", mockText(8));

  const said = [await answerFrom(url), await answerFrom(url)];
  assert.deepEqual(said, [["miss", mockText(8)], ["hit", mockText(8)]]);
  assert.equal(mock.requests.length, 2);

  mock.options.failure = { kind: "hang", afterTokens: 3 };
  const aborted = mock.nextAbort();
  await visit.say("Hang");
  await visit.page.getByRole("article").nth(3).getByText(mockText(3)).waitFor();
  await visit.page.keyboard.press("Escape");
  await visit.sees("status", "Stopped.");
  assert.equal((await aborted).sent, 3);

  mock.options.failure = { kind: "status", status: 400 };
  await visit.say("Fail");
  await visit.sees("alert", /^The gateway cannot take this request\. \(.+\)$/);
  assert.equal(await visit.prompt(), "Fail");
  await visit.end();
});

/** Whether an answer that can only be one came from the cache, and what it says. */
async function answerFrom(url: string): Promise<readonly [string | null, string]> {
  const messages = [{ role: "user", content: "Count" }];
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "mock-model", temperature: 0, messages }),
  });
  const { choices } = await response.json();
  return [response.headers.get("x-lloom-cache"), choices[0].message.content];
}

/** Resolves with no text once a signal is aborted. */
function aborted(signal: AbortSignal): Promise<string> {
  if (signal.aborted) return Promise.resolve("");
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve("")));
}

/** Controls that a screen reader has no name for, or no word for what they are. */
async function namelessControls(page: Page): Promise<readonly string[]> {
  const controls = page.locator("button, select, input, textarea, summary, [tabindex]");
  const nameless: string[] = [];
  for (const control of await controls.all()) {
    if (!await control.isVisible()) continue;
    const tree = await control.ariaSnapshot();
    if (!/^- \w+ "[^"]+"|^- text: \S/.test(tree)) nameless.push(tree);
  }
  return nameless;
}
