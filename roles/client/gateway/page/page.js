/**
 * The page: a conversation with a model of the network, over the gateway's own API.
 * @module
 */
import { AnswerView, showQuestion } from "./answer_view.js";
import { Gateway } from "./gateway.js";
import { GatewayError, priceFigures, priceWords, problemWords } from "./words.js";

const KEY = "lloom-key";
/** How long until models are looked for again where there are none. */
const LOOK_AGAIN_MS = 3000;
/** What a token is taken to have, until the gateway has counted. */
const CHARACTERS_PER_TOKEN = 4;

const byId = (id) => document.getElementById(id);
const [modelList, offer, log] = ["model", "offer", "log"].map(byId);
const [problem, status] = ["problem", "status"].map(byId);
const [composer, settings, system, limit] = ["composer", "settings", "system", "limit"].map(byId);
const [prompt, send, stop] = ["prompt", "send", "stop"].map(byId);
const [keyDialog, keyForm, key] = ["key-dialog", "key-form", "key"].map(byId);

const gateway = new Gateway();
gateway.key = sessionStorage.getItem(KEY) ?? "";

/** @type {Map<string, import("./gateway.js").Model>} */
let models = new Map();
/** @type {{ role: string, content: string }[]} */
let messages = [];
let conversation = newId();
/** @type {AbortController | undefined} the answer under way */
let answering;
let lookingAgain = 0;

/** Not `randomUUID`, which pages have at addresses of their own machine only, or over TLS. */
function newId() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

async function loadModels() {
  clearTimeout(lookingAgain);
  let found = [];
  try {
    found = await gateway.models();
    if (problem.dataset.of === "models") problem.textContent = "";
  } catch (error) {
    showProblem(error, "models");
  }
  // Models that are gone for a moment stay in the list: who asks them is told why they do not answer.
  if (found.length > 0) models = new Map(found.map((model) => [model.id, model]));
  showModels();
  // Where it is a key that is missing, the dialog goes on from here.
  if (found.length === 0 && !keyDialog.open) lookingAgain = setTimeout(loadModels, LOOK_AGAIN_MS);
}

function showModels() {
  const chosen = modelList.value;
  const options = [...models.values()].map(({ id, pricing }) =>
    new Option(`${id} (${priceFigures(pricing)})`, id, false, id === chosen)
  );
  modelList.replaceChildren(...options);
  modelList.disabled = models.size === 0;
  showOffer();
}

function showOffer() {
  const model = models.get(modelList.value);
  send.disabled = model === undefined;
  offer.textContent = model === undefined
    ? "Looking for models on the network…"
    : offerWords(model);
}

/** @param {import("./gateway.js").Model} model */
function offerWords({ pricing, context_length: context, executors }) {
  const count = executors?.available;
  return [
    priceWords(pricing),
    context === undefined ? "" : `${context.toLocaleString("en")} tokens of context`,
    count === undefined ? "" : `${count} ${count === 1 ? "executor" : "executors"}`,
  ].filter((part) => part !== "").join(" · ");
}

/** @param {unknown} error @param {"models" | "answer"} of what failed */
function showProblem(error, of) {
  problem.dataset.of = of;
  const words = problemWords(error);
  // Said once: an alert that is written again is read aloud again.
  if (problem.textContent !== words) problem.textContent = words;
  const needsKey = error instanceof GatewayError && error.status === 401;
  if (needsKey && !keyDialog.open) keyDialog.showModal();
}

async function ask() {
  const model = models.get(modelList.value);
  if (answering !== undefined || prompt.value.trim() === "") return;
  if (model === undefined) {
    status.textContent = "No model is there yet: send again once one is listed.";
    return;
  }
  if (!limit.validity.valid) settings.open = true; // or the browser has nothing to point at
  if (!composer.reportValidity()) return;
  const question = { role: "user", content: prompt.value };
  const request = requestOf(question);
  const asked = conversation;
  const { signal } = begin();
  const shown = showQuestion(log, question.content);
  const characters = request.messages.reduce((sum, { content }) => sum + content.length, 0);
  const view = new AnswerView(log, model, Math.ceil(characters / CHARACTERS_PER_TOKEN));
  try {
    for await (const event of gateway.ask(request, asked, signal)) {
      view.show(event);
      if (event.type === "seam") status.textContent = "Another executor continues the answer.";
    }
    view.end();
    status.textContent = `Answered: ${view.summary()}`;
  } catch (error) {
    view.end(signal.aborted ? "stopped" : "incomplete");
    status.textContent = signal.aborted ? "Stopped." : "";
    if (!signal.aborted) showProblem(error, "answer");
  }
  if (asked === conversation) keep(question, shown, view);
  finish();
}

/** The whole conversation as a request; `question` is its last message. */
function requestOf(question) {
  const instructions = system.value.trim();
  return {
    model: modelList.value,
    messages: [
      ...(instructions === "" ? [] : [{ role: "system", content: instructions }]),
      ...messages,
      question,
    ],
    ...(limit.value !== "" && { max_tokens: limit.valueAsNumber }),
  };
}

/** Takes a turn into the conversation. One without a word is undone, so that it can be sent again. */
function keep(question, shown, view) {
  if (view.text !== "") {
    messages.push(question, { role: "assistant", content: view.text });
    return;
  }
  view.remove();
  shown.remove();
  if (prompt.value === "") prompt.value = question.content;
}

function begin() {
  answering = new AbortController();
  prompt.value = "";
  problem.textContent = "";
  status.textContent = "Waiting for an answer…";
  log.setAttribute("aria-busy", "true");
  stop.hidden = false;
  send.hidden = true;
  return answering;
}

function finish() {
  answering = undefined;
  log.removeAttribute("aria-busy");
  // The button that goes away takes the focus with it.
  const focused = document.activeElement;
  stop.hidden = true;
  send.hidden = false;
  if (focused === stop || focused === document.body) prompt.focus();
  loadModels(); // prices and executors change
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
prompt.addEventListener("keydown", (event) => {
  // While a word is being composed, as in Japanese, Enter ends the word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
stop.addEventListener("click", () => answering?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !keyDialog.open) answering?.abort();
});
modelList.addEventListener("change", showOffer);
byId("new").addEventListener("click", () => {
  answering?.abort();
  conversation = newId();
  messages = [];
  log.replaceChildren();
  problem.textContent = "";
  status.textContent = "A new conversation.";
  prompt.focus();
});
keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  gateway.key = key.value;
  sessionStorage.setItem(KEY, key.value);
  key.value = "";
  problem.textContent = "";
  keyDialog.close();
  prompt.focus();
  loadModels();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && !keyDialog.open) loadModels();
});

loadModels();
