// The event form while one types: the preview follows, what was typed survives an accident, the map takes a tap.

const PAUSE = 500; // milliseconds without a key before the preview follows
const form = document.querySelector("form[data-preview]");
const preview = document.getElementById("preview");
const dates = document.getElementById("dates-line");
const drawer = `typed ${location.pathname}`;
const own = new Set(["key", "revision", "branch"]);
let waiting, asked = 0;

const typed = () => [...new FormData(form)].filter(([name, value]) => typeof value === "string" && !own.has(name));

/** Only a form that can be read has a preview; while one is in the middle of it, the last one stays. */
async function follow() {
  const turn = ++asked;
  const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) })
    .catch(() => null);
  if (!answer || answer.status >= 500 || turn !== asked) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok) {
    const fault = form.elements.start_date.value && page.querySelector("#repeats-error, #start_date-error");
    if (fault) dates.textContent = fault.textContent;
    return;
  }
  preview.replaceChildren(...page.getElementById("preview").childNodes);
  dates.textContent = preview.querySelector("[data-dates]").dataset.dates;
  await maps();
}

async function maps() {
  const picked = preview.querySelector("[data-pick]");
  if (!picked) return;
  const { move } = await import(form.dataset.map);
  if (asked) move(preview);
  const [west, south, east, north] = picked.dataset.pick.split(" ").map(Number);
  const picture = picked.querySelector(".map__picture");
  const ground = picked.querySelector(".map__ground");
  const whole = ground.getAttribute("viewBox").split(" ").map(Number);
  let from;
  picture.addEventListener("pointerdown", (event) => (from = [event.clientX, event.clientY]));
  picture.addEventListener("click", (event) => {
    if (!from || Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 4) return;
    const [x, y, width, height] = ground.getAttribute("viewBox").split(" ").map(Number);
    const frame = picture.getBoundingClientRect();
    const across = (x + (event.clientX - frame.left) / frame.width * width) / whole[2];
    const down = (y + (event.clientY - frame.top) / frame.height * height) / whole[3];
    const longitude = (west + across * (east - west) + 540) % 360 - 180;
    const latitude = Math.atan(Math.sinh((north - down * (north - south)) * Math.PI / 180)) * 180 / Math.PI;
    form.elements.position.value = `${latitude.toFixed(5)},${longitude.toFixed(5)}`;
    document.getElementById("on-map").open = true;
    keep();
    follow();
  });
}

function keep() {
  localStorage.setItem(drawer, JSON.stringify(typed()));
}

/** What was typed before an accident; asked, never forced upon what the page says. */
function offer() {
  const kept = localStorage.getItem(drawer);
  if (!kept || "keptAnyway" in form.dataset || kept === JSON.stringify(typed())) return;
  const line = document.createElement("p");
  line.className = "notice cluster";
  line.setAttribute("role", "status");
  const button = (text, act) => Object.assign(document.createElement("button"), {
    type: "button", className: "button button--secondary button--small", textContent: text,
    onclick: () => { act(); line.remove(); },
  });
  line.append(form.dataset.kept, button(form.dataset.restore, () => fill(JSON.parse(kept))),
    button(form.dataset.forget, () => localStorage.removeItem(drawer)));
  form.before(line);
}

function fill(items) {
  for (const control of form.elements) {
    if (!control.name || own.has(control.name)) continue;
    const values = items.filter(([name]) => name === control.name).map(([, value]) => value);
    if (["checkbox", "radio"].includes(control.type)) control.checked = values.includes(control.value);
    else if ("value" in control && control.type !== "submit") control.value = values[0] ?? "";
  }
  follow();
}

form.addEventListener("input", () => {
  keep();
  clearTimeout(waiting);
  waiting = setTimeout(follow, PAUSE);
});
// What was sent may not arrive: it is forgotten when the page comes that says so.
form.addEventListener("submit", () => sessionStorage.setItem("sent", drawer));
if ("saved" in form.dataset) localStorage.removeItem(sessionStorage.getItem("sent"));
offer();
maps();
