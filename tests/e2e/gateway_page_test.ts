/** The gateway's page in a real browser, worked by the keyboard alone. */
import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import { findChromium, launchChromium } from "../support/browser.ts";
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

  static async begin(browser: Browser, url: string): Promise<Visit> {
    const visit = new Visit(await browser.newPage(), url);
    await visit.page.goto(url);
    return visit;
  }

  /** Resolves once there is a model to talk to. */
  async ready(): Promise<void> {
    await this.page.locator("#send:enabled").waitFor();
  }

  /** Types into what has the focus, and sends it. */
  async say(text: string): Promise<void> {
    await this.page.keyboard.type(text);
    await this.page.keyboard.press("Enter");
  }

  /** Resolves once something of a role says so. */
  async sees(role: "alert" | "status" | "log" | "note", text: string | RegExp): Promise<void> {
    await this.page.getByRole(role).filter({ hasText: text }).waitFor();
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

Deno.test({
  name: `the gateway's page${chromium === undefined ? " (left out: no Chromium here)" : ""}`,
  ignore: chromium === undefined,
  // The browser's pipes outlive its process for a moment.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const browser = await launchChromium(chromium!);
    const step = (
      name: string,
      script: Script,
      run: (visit: Visit, gateway: ScriptedGateway) => Promise<void>,
      needsKey = false,
    ) =>
      t.step(name, async () => {
        await using gateway = await ScriptedGateway.open(script, needsKey);
        const visit = await Visit.begin(browser, gateway.url);
        await run(visit, gateway);
        await visit.end();
      });
    try {
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
    } finally {
      await browser.close();
    }
  },
});

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
