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

// The list of faults is read first, wherever the browser scrolled to.
document.querySelector("[data-focus]")?.focus();
