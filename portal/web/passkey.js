// Passkeys: asks the browser for one when a form that needs it is sent, and sends what the authenticator says as that form. Without script, or in a browser
// that knows no passkeys, these forms stay hidden; password and code need neither.
"use strict";
(() => {
  if (!globalThis.PublicKeyCredential) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  // What the server asks, with the bytes that a browser wants, and what came of it, as text again.
  const ask = async (question) => {
    const options = { ...question, challenge: bytes(question.challenge) };
    if (!question.rp) return navigator.credentials.get({ publicKey: { ...options, allowCredentials: known(question.allowCredentials) } });
    return navigator.credentials.create({ publicKey: { ...options, user: { ...question.user, id: bytes(question.user.id) }, excludeCredentials: known(question.excludeCredentials) } });
  };
  const said = (c) => {
    const r = c.response, response = { clientDataJSON: text(r.clientDataJSON) };
    if (r.attestationObject) {
      response.attestationObject = text(r.attestationObject);
      response.transports = r.getTransports ? r.getTransports() : [];
    } else {
      response.authenticatorData = text(r.authenticatorData);
      response.signature = text(r.signature);
      response.userHandle = r.userHandle ? text(r.userHandle) : undefined;
    }
    return JSON.stringify({ id: c.id, rawId: text(c.rawId), type: c.type, response, clientExtensionResults: {} });
  };

  document.querySelectorAll("form[data-passkey]").forEach((form) => {
    const button = form.querySelector("button"), failed = form.querySelector("[role=alert]");
    form.hidden = false;
    form.addEventListener("submit", async (ev) => {
      ev.preventDefault();
      button.disabled = true;
      failed.hidden = true;
      try {
        const answer = await fetch(form.dataset.passkey, { credentials: "same-origin" });
        if (answer.redirected) { // the session has ended
          location.assign(answer.url);
          return;
        }
        if (!answer.ok) throw new Error(String(answer.status));
        form.elements.credential.value = said(await ask((await answer.json()).publicKey));
        form.submit();
      } catch {
        failed.hidden = false;
        button.disabled = false;
      }
    });
  });
})();
