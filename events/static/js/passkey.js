// Passkeys: asks the browser for one, and sends what it answers as an ordinary form.

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const ANSWERS = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
const SENTENCES = { NotAllowedError: "cancelled", AbortError: "cancelled", InvalidStateError: "there" };

/** What the server asks for; its own sentence where it refuses (too often, too many). */
async function challenge(address) {
  const answer = await fetch(address, { method: "POST" });
  const asked = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(), { sentence: asked.detail });
  asked.challenge = bytes(asked.challenge);
  if (asked.user) asked.user.id = bytes(asked.user.id);
  for (const known of asked.excludeCredentials ?? []) known.id = bytes(known.id);
  return asked;
}

async function send(form) {
  const publicKey = await challenge(form.dataset.challenge);
  const { id, type, response } = await navigator.credentials[form.dataset.passkey]({ publicKey });
  const said = ANSWERS.filter((name) => response[name]).map((name) => [name, text(response[name])]);
  form.elements.credential.value = JSON.stringify({ id, rawId: id, type, response: Object.fromEntries(said) });
  form.submit();
}

for (const form of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    for (const line of document.querySelectorAll("[data-unsupported]")) line.hidden = false;
    continue;
  }
  const button = Object.assign(document.createElement("button"), {
    className: "button button--secondary", textContent: form.dataset.label,
  });
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  form.append(button, status);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    status.textContent = "";
    try {
      await send(form);
    } catch (error) {
      status.textContent = error.sentence ?? form.dataset[SENTENCES[error.name] ?? "failed"];
      button.disabled = false;
    }
  });
  form.hidden = false;
}
