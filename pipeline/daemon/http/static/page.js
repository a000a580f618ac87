"use strict";
// Asks for the status every two seconds and shows it. What comes is only ever set as text.

const ASK_MS = 2000;
const byId = (id) => document.getElementById(id);
const cards = new Map();
let token = "";

function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = kind;
  return made;
}

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(path, { headers, cache: "no-store" });
}

function showAlarms(alarms) {
  byId("alarms").replaceChildren(
    ...alarms.map((a) => element("li", `${a.kind}: ${a.where}: ${a.text}`)),
  );
}

function card(id) {
  if (!cards.has(id)) {
    const figure = element("figure");
    const image = element("img");
    image.alt = `no picture of ${id} yet`;
    const caption = element("figcaption");
    figure.append(image, caption);
    cards.set(id, { figure, image, caption });
  }
  return cards.get(id);
}

async function showPicture(id, image) {
  const answer = await ask(`cameras/${encodeURIComponent(id)}/snapshot.jpg`);
  if (!answer.ok) return;
  const old = image.src;
  image.src = URL.createObjectURL(await answer.blob());
  if (old) URL.revokeObjectURL(old);
}

function showCamera(camera, part, account) {
  const { image, caption } = card(camera.id);
  const dropped = account.dropped.reduce((sum, line) => sum + line.frames, 0);
  const well = ["live", "ended", "paused"].includes(part.state);
  const since = part.for_s === null ? "" : ` for ${part.for_s.toFixed(0)} s`;
  caption.replaceChildren(
    element("b", camera.id),
    element("span", part.state, well ? "live" : "wrong"),
    element("span", since),
    element("span", part.reason, "reason"),
    element("span", `${account.emitted} frames out, ${dropped} dropped`, "reason"),
  );
  return showPicture(camera.id, image);
}

function showStages(report, health) {
  const rows = report.stages.map((stage) => {
    const part = health.stages[stage.name] ?? { state: "ok", reason: "" };
    const row = element("tr");
    const numbers = [`${(100 * stage.busy).toFixed(0)} %`, stage.p50_ms.toFixed(1),
      stage.p95_ms.toFixed(1), stage.age_p95_ms.toFixed(0), stage.blind];
    row.append(element("td", stage.name), element("td", stage.binding),
      ...numbers.map((number) => element("td", number)),
      element("td", part.state, part.state === "ok" ? "ok" : "wrong"));
    return row;
  });
  byId("stages").replaceChildren(...rows);
}

function showCosts(status) {
  const { cpu_s: cpu, machine_joules: joules } = status.per_frame;
  const heat = Object.entries(status.energy.temperatures_c).map(([s, c]) => `${s} ${c.toFixed(0)} °C`);
  byId("costs").textContent = [
    `${(1000 * cpu).toFixed(1)} ms of processor time a frame`,
    joules === null ? "" : `${joules.toFixed(2)} J a frame, all of the machine`,
    ...heat,
    `version ${status.version}`,
  ].filter(Boolean).join("; ");
}

async function show() {
  const answer = await ask("status");
  byId("login").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error((await answer.json()).error);
  const status = await answer.json();
  const { report, health } = status;
  const none = { emitted: 0, dropped: [] };
  byId("status").textContent =
    `${health.status}; ${report.wall_s.toFixed(0)} s; ${report.fps.toFixed(1)} frames/s`;
  showAlarms(health.alarms);
  byId("cameras").replaceChildren(...report.cameras.map((c) => card(c.id).figure));
  showStages(report, health);
  showCosts(status);
  await Promise.all(report.cameras.map((camera) => showCamera(
    camera, health.cameras[camera.id] ?? { state: "unknown", reason: "", for_s: null },
    report.ledger[camera.id] ?? none)));
}

async function again() {
  try {
    await show();
  } catch (error) {
    byId("status").textContent = error.message;
  }
  setTimeout(again, ASK_MS);
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  show().catch(() => {});
});
again();
