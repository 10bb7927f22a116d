/** What is said in a chat to the program instead of the model: lines that begin with a slash. @module */
import type { Cost } from "@lloom/core/payments";
import type { Conversation } from "./conversation.ts";

/** What commands work with. */
export interface ChatTools {
  /** Says something that is no answer. */
  readonly say: (notice: string) => void;
  /** Names of the models on offer. @throws {LloomError} */
  readonly models: () => Promise<readonly string[]>;
  /** An executor's address, by its PeerId or address. @throws {UsageError} */
  readonly parseExecutor: (name: string) => string;
  /** A cost in words. */
  readonly costInWords: (cost: Cost) => string;
  /** Writes a file. @throws {UsageError} */
  readonly save: (path: string, text: string) => void;
}

/** What commands change. */
export interface ChatState {
  /** What is said. */
  readonly conversation: Conversation;
  /** The executor that alone is asked; undefined for anyone. */
  executor: string | undefined;
}

/** One command. */
interface ChatCommand {
  readonly name: string;
  /** How its argument is called in the help; absent if it takes none. */
  readonly argument?: string;
  readonly summary: string;
  readonly run: (argument: string, state: ChatState, tools: ChatTools) => void | Promise<void>;
}

const COMMANDS: readonly ChatCommand[] = [
  { name: "help", summary: "list these commands", run: (_, __, { say }) => say(help()) },
  {
    name: "model",
    argument: "[name]",
    summary: "ask another model; without a name, list those on offer",
    run: chooseModel,
  },
  {
    name: "system",
    argument: "[text]",
    summary: "put instructions before all that is said; without a text, none",
    run(text, { conversation }, { say }) {
      conversation.system = text === "" ? undefined : text;
      say(text === "" ? "no instructions from now on" : "these instructions count from now on");
    },
  },
  {
    name: "executor",
    argument: "[name|anyone]",
    summary: "ask one executor only, by PeerId or address; without a name, tell who answers",
    run: chooseExecutor,
  },
  { name: "price", summary: "tell what the conversation came to", run: tellPrice },
  {
    name: "clear",
    summary: "forget what was said",
    run(_, { conversation }, { say }) {
      conversation.clear();
      say("nothing of what was said is sent from now on");
    },
  },
  {
    name: "save",
    argument: "<file>",
    summary: "write what was said to a file: as Markdown, or as JSON to one that ends in .json",
    run(path, { conversation }, { say, save }) {
      if (path === "") return say("/save: name a file");
      save(path, conversation.transcript(path.endsWith(".json") ? "json" : "markdown"));
      say(`saved to ${path}`);
    },
  },
  // What it does is left to whoever runs commands: it ends the chat.
  { name: "quit", summary: "leave, as the end of input does", run: () => {} },
];

/**
 * Does what a line says.
 * @param line without its slash
 * @returns whether the chat goes on
 */
export async function runChatCommand(
  line: string,
  state: ChatState,
  tools: ChatTools,
): Promise<boolean> {
  const [, name = "", argument = ""] = /^(\S*)([^]*)$/.exec(line) ?? [];
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    tools.say(`/${name}: no such command; /help lists them, and a message may begin with //`);
  } else {
    await command.run(argument.trim(), state, tools);
  }
  return name !== "quit";
}

function help(): string {
  const usages = COMMANDS.map(({ name, argument }) =>
    argument === undefined ? `/${name}` : `/${name} ${argument}`
  );
  const width = Math.max(...usages.map((usage) => usage.length));
  return [
    ...COMMANDS.map(({ summary }, i) => `${usages[i]!.padEnd(width)}  ${summary}`),
    "A line that ends with \\ goes on in the next one. Ctrl-C stops an answer; twice, it leaves.",
  ].join("\n");
}

async function chooseModel(
  name: string,
  { conversation }: ChatState,
  { say, models }: ChatTools,
): Promise<void> {
  if (name !== "") {
    conversation.model = name;
    return say(`${name} is asked from now on`);
  }
  const names = await models();
  const list = names.map((one) => `${one === conversation.model ? "*" : " "} ${one}`);
  say(list.length === 0 ? "no model is on offer now" : list.join("\n"));
}

function chooseExecutor(name: string, state: ChatState, { say, parseExecutor }: ChatTools): void {
  if (name === "anyone") {
    state.executor = undefined;
    return say("anyone may be asked from now on");
  }
  if (name !== "") {
    state.executor = parseExecutor(name);
    return say(`only ${name} is asked from now on`);
  }
  const whom = state.executor === undefined
    ? "anyone may be asked"
    : `only ${state.executor} is asked`;
  say(`${whom}; ${state.conversation.last?.executor ?? "nobody"} answered last`);
}

function tellPrice(
  _: string,
  { conversation: { totals, last } }: ChatState,
  { say, costInWords }: ChatTools,
): void {
  const { answers, promptTokens, completionTokens, cost } = totals;
  const sum = cost === 0n ? "free" : costInWords(cost);
  const prices = last?.prices === undefined ? "" : `; the last one at ${last.prices}`;
  say(`answers: ${answers}; tokens: ${promptTokens} in, ${completionTokens} out; ${sum}${prices}`);
}
