/** `chat`: a conversation with a model. @module */
import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { formatCost } from "@lloom/core/payments";
import {
  type LineReader,
  openCommand,
  OutputFile,
  type ParsedCommand,
  print,
  printable,
  printableJson,
  readLines,
  runInterruptibly,
  UsageError,
} from "@lloom/host";
import { CLIENT_SETTINGS } from "@lloom/host/config";
import { routingOptions } from "../asking/routing_options.ts";
import { askInChat } from "../chat/ask_in_chat.ts";
import { type ChatPort, ChatSession } from "../chat/chat_session.ts";
import { type ChatAnswer, Conversation } from "../chat/conversation.ts";
import { type NetworkContext, withNetwork } from "../network.ts";
import { showProgress } from "../progress.ts";
import { parseExecutor } from "./arguments.ts";
import { say } from "./context.ts";

/** `chat` */
export function chatCommand(): Command {
  return new Command("chat")
    .description("talk with a model; /help lists what else can be said")
    .action((_options, command) => run(command));
}

async function run(command: ParsedCommand): Promise<void> {
  const context = openCommand(CLIENT_SETTINGS, command);
  let session: ChatSession | undefined;
  // Before there is anything to interrupt, Ctrl-C ends the command.
  const onInterrupt = () => {
    session?.interrupt();
    return session !== undefined;
  };
  await runInterruptibly((signal) =>
    withNetwork(context, signal, async (context) => {
      const { config: { client: { defaults } }, format } = context;
      const lines = readLines({ prompt: "> ", onInterrupt });
      const leave = () => lines.close();
      signal.addEventListener("abort", leave, { once: true });
      const conversation = new Conversation(defaults.model, defaults.systemPrompt);
      session = new ChatSession(conversation, defaults, chatPort(context, lines));
      if (lines.isTerminal) {
        say(format, `${defaults.model ?? "No model yet"}; /help lists commands, /quit leaves`);
      }
      await session.run(lines);
      leave();
      signal.throwIfAborted();
    }), { onInterrupt });
}

/** What stands behind a chat: the network, the terminal, the disk. */
function chatPort(
  { client, wallet: { funds }, config, format, signal }: NetworkContext,
  lines: LineReader,
): ChatPort {
  const options = routingOptions(config);
  const isShown = Deno.stdout.isTerminal();
  const costInWords = (cost: bigint) =>
    funds === undefined ? "free" : formatCost(cost, funds.asset);
  let hide = () => {};
  let isLineOpen = false;
  return {
    async ask(request, route, onText, stopped) {
      hide = showProgress(() => "waiting for an answer");
      try {
        const within = AbortSignal.any([signal, stopped]);
        return await askInChat(client, request, route, { ...options, signal: within }, onText);
      } finally {
        hide();
      }
    },
    showText(text) {
      hide();
      if (format === "json") return;
      print(isShown ? printable(text) : text);
      isLineOpen = !text.endsWith("\n");
    },
    showEnd(answer) {
      if (isLineOpen) print("\n");
      isLineOpen = false;
      if (format === "json") print(`${printableJson(reportOf(answer, costInWords))}\n`);
      else for (const notice of noticesOf(answer, costInWords)) say(format, notice);
    },
    say: (notice) => say(format, notice),
    models: async () => (await client.models({}, signal)).map(({ id }) => id),
    parseExecutor(name) {
      try {
        return parseExecutor(name);
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error;
        throw new UsageError(`name executor: ${error.message}`, { cause: error });
      }
    },
    costInWords,
    save(path, text) {
      using file = OutputFile.open(path, "replace");
      file.write(text);
    },
    leave: () => lines.close(),
  };
}

/** What is to be known of an answer besides its text: that it is not whole, and what it cost. */
function noticesOf(
  { error, finish, promptTokens, completionTokens, cost, executor }: ChatAnswer,
  costInWords: (cost: bigint) => string,
): readonly string[] {
  const notices: string[] = [];
  if (error?.code === "aborted") notices.push("stopped");
  else if (error !== undefined) {
    notices.push(`${error.message}; this is not sent with what follows`);
  } else if (finish === "length") notices.push("cut at the limit; --max-tokens allows more");
  if (cost !== undefined) {
    const tokens = `${promptTokens} tokens in, ${completionTokens} out`;
    notices.push(`${costInWords(cost)} for ${tokens}${executor ? `, by ${executor}` : ""}`);
  }
  return notices;
}

/** An answer, as `--format json` has it. */
function reportOf(
  { error, cost, ...answer }: ChatAnswer,
  costInWords: (cost: bigint) => string,
): Readonly<Record<string, unknown>> {
  return {
    ...answer,
    ...(cost !== undefined && { cost: costInWords(cost) }),
    ...(error && { error: { code: error.code, message: error.message } }),
  };
}
