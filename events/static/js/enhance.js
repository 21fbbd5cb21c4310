// Small comforts. Every page does its work without them.

/** Copies a field's text; where the clipboard is closed (plain http), selects it. */
async function copy(button) {
  const field = document.getElementById(button.dataset.copy);
  const status = button.closest(".field").querySelector("[role=status]");
  field.select();
  if (!navigator.clipboard) return;
  await navigator.clipboard.writeText(field.value);
  status.textContent = button.dataset.done;
}

const all = (selector) => document.querySelectorAll(selector);

for (const button of all("[data-copy], [data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => (button.dataset.copy ? copy(button) : print()));
}

// What the device's clock shows then, unless it is the same ("sv" writes 2026-12-08 19:00:00).
for (const place of all("[data-here]")) {
  const { dateTime } = place, at = new Date(dateTime), here = at.toLocaleString("sv").replace(" ", "T");
  if (dateTime.startsWith(here)) continue;
  const dateStyle = dateTime.startsWith(here.slice(0, 10)) ? undefined : "full";
  const time = at.toLocaleString(document.documentElement.lang, { timeStyle: "short", dateStyle });
  const city = Intl.DateTimeFormat().resolvedOptions().timeZone.replace(/.*\//, "").replaceAll("_", " ");
  place.append(place.dataset.here.replace("{time}", time).replace("{city}", city));
}

/** Fills in where the device is, to 0.01 degrees (about a kilometre) and no finer, and searches there. */
function searchHere(button, tell) {
  tell("waiting");
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      tell("sent");
      const { form } = button;
      form.elements.near.value = [coords.latitude, coords.longitude].map((each) => each.toFixed(2)).join();
      form.elements.country?.remove();
      form.requestSubmit();
    },
    (error) => tell(error.code === error.PERMISSION_DENIED ? "refused" : "failed"),
    { timeout: 15e3, maximumAge: 6e5 },
  );
}

// Made here: where no script runs, it would do nothing.
function made(kind, textContent) {
  return Object.assign(document.createElement("button"), {
    type: "button", className: `button button--${kind} button--small`, textContent,
  });
}

// What the device itself offers for passing something on.
for (const line of navigator.share ? all("[data-share]") : []) {
  const { share, title, url } = line.dataset;
  const button = made("secondary", share);
  // It also rejects when nobody was chosen.
  button.addEventListener("click", () => navigator.share({ title, url }).catch(() => {}));
  line.prepend(button);
}

for (const line of all("[data-position]")) {
  if (!navigator.geolocation || !isSecureContext) continue;
  const button = made("plain", line.dataset.position);
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  button.addEventListener("click", () => searchHere(button, (word) => {
    status.textContent = ` ${line.dataset[word]}`;
    button.disabled = word === "waiting";
  }));
  line.append(button, status);
  line.hidden = false;
}

// A page that waits for the worker looks again by itself.
for (const { dataset } of all("[data-again]")) setTimeout(() => location.reload(), dataset.again * 1000);

// The list of faults is read first.
document.querySelector("[data-focus]")?.focus();
