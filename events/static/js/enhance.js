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
function searchHere(line) {
  const [button, status] = [line.querySelector("button"), line.querySelector("[role=status]")];
  const tell = (sentence) => { status.textContent = line.dataset[sentence]; button.disabled = sentence === "waiting"; };
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

for (const line of document.querySelectorAll("[data-position]")) {
  line.hidden = !("geolocation" in navigator && window.isSecureContext);
  line.querySelector("button").addEventListener("click", () => searchHere(line));
}

// The list of faults is read first, wherever the browser scrolled to.
document.querySelector("[data-focus]")?.focus();
