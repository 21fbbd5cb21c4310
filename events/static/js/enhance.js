// Small comforts. Every page does its work without them.

/** Copies a field's text; where the clipboard is closed (plain http), selects it for copying by hand. */
async function copy(button) {
  const field = document.getElementById(button.dataset.copy);
  const status = button.closest(".field").querySelector("[role=status]");
  field.select();
  if (!navigator.clipboard) return;
  await navigator.clipboard.writeText(field.value);
  status.textContent = button.dataset.done;
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

/** Fills in where the device is, to 0.01 degrees (about a kilometre) and no finer, and searches there. */
function searchHere(button, tell) {
  tell("waiting");
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      tell("sent");
      const { form } = button;
      form.elements.near.value = [coords.latitude, coords.longitude].map((degrees) => degrees.toFixed(2)).join(",");
      form.elements.country?.remove();
      form.requestSubmit();
    },
    (error) => tell(error.code === error.PERMISSION_DENIED ? "refused" : "failed"),
    { timeout: 15000, maximumAge: 600000 },
  );
}

// Made here, because browsers without scripts, those of text among them, would show a button that does nothing.
function made(kind, textContent) {
  return Object.assign(document.createElement("button"), {
    type: "button", className: `button button--${kind} button--small`, textContent,
  });
}

// What the device itself offers for passing something on, where it does.
for (const line of document.querySelectorAll("[data-share]")) {
  if (!navigator.share) continue;
  const { share, title, url } = line.dataset;
  const button = made("secondary", share);
  // It also rejects when nobody was chosen, which is no fault; the other ways stand beside it.
  button.addEventListener("click", () => navigator.share({ title, url }).catch(() => {}));
  line.prepend(button);
}

for (const line of document.querySelectorAll("[data-position]")) {
  if (!navigator.geolocation || !window.isSecureContext) continue;
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
const again = document.querySelector("[data-again]");
if (again) setTimeout(() => location.reload(), again.dataset.again * 1000);

// The list of faults is read first, wherever the browser scrolled to.
document.querySelector("[data-focus]")?.focus();
