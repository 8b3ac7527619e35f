// Passkeys: a button with data-passkey has the form's request signed and sends the form with the answer in place of the
// password; a form with data-register makes a new passkey from the options that it holds. Without WebAuthn both stay
// hidden, and password and code do.
(() => {
  if (!window.PublicKeyCredential) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

  async function make(options) {
    const made = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: known(options.excludeCredentials),
      },
    });
    const { clientDataJSON, attestationObject } = made.response;
    const response = { clientDataJSON: text(clientDataJSON), attestationObject: text(attestationObject) };
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
  }

  async function answer(options) {
    const given = await navigator.credentials.get({
      publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) },
    });
    const { clientDataJSON, authenticatorData, signature } = given.response;
    const response = {
      clientDataJSON: text(clientDataJSON),
      authenticatorData: text(authenticatorData),
      signature: text(signature),
    };
    return JSON.stringify({ id: given.id, rawId: text(given.rawId), type: given.type, response });
  }

  async function ask(button, form) {
    const asked = { path: new URL(form.action).pathname };
    const field = (name) => form.elements[name].value;
    const promotion = Number(button.dataset.promotion);
    if (promotion) {
      const [role, delegation = ""] = field("role").split("@"); // as governance/pages/promotion.py offers them
      asked.signoff = { promotion, role, delegation };
      for (const name of ["meaning", "comment", "subject_digest"]) asked.signoff[name] = field(name);
    }
    const answered = await fetch(button.dataset.passkey, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": field("csrfmiddlewaretoken") },
      body: JSON.stringify(asked),
    });
    const told = await answered.json();
    if (!answered.ok) throw new Error(told.detail || told.title);
    return told.options;
  }

  async function carryOut(button, form, said, work) {
    button.disabled = true;
    said.textContent = "";
    try {
      await work();
      form.submit();
    } catch (error) {
      said.textContent = error instanceof DOMException ? button.dataset.failed : error.message;
      button.disabled = false;
    }
  }

  for (const button of document.querySelectorAll("button[data-passkey]")) {
    const { form } = button;
    const password = form.querySelector("input[name=password]");
    const code = form.elements.code;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const needed = [password, code].filter((each) => each && each.required);
      for (const each of needed) each.required = false;
      const whole = form.reportValidity();
      for (const each of needed) each.required = true;
      if (!whole) return;
      await carryOut(button, form, form.querySelector("[data-passkey-said]"), async () => {
        form.elements.assertion.value = await answer(await ask(button, form));
      });
    });
  }

  for (const form of document.querySelectorAll("form[data-register]")) {
    const button = form.querySelector("button");
    button.disabled = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      await carryOut(button, form, form.querySelector("[data-passkey-said]"), async () => {
        form.elements.credential.value = await make(JSON.parse(form.dataset.register));
      });
    });
  }
})();
